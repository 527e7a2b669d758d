// SPDX-License-Identifier: Apache-2.0
// A director with a clock of its own and one frame slot, for unit tests: packets in, verdict and packet out.

import { LocalDataPlane } from '../../src/dataplane/engine/local.ts';
import { connectionMemoryBytes, layConnectionMemory, MS_PER_TICK } from '../../src/lvs/connection/layout.ts';
import { Director } from '../../src/lvs/director.ts';
import type { HostAddresses } from '../../src/lvs/host-addresses.ts';
import type {
  ConnectionSnapshot,
  MarkRule,
  ServerKey,
  ServerOptions,
  ServerSnapshot,
  ServiceKey,
  ServiceOptions,
  ServiceTuning,
} from '../../src/lvs/model.ts';
import { formatServerKey, formatServiceKey, parseServerKey, parseServiceKey } from '../../src/lvs/service-key.ts';
import { ANSWER, FORWARD, LOCAL, VERDICT_NAMES } from '../../src/lvs/verdict.ts';
import { addressBytes, frame } from './frames.ts';

const SLOT = 2048;
const HEADROOM = 256;
/** Bytes around the packet that the director must never touch are filled with this. */
const GUARD = 0xa5;

export interface Outcome {
  /** Name of the verdict. */
  readonly verdict: string;
  /** The IP packet that leaves, for `forward`, `answer-icmp` and `local`. */
  readonly packet: Uint8Array | undefined;
}

export class TestDirector {
  readonly director: Director;
  readonly dataplane: LocalDataPlane;
  readonly #bytes = new Uint8Array(SLOT);
  readonly #view = new DataView(this.#bytes.buffer);
  #now: number;

  constructor(options: { maxConnections?: number; startTick?: number; host?: HostAddresses } = {}) {
    const maxConnections = options.maxConnections ?? 4096;
    this.#now = options.startTick ?? 0;
    const buffer = new ArrayBuffer(connectionMemoryBytes(maxConnections));
    this.director = new Director({
      memory: layConnectionMemory(buffer, maxConnections),
      seed: { k0: 0x12345678, k1: 0x0badcafe },
      now: this.#now,
      ...(options.host && { host: options.host }),
    });
    this.dataplane = new LocalDataPlane(this.director, () => this.#now);
  }

  /** Lets time pass; timers run. */
  advance(seconds: number): void {
    this.elapse(seconds * 1e6);
    const target = this.#now + Math.round((seconds * 1000) / MS_PER_TICK);
    while (this.#now < target) {
      this.#now = Math.min(target, this.#now + 10);
      this.director.tick(this.#now | 0);
    }
  }

  /** Lets time pass that is too short for timers. */
  elapse(microseconds: number): void {
    const { connections } = this.director;
    connections.microseconds = (connections.microseconds + microseconds) | 0;
  }

  addService(text: string, scheduler = 'rr', more: Partial<ServiceOptions> = {}): ServiceKey {
    const service = parseServiceKey(text);
    if (service === undefined) throw new TypeError(`not a service: ${text}`);
    this.dataplane.applyNow({ type: 'add-service', service, options: serviceOptions(scheduler, more) });
    return service;
  }

  editService(service: ServiceKey, scheduler: string, more: Partial<ServiceOptions> = {}): void {
    this.dataplane.applyNow({ type: 'edit-service', service, options: serviceOptions(scheduler, more) });
  }

  deleteService(service: ServiceKey): void {
    this.dataplane.applyNow({ type: 'delete-service', service });
  }

  addServer(service: ServiceKey, text: string, weight = 1, more: Partial<ServerOptions> = {}): void {
    const options = { ...nat(weight), ...more };
    this.dataplane.applyNow({ type: 'add-server', service, server: serverKey(text), options });
  }

  editServer(service: ServiceKey, text: string, weight: number, more: Partial<ServerOptions> = {}): void {
    const options = { ...nat(weight), ...more };
    this.dataplane.applyNow({ type: 'edit-server', service, server: serverKey(text), options });
  }

  /** What `rule` says of packets gives them the mark. */
  mark(mark: number, rule: Partial<MarkRule> = {}): void {
    this.dataplane.applyNow({ type: 'add-mark', rule: { ...rule, mark } });
  }

  tune(service: ServiceKey, tuning: ServiceTuning): void {
    this.dataplane.applyNow({ type: 'tune-service', service, tuning });
  }

  /** Snapshot of one of the service's servers. */
  server(service: ServiceKey, text: string): ServerSnapshot {
    const { services } = this.dataplane.snapshotNow();
    const found = services.find((candidate) => formatServiceKey(candidate.key) === formatServiceKey(service));
    const server = found?.servers.find((candidate) => formatServerKey(candidate) === text);
    if (server === undefined) throw new TypeError(`no server ${text}`);
    return server;
  }

  sysctl(name: string, value: number): void {
    this.dataplane.applyNow({ type: 'set-sysctls', values: { [name]: value } });
  }

  deleteServer(service: ServiceKey, text: string): void {
    this.dataplane.applyNow({ type: 'delete-server', service, server: serverKey(text) });
  }

  /** Passes an IP packet through. */
  packet(packet: Uint8Array): Outcome {
    return this.frame(frame(packet));
  }

  /** Passes a whole frame through; throws when anything outside of its slot's room was written. */
  frame(input: Uint8Array): Outcome {
    this.#bytes.fill(GUARD);
    this.#bytes.set(input, HEADROOM);
    const frames = { view: this.#view, bytes: this.#bytes };
    const verdict = this.director.process(frames, HEADROOM, input.length, this.#now | 0);
    const leaves = verdict === FORWARD || verdict === ANSWER || verdict === LOCAL;
    const { frame: start, length, memory, before, beforeLength } = this.director.departure;
    const isHere = leaves && memory === frames;
    const first = isHere ? Math.min(HEADROOM, start, beforeLength > 0 ? before : start) : HEADROOM;
    const end = Math.max(HEADROOM + input.length, isHere ? start + length : 0);
    for (let i = 0; i < SLOT; i++) {
      if ((i < first || i >= end) && this.#bytes[i] !== GUARD) throw new Error(`byte ${i} of the slot was written`);
    }
    const packet = leaves ? memory.bytes.slice(start + 14, start + length) : undefined;
    return { verdict: VERDICT_NAMES[verdict], packet };
  }

  /** Who gets a packet: the last octet of the server's address, that of its destination without one, or the verdict. */
  target(packet: Uint8Array): string {
    const outcome = this.packet(packet);
    if (outcome.verdict !== 'forward' || outcome.packet === undefined) return outcome.verdict;
    const { nextHop } = this.director.departure;
    const [start, length] = outcome.packet[0] >>> 4 === 4 ? [16, 4] : [24, 16];
    const address = nextHop ? addressBytes(nextHop.key.address) : outcome.packet.subarray(start, start + length);
    return String(address.at(-1));
  }

  connections(): ConnectionSnapshot[] {
    const entries: ConnectionSnapshot[] = [];
    for (let cursor = 0; cursor >= 0; ) {
      const page = this.dataplane.connectionsNow(cursor);
      entries.push(...page.entries);
      cursor = page.next;
    }
    return entries;
  }

  /** Connections in words: `tcp 10.7.0.1:4000 10.0.0.1:80 192.168.1.1:80 SYN_RECV 60`. */
  flows(): string[] {
    return this.connections()
      .filter((entry) => !isTemplate(entry))
      .map(inWords);
  }

  /** Persistence templates in words: `tcp 10.7.0.0:0 10.0.0.1:80 192.168.1.1:80 ASSURED 300`. */
  templates(): string[] {
    return this.connections().filter(isTemplate).map(inWords);
  }
}

function serviceOptions(scheduler: string, more: Partial<ServiceOptions>): ServiceOptions {
  return { scheduler, schedulerFlags: [], onePacket: false, ...more };
}

function isTemplate({ state }: ConnectionSnapshot): boolean {
  return state === 'NONE' || state === 'ASSURED';
}

function inWords({ protocol, client, virtual, destination, state, expiresSeconds }: ConnectionSnapshot): string {
  return [protocol, ...[client, virtual, destination].map(formatServerKey), state, expiresSeconds].join(' ');
}

function serverKey(text: string): ServerKey {
  const key = parseServerKey(text);
  if (key === undefined) throw new TypeError(`not a server: ${text}`);
  return key;
}

function nat(weight: number): ServerOptions {
  return { method: 'nat', weight, upperThreshold: 0, lowerThreshold: 0 };
}
