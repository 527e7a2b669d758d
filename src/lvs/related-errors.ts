// SPDX-License-Identifier: Apache-2.0
// ICMP errors of routers, servers and clients about packets of connections: they are sent on to whom they concern, rewritten
// where NAT is (ip_vs_in_icmp, ip_vs_out_icmp). What is no error, and errors about anything else, are the kernel's. Errors
// about tunnels have a file of their own. Asked by the director.
// hot path

import { ICMP_HLEN, ICMP_SOURCE_QUENCH, ICMP_TIME_EXCEEDED, ICMP_TYPE, ICMP_UNREACHABLE } from '../packet/icmp.ts';
import { IPPROTO_TCP, IPV4_DST, IPV4_SRC } from '../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC } from '../packet/ipv6.ts';
import { Headers, parseQuoted } from '../packet/parse.ts';
import { TCP_SEQ } from '../packet/tcp.ts';
import { type Connections, isTracked } from './connection/connections.ts';
import {
  CLIENT,
  CLIENT_6,
  CONN_F_FULLNAT,
  DESTINATION,
  DESTINATION_6,
  FLAGS,
  IP_VS_CONN_F_FWD_MASK,
  IP_VS_CONN_F_MASQ,
  LOCAL,
  LOCAL_6,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  REPLY,
  REQUEST,
  VIRTUAL,
  VIRTUAL_6,
} from './connection/layout.ts';
import type { Forwarder } from './forward/forwarder.ts';
import { hopsOf, passHop } from './forward/hops.ts';
import { isIcmpValid, mendIcmp, putAddress } from './forward/icmp-nat.ts';
import type { FrameMemory } from './frame-memory.ts';
import { shiftToServer } from './fullnat/fullnat.ts';
import { IN_BYTES, IN_PACKETS, OUT_BYTES, OUT_PACKETS } from './service/traffic.ts';
import type { TunnelErrors } from './tunnel-errors.ts';
import { DROP_CHECKSUM, DROP_TRUNCATED, DROP_TTL, FORWARD, PASS } from './verdict.ts';

/** First type of ICMPv6 that is no error (RFC 4443 §2.1). */
const ICMPV6_INFORMATION = 128;

export class RelatedErrors {
  readonly #connections: Connections;
  readonly #forwarder: Forwarder;
  readonly #tunnels: TunnelErrors;
  readonly #quoted = new Headers();
  readonly #source = new Int32Array(4);
  readonly #destination = new Int32Array(4);

  constructor(connections: Connections, forwarder: Forwarder, tunnels: TunnelErrors) {
    this.#connections = connections;
    this.#forwarder = forwarder;
    this.#tunnels = tunnels;
  }

  /** The verdict about the ICMP message in `headers`. */
  process(frames: FrameMemory, headers: Headers, now: number): number {
    const { view } = frames;
    const { family, transport, end } = headers;
    if (end - transport < ICMP_HLEN) return DROP_TRUNCATED;
    if (!isError(family, view.getUint8(transport + ICMP_TYPE))) return PASS;
    const quoted = this.#quoted;
    const hasPorts = parseQuoted(view, transport + ICMP_HLEN, end, family, quoted);
    const ofTunnel = this.#tunnels.process(frames, headers, quoted, now);
    if (ofTunnel !== PASS) return ofTunnel;
    if (!hasPorts || !isTracked(quoted.protocol)) return PASS;

    const { table, records } = this.#connections;
    const kind = (quoted.protocol << 8) | family;
    this.#read(view, quoted);
    const ports = view.getInt32(quoted.transport);
    // The error is about a packet that went the other way.
    const entry = table.lookupWords(kind, this.#destination, this.#source, (ports << 16) | (ports >>> 16));
    const id = entry >> 1;
    if (entry !== 0 && (entry & 1) === REPLY) return this.#toClient(view, headers, quoted, id);
    const own = table.lookupWords(kind, this.#source, this.#destination, ports);
    if (own !== 0 && (own & 1) === REQUEST && !this.#isNat(own >> 1)) {
      // It goes to the client by itself, from the server's name, and counts as the server's, if it gets that far.
      if (hopsOf(view, headers) > 1) this.#countOut(own >> 1, headers);
      return PASS;
    }
    if (entry === 0 || records[(id << RECORD_SHIFT) + PORTS_REQUEST] >>> 16 === 0) return PASS;
    return this.#toServer(frames, headers, quoted, id, now);
  }

  /** About what the server sent to the client, from the client or a router. */
  #toServer(frames: FrameMemory, headers: Headers, quoted: Headers, id: number, now: number): number {
    const { view } = frames;
    const isNat = this.#isNat(id);
    if ((isNat || headers.family === 4) && !isIcmpValid(view, headers)) return DROP_CHECKSUM;
    const server = this.#connections.serverOf(id);
    if (server?.available === true) {
      server.counters[IN_PACKETS]++;
      server.counters[IN_BYTES] += headers.end - headers.ip;
    }
    if (isNat) {
      const { records } = this.#connections;
      const base = id << RECORD_SHIFT;
      putAddress(view, headers.family, headers.ip, false, records, base + DESTINATION, base + DESTINATION_6);
      putAddress(view, headers.family, quoted.ip, true, records, base + DESTINATION, base + DESTINATION_6);
      view.setUint16(quoted.transport, records[base + PORTS_REPLY] >>> 16);
      if (this.#isFullnat(id)) {
        putAddress(view, headers.family, headers.ip, true, records, base + LOCAL, base + LOCAL_6);
        putAddress(view, headers.family, quoted.ip, false, records, base + LOCAL, base + LOCAL_6);
        view.setUint16(quoted.transport + 2, records[base + PORTS_REPLY] & 0xffff);
      }
      mendIcmp(view, headers, quoted);
    }
    return this.#forwarder.request(frames, headers, id, server, true, now);
  }

  /** About what the client sent to the server, from the server or a router on the way. */
  #toClient(view: DataView, headers: Headers, quoted: Headers, id: number): number {
    if (!isIcmpValid(view, headers)) return DROP_CHECKSUM;
    if (hopsOf(view, headers) <= 1) return DROP_TTL;
    passHop(view, headers);
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    putAddress(view, headers.family, headers.ip, true, records, base + VIRTUAL, base + VIRTUAL_6);
    putAddress(view, headers.family, quoted.ip, false, records, base + VIRTUAL, base + VIRTUAL_6);
    view.setUint16(quoted.transport + 2, records[base + PORTS_REQUEST] & 0xffff);
    if (this.#isFullnat(id)) {
      putAddress(view, headers.family, headers.ip, false, records, base + CLIENT, base + CLIENT_6);
      putAddress(view, headers.family, quoted.ip, true, records, base + CLIENT, base + CLIENT_6);
      view.setUint16(quoted.transport, records[base + PORTS_REQUEST] >>> 16);
      this.#unshift(view, quoted, id);
    }
    mendIcmp(view, headers, quoted);
    this.#countOut(id, headers);
    return FORWARD;
  }

  #countOut(id: number, headers: Headers): void {
    const server = this.#connections.serverOf(id);
    if (server?.available !== true) return;
    server.counters[OUT_PACKETS]++;
    server.counters[OUT_BYTES] += headers.end - headers.ip;
  }

  /** The client knows its segments by its own numbers, and believes no error about others. */
  #unshift(view: DataView, { protocol, transport, end }: Headers, id: number): void {
    if (protocol !== IPPROTO_TCP || end - transport < TCP_SEQ + 4) return;
    const { records } = this.#connections;
    const shift = shiftToServer(records, this.#connections.extensionOf(id));
    view.setInt32(transport + TCP_SEQ, (view.getInt32(transport + TCP_SEQ) - shift) | 0);
  }

  #isFullnat(id: number): boolean {
    return (this.#connections.records[(id << RECORD_SHIFT) + FLAGS] & CONN_F_FULLNAT) !== 0;
  }

  #isNat(id: number): boolean {
    return (this.#connections.records[(id << RECORD_SHIFT) + FLAGS] & IP_VS_CONN_F_FWD_MASK) === IP_VS_CONN_F_MASQ;
  }

  /** Addresses of the quoted packet. */
  #read(view: DataView, { family, ip }: Headers): void {
    const source = ip + (family === 4 ? IPV4_SRC : IPV6_SRC);
    const destination = ip + (family === 4 ? IPV4_DST : IPV6_DST);
    for (let i = 0; i < 4; i++) {
      const isThere = family === 6 || i === 0;
      this.#source[i] = isThere ? view.getInt32(source + (i << 2)) : 0;
      this.#destination[i] = isThere ? view.getInt32(destination + (i << 2)) : 0;
    }
  }
}

function isError(family: number, type: number): boolean {
  if (family !== 4) return type < ICMPV6_INFORMATION;
  return type === ICMP_UNREACHABLE || type === ICMP_SOURCE_QUENCH || type === ICMP_TIME_EXCEEDED;
}
