// SPDX-License-Identifier: Apache-2.0
// ICMP errors of routers about packets that the director tunnelled: they come to the director itself, teach it the path MTU to
// the server, and are told to the client, as far as the packet inside is quoted (the tunnel's part of ip_vs_in_icmp).
// deviates: the kernel does this for IPv4 in IPv4 alone; and it tells the client of the device's MTU at the first time.
// hot path

import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6, ETH_TYPE } from '../packet/ethernet.ts';
import { ICMP_CODE, ICMP_REST, ICMP_TYPE } from '../packet/icmp.ts';
import {
  IPPROTO_GRE,
  IPPROTO_IPIP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV4_DF,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_OFFSET_MASK,
} from '../packet/ipv4.ts';
import { IPV6_DST } from '../packet/ipv6.ts';
import { Headers, parseQuoted } from '../packet/parse.ts';
import { UDP_DST, UDP_HLEN } from '../packet/udp.ts';
import { type Connections, isTracked } from './connection/connections.ts';
import { FLAGS, IP_VS_CONN_F_FWD_MASK, IP_VS_CONN_F_TUNNEL, RECORD_SHIFT, REQUEST } from './connection/layout.ts';
import type { Departure } from './forward/departure.ts';
import type { Forwarder } from './forward/forwarder.ts';
import { isIcmpValid } from './forward/icmp-nat.ts';
import {
  GRE_CHECKSUM_LENGTH,
  GRE_CSUM,
  GRE_HLEN,
  GUE_HLEN,
  TUNNEL_GRE,
  TUNNEL_GUE,
  TUNNEL_IPIP,
} from './forward/tunnel.ts';
import type { FrameMemory } from './frame-memory.ts';
import type { HostAddresses } from './host-addresses.ts';
import { HOST_UNREACHABLE, type IcmpAnswers, isTooBig, TOO_BIG } from './icmp-answers.ts';
import { RealServers } from './service/real-servers.ts';
import type { Server } from './service/server.ts';
import { OUT_BYTES, OUT_PACKETS } from './service/traffic.ts';
import { ABSORBED, ANSWER, DROP_CHECKSUM, PASS } from './verdict.ts';

/** Version and control of GUE's first byte; the length of its options, in words. */
const GUE_KIND = 0xe0;
const GUE_OPTIONS = 0x1f;

export interface TunnelErrorsParts {
  readonly connections: Connections;
  readonly servers: RealServers;
  readonly forwarder: Forwarder;
  readonly answers: IcmpAnswers;
  readonly departure: Departure;
  readonly host: HostAddresses | undefined;
}

export class TunnelErrors {
  readonly #parts: TunnelErrorsParts;
  readonly #inner = new Headers();
  readonly #words = new Int32Array(4);
  readonly #source = new Int32Array(4);
  readonly #destination = new Int32Array(4);
  #server: Server | undefined = undefined;
  #innerFamily = 0;

  constructor(parts: TunnelErrorsParts) {
    this.#parts = parts;
  }

  /** The verdict about the ICMP error in `headers` on the packet `quoted`; PASS when that was no tunnel's. */
  process(frames: FrameMemory, headers: Headers, quoted: Headers, now: number): number {
    const { servers, connections, host } = this.#parts;
    if (servers.tunnels === 0) return PASS;
    const { view } = frames;
    const at = this.#innerOf(view, quoted);
    const known = this.#server;
    if (at === 0 || known === undefined) return PASS;
    const { family } = headers;
    if (host?.isLocal(family, this.#read(view, headers, false)) !== true) return PASS;
    const inner = this.#inner;
    const innerFamily = this.#innerFamily;
    if (!parseQuoted(view, at, headers.end, innerFamily, inner) || !isTracked(inner.protocol)) return PASS;
    const id = this.#connectionOf(view, inner);
    // The same machine may serve other services by a tunnel.
    const server = id === 0 ? undefined : connections.serverOf(id);
    if (server === undefined || !RealServers.sharesTunnel(known, server)) return PASS;
    if (!isIcmpValid(view, headers)) return DROP_CHECKSUM;

    const type = view.getUint8(headers.transport + ICMP_TYPE);
    const code = view.getUint8(headers.transport + ICMP_CODE);
    const rest = view.getInt32(headers.transport + ICMP_REST);
    const tellsMtu = isTooBig(family, type, code);
    if (tellsMtu) {
      const { forwarder } = this.#parts;
      const told = family === 4 ? rest & 0xffff : rest >>> 0;
      const near = servers.tunnelsNear(server);
      for (let i = 0; i < near.length; i++) {
        if (RealServers.sharesTunnel(server, near[i])) forwarder.learnMtu(near[i], told, now);
      }
      const asks = innerFamily === 6 || (view.getUint16(inner.ip + IPV4_FRAGMENT) & IPV4_DF) !== 0;
      if (!asks) return ABSORBED;
      return this.#tell(frames, headers, server, TOO_BIG, 0, 0, forwarder.tunnelMtu(server, now), now);
    }
    return family === innerFamily
      ? this.#tell(frames, headers, server, -1, type, code, rest, now)
      : this.#tell(frames, headers, server, HOST_UNREACHABLE, 0, 0, 0, now);
  }

  /** Tells the client: `error` in the terms of IcmpAnswers, or when that is -1 an ICMP type and code. */
  #tell(
    frames: FrameMemory,
    headers: Headers,
    server: Server,
    error: number,
    type: number,
    code: number,
    rest: number,
    now: number,
  ): number {
    const inner = this.#inner;
    const { answers, departure } = this.#parts;
    if (server.available) {
      server.counters[OUT_PACKETS]++;
      server.counters[OUT_BYTES] += inner.end - inner.ip;
    }
    // What is before the inner packet is not needed any more.
    frames.view.setUint16(inner.ip - ETH_HLEN + ETH_TYPE, inner.family === 4 ? ETH_P_IP : ETH_P_IPV6);
    headers.family = inner.family;
    headers.ip = inner.ip;
    headers.end = inner.end;
    const length =
      error === -1
        ? answers.relay(frames, headers, type, code, rest, now)
        : answers.toClient(frames, headers, error, rest, now);
    if (length === 0) return ABSORBED;
    departure.reset(frames, inner.ip - ETH_HLEN, length);
    // The kernel takes its own error for one that the server sends.
    if (server.available) {
      server.counters[OUT_PACKETS]++;
      server.counters[OUT_BYTES] += length - ETH_HLEN;
    }
    return ANSWER;
  }

  /** Where the packet inside of a quoted tunnel packet begins, its server in `#server`, its family in `#innerFamily`; 0 for none. */
  #innerOf(view: DataView, quoted: Headers): number {
    const { family, ip, transport, end, protocol } = quoted;
    if (end - transport < GRE_HLEN) return 0;
    if (family === 4 && (view.getUint16(ip + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) !== 0) return 0;
    if (protocol === IPPROTO_IPIP || protocol === IPPROTO_IPV6) {
      return this.#finds(view, quoted, 0, TUNNEL_IPIP, protocol === IPPROTO_IPIP ? 4 : 6) ? transport : 0;
    }
    if (protocol === IPPROTO_GRE) {
      const flags = view.getUint16(transport);
      const type = view.getUint16(transport + 2);
      if ((flags & ~GRE_CSUM) !== 0 || (type !== ETH_P_IP && type !== ETH_P_IPV6)) return 0;
      if (!this.#finds(view, quoted, 0, TUNNEL_GRE, type === ETH_P_IP ? 4 : 6)) return 0;
      return transport + GRE_HLEN + (flags !== 0 ? GRE_CHECKSUM_LENGTH : 0);
    }
    if (protocol !== IPPROTO_UDP || end - transport < UDP_HLEN + GUE_HLEN) return 0;
    const kind = view.getUint8(transport + UDP_HLEN);
    const next = view.getUint8(transport + UDP_HLEN + 1);
    if ((kind & GUE_KIND) !== 0 || (next !== IPPROTO_IPIP && next !== IPPROTO_IPV6)) return 0;
    const port = view.getUint16(transport + UDP_DST);
    if (!this.#finds(view, quoted, port, TUNNEL_GUE, next === IPPROTO_IPIP ? 4 : 6)) return 0;
    return transport + UDP_HLEN + GUE_HLEN + ((kind & GUE_OPTIONS) << 2);
  }

  #finds(view: DataView, quoted: Headers, port: number, kind: number, innerFamily: number): boolean {
    const found = this.#parts.servers.findTunnel(quoted.family, this.#read(view, quoted, false), port);
    this.#server = found;
    this.#innerFamily = innerFamily;
    return found !== undefined && found.tunnel.kind === kind;
  }

  /** The tunnelled connection of a client's packet. */
  #connectionOf(view: DataView, inner: Headers): number {
    const { table, records } = this.#parts.connections;
    this.#source.set(this.#read(view, inner, true));
    this.#destination.set(this.#read(view, inner, false));
    const kind = (inner.protocol << 8) | inner.family;
    const entry = table.lookupWords(kind, this.#source, this.#destination, view.getInt32(inner.transport));
    if (entry === 0 || (entry & 1) !== REQUEST) return 0;
    const flags = records[((entry >> 1) << RECORD_SHIFT) + FLAGS];
    return (flags & IP_VS_CONN_F_FWD_MASK) === IP_VS_CONN_F_TUNNEL ? entry >> 1 : 0;
  }

  /** One of a packet's addresses, good until the next call. */
  #read(view: DataView, { family, ip }: Headers, isSource: boolean): Int32Array {
    const words = this.#words;
    const destination = ip + (family === 4 ? IPV4_DST : IPV6_DST);
    const at = isSource ? destination - (family === 4 ? 4 : 16) : destination;
    for (let i = 0; i < 4; i++) words[i] = family === 6 || i === 0 ? view.getInt32(at + (i << 2)) : 0;
    return words;
  }
}
