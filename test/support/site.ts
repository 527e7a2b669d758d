// SPDX-License-Identifier: Apache-2.0
// A director with one service, servers that are known by their numbers, and clients that are too: what most unit tests of
// the director begin with.

import type {
  ForwardingMethod,
  Persistence,
  Protocol,
  SchedulerFlag,
  ServerOptions,
  ServerSnapshot,
  ServiceKey,
  ServiceOptions,
} from '../../src/lvs/model.ts';
import type { Address } from '../../src/packet/address.ts';
import type { Prefix } from '../../src/packet/prefix.ts';
import { CHUNKS, sctp, tcp, udp } from './frames.ts';
import { TestDirector } from './test-director.ts';

export interface SiteOptions {
  /** Where to put the service; a director of its own when left out. */
  readonly lab?: TestDirector;
  /** In the words of parseServiceKey; `tcp:10.0.0.1:80` when left out. */
  readonly service?: string;
  readonly scheduler?: string;
  readonly schedulerFlags?: readonly SchedulerFlag[];
  /** Seconds, for single clients, or more exactly. */
  readonly persistence?: number | Persistence;
  readonly onePacket?: boolean;
  /** Weights of the servers 1, 2 …; two of weight 1 when left out. */
  readonly weights?: readonly number[];
  readonly method?: ForwardingMethod;
  /** Port of the servers; the service's own when left out. */
  readonly serverPort?: number;
}

/** A client's packet; what is left out is as usual. */
export interface Contents {
  /** Number of the client: 1 is 10.7.0.1. */
  readonly from?: number;
  /** Destination, when not the service's own. */
  readonly to?: string;
  readonly port?: number;
  /** TCP: letters of S, A, F, R, P; a SYN when left out. */
  readonly flags?: string;
  /** SCTP: types of chunks; INIT when left out. */
  readonly chunks?: readonly number[];
  readonly payload?: string;
  readonly ttl?: number;
  /** When not the service's own; for services of marks. */
  readonly protocol?: Protocol;
}

/** Address and port that a service on a mark is reached by. */
const MARKED = { address: '10.0.0.1', port: 80 };

export class Site {
  readonly lab: TestDirector;
  readonly service: ServiceKey;
  readonly #protocol: Protocol;
  readonly #virtual: { readonly address: string; readonly port: number };
  readonly #serverPort: number;
  readonly #method: ForwardingMethod;

  constructor(options: SiteOptions = {}) {
    const { service = 'tcp:10.0.0.1:80', scheduler = 'rr', weights = [1, 1], method = 'nat' } = options;
    this.lab = options.lab ?? new TestDirector();
    this.service = this.lab.addService(service, scheduler, serviceOptions(service, options));
    const { service: key } = this;
    if (key.kind === 'fwmark') {
      this.#virtual = key.family === 4 ? MARKED : { ...MARKED, address: '2001:db8::1' };
      this.lab.mark(key.mark, { destination: this.#virtual.address as Prefix });
    } else {
      this.#virtual = key;
    }
    this.#protocol = key.kind === 'fwmark' ? 'tcp' : key.protocol;
    this.#serverPort = options.serverPort ?? (key.kind === 'fwmark' ? 0 : key.port);
    this.#method = method;
    for (const [i, weight] of weights.entries()) this.add(i + 1, weight);
  }

  get isIpv6(): boolean {
    return this.#virtual.address.includes(':');
  }

  /** A server in the words of parseServerKey. */
  nameOf(number: number): string {
    const address = this.serverAddress(number);
    return this.isIpv6 ? `[${address}]:${this.#serverPort}` : `${address}:${this.#serverPort}`;
  }

  keyOf(number: number): { readonly address: Address; readonly port: number } {
    return { address: this.serverAddress(number) as Address, port: this.#serverPort };
  }

  serverAddress(number: number): string {
    const [high, low] = [number >> 8, number & 255];
    return this.isIpv6 ? `2001:db8:1::${number.toString(16)}` : `192.168.${1 + high}.${low}`;
  }

  clientAddress(number: number): string {
    return this.isIpv6 ? `2001:db8:7::${number.toString(16)}` : `10.7.${number >> 8}.${number & 255}`;
  }

  add(number: number, weight = 1, more: Partial<ServerOptions> = {}): void {
    this.lab.addServer(this.service, this.nameOf(number), weight, { method: this.#method, ...more });
  }

  edit(number: number, weight: number, more: Partial<ServerOptions> = {}): void {
    this.lab.editServer(this.service, this.nameOf(number), weight, { method: this.#method, ...more });
  }

  delete(number: number): void {
    this.lab.deleteServer(this.service, this.nameOf(number));
  }

  server(number: number): ServerSnapshot {
    return this.lab.server(this.service, this.nameOf(number));
  }

  /** Active, inactive and persistent connections of a server. */
  counts(number: number): readonly [active: number, inactive: number, persistent: number] {
    const { activeConnections, inactiveConnections, persistentConnections } = this.server(number);
    return [activeConnections, inactiveConnections, persistentConnections];
  }

  /** A client's packet from port `sport`. */
  request(sport: number, contents: Contents = {}): Uint8Array {
    const { from = 1, to = this.#virtual.address, port = this.#virtual.port } = contents;
    return this.#packet({ src: this.clientAddress(from), dst: to, sport, dport: port }, contents);
  }

  /** Number of the server that gets a client's packet, or the verdict. */
  send(sport: number, contents: Contents = {}): string {
    return this.lab.target(this.request(sport, contents));
  }

  /** A server's packet to a client, who has the port `sport`. */
  response(number: number, sport: number, contents: Contents = {}): Uint8Array {
    const { from = 1, to = this.clientAddress(from), port = this.#answeringPort() } = contents;
    return this.#packet({ src: this.serverAddress(number), dst: to, sport: port, dport: sport }, contents);
  }

  /** Verdict of a server's packet. */
  answer(number: number, sport: number, contents: Contents = {}): string {
    return this.lab.packet(this.response(number, sport, contents)).verdict;
  }

  /** Opens a connection and has both sides say so; returns the number of its server. */
  establish(sport: number, contents: Contents = {}): string {
    const { from = 1, port, protocol = this.#protocol } = contents;
    const number = this.send(sport, contents);
    const answer = { from, port: this.#answeringPort(port), protocol, flags: 'SA' };
    if (this.#method === 'nat') this.answer(Number(number), sport, answer);
    if (protocol === 'tcp') this.send(sport, { ...contents, flags: 'A' });
    return number;
  }

  /** Port from which a server answers what was sent to `port` of the service. */
  #answeringPort(port = this.#virtual.port): number {
    return this.#serverPort === 0 ? port : this.#serverPort;
  }

  #packet(ends: { src: string; dst: string; sport: number; dport: number }, contents: Contents): Uint8Array {
    const { flags = 'S', chunks = [CHUNKS.INIT], ttl = 64, protocol = this.#protocol } = contents;
    const fields = { ...ends, ttl, payload: new TextEncoder().encode(contents.payload ?? '') };
    switch (protocol) {
      case 'tcp':
        return tcp({ ...fields, flags });
      case 'udp':
        return udp(fields);
      case 'sctp':
        return sctp({ ...fields, chunks });
    }
  }
}

function serviceOptions(service: string, options: SiteOptions): Partial<ServiceOptions> {
  const { schedulerFlags = [], onePacket = false, persistence } = options;
  const prefixLength = /\[|:6$/.test(service) ? 128 : 32;
  const more = typeof persistence === 'number' ? { timeoutSeconds: persistence, prefixLength } : persistence;
  return { schedulerFlags, onePacket, ...(more && { persistence: more }) };
}
