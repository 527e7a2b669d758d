// SPDX-License-Identifier: Apache-2.0
// The director: a packet and the time go in, a rewritten packet and a verdict come out. It holds services, servers and
// connections and knows nothing of devices, sockets or clocks, so it runs the same in a test, over a capture and behind
// XDP. The order of decisions is that of the kernel (ip_vs_in_hook and ip_vs_out_hook in ip_vs_core.c).
// hot path: process()

import { ETH_HLEN, ETH_P_IP } from '../packet/ethernet.ts';
import {
  ICMP_PORT_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  makeIcmpError,
  makeIcmpv6Error,
} from '../packet/icmp.ts';
import { IPPROTO_TCP, IPV4_DST, IPV4_HLEN, IPV4_PROTOCOL, IPV4_SRC, IPV4_TTL } from '../packet/ipv4.ts';
import { IPV6_DST, IPV6_HOPS, IPV6_SRC } from '../packet/ipv6.ts';
import { Headers, PARSE_FRAGMENT, PARSE_MALFORMED, PARSE_NOT_IP, parseFrame } from '../packet/parse.ts';
import { TCP_FLAGS, TCP_RST, TCP_SYN } from '../packet/tcp.ts';
import { Connections, isTracked } from './connection/connections.ts';
import {
  type ConnectionMemory,
  EGRESS,
  EXPIRES,
  PORTS_REQUEST,
  RECORD_SHIFT,
  REPLY,
  REQUEST,
  SERVER,
  VIRTUAL,
  VIRTUAL_6,
} from './connection/layout.ts';
import type { HashSeed } from './connection/table.ts';
import { IcmpLimit } from './defence/icmp-limit.ts';
import { DESTINATION, rewriteIpv4, rewriteIpv6, SOURCE } from './forward/nat.ts';
import type { Server } from './service/server.ts';
import type { Service } from './service/service.ts';
import { ServiceList, type ServiceObserver } from './service/service-list.ts';
import { ESTIMATION_TICKS, IN_BYTES, IN_PACKETS, OUT_BYTES, OUT_PACKETS } from './service/traffic.ts';
import {
  ANSWER,
  DROP_LOOPBACK,
  DROP_MALFORMED,
  DROP_NO_SERVER,
  DROP_SERVER_GONE,
  DROP_TABLE_FULL,
  DROP_TTL,
  FORWARD,
  PASS,
  VERDICT_NAMES,
} from './verdict.ts';

/** TCP and UDP port of active FTP's data connections, which are never scheduled. */
const FTP_DATA = 20;
/** Most connections that one {@link Director.tick} ends. */
const EXPIRY_BUDGET = 1024;

/** Largest batch that can be foreseen. */
export const MAX_BATCH = 64;
/** Place of a packet that was not. */
const NOT_FORESEEN = -1;
/** Shortest frame with ports behind an IPv4 header without options. */
const PLAIN_LENGTH: number = ETH_HLEN + IPV4_HLEN + 4;

/** The frames' memory as the director needs it: two views of one buffer, for their whole life. */
export interface FrameMemory {
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

export interface DirectorOptions {
  readonly memory: ConnectionMemory;
  /** Random words from outside. */
  readonly seed: HashSeed;
  /** Current tick; ticks of 10 ms, wrapping at 32 bits. */
  readonly now: number;
  readonly observer?: ServiceObserver;
}

export class Director {
  readonly services: ServiceList;
  readonly connections: Connections;
  /** Packets by verdict, indexed as VERDICT_NAMES. */
  readonly verdicts: Float64Array = new Float64Array(VERDICT_NAMES.length);
  /** Bytes of the frame that the last FORWARD or ANSWER left where the packet was. */
  frameLength = 0;
  /**
   * After a FORWARD to a client: index into the connections' records of the word in which the data plane may keep how
   * packets get there, else 0.
   */
  egressWord = 0;
  /** Where the headers of the frame last processed are. */
  readonly headers: Headers = new Headers();

  readonly #icmpLimit: IcmpLimit;
  /** By place in the batch: hash, whether there is one, head of its chain. */
  readonly #hashes = new Int32Array(MAX_BATCH);
  readonly #known = new Uint8Array(MAX_BATCH);
  readonly #heads = new Int32Array(MAX_BATCH);
  /** Result of the loads of {@link foresee}, which would be optimized away without one. */
  touched = 0;
  #icmpId: number;
  #estimateAt: number;

  constructor(options: DirectorOptions) {
    this.services = new ServiceList(options.observer);
    this.connections = new Connections(options.memory, options.seed, this.services.serversByIndex, options.now);
    this.#icmpLimit = new IcmpLimit(options.now);
    this.#icmpId = options.seed.k0 & 0xffff;
    this.#estimateAt = (options.now + ESTIMATION_TICKS) | 0;
  }

  /**
   * Time passes: ends connections whose timers ran out and steps the rate estimators. Once per batch. True when more
   * connections are due than one call may end: call again soon.
   */
  tick(now: number): boolean {
    this.connections.expire(now, EXPIRY_BUDGET);
    while (((now - this.#estimateAt) | 0) >= 0) {
      this.services.estimate();
      this.#estimateAt = (this.#estimateAt + ESTIMATION_TICKS) | 0;
    }
    return this.connections.lags(now);
  }

  /**
   * Decides about the Ethernet frame of `length` bytes at `frame` and rewrites it in place. The frame's slot must have
   * 48 bytes of room behind it, for an ICMP error. Returns a verdict; after FORWARD and ANSWER `frameLength` is set.
   */
  process(frames: FrameMemory, frame: number, length: number, now: number): number {
    return this.#count(this.#decide(frames, frame, length, now, NOT_FORESEEN));
  }

  /** {@link process} for the packet at `place` of the batch, which was foreseen. */
  processForeseen(frames: FrameMemory, frame: number, length: number, now: number, place: number): number {
    return this.#count(this.#decide(frames, frame, length, now, place));
  }

  /**
   * Brings what the packets of a batch will need into the CPU's cache, all at once: hashes first, then the buckets, then
   * the records. Each step is a loop of loads that do not depend on one another, so their waits overlap; packet by packet
   * they would add up (864 → 409 ns at 1 M flows, bench/engine.ts). Changes nothing, and trusts nothing: frames are not
   * checked yet.
   */
  foresee(frames: FrameMemory, offsets: Int32Array, lengths: Int32Array, count: number): void {
    const view = frames.view;
    const { table, records } = this.connections;
    const hashes = this.#hashes;
    const known = this.#known;
    for (let i = 0; i < count; i++) {
      const ip = offsets[i] + ETH_HLEN;
      known[i] = 0;
      if (lengths[i] < PLAIN_LENGTH || view.getUint16(ip - 2) !== ETH_P_IP || view.getUint8(ip) !== 0x45) continue;
      const kind = (view.getUint8(ip + IPV4_PROTOCOL) << 8) | 4;
      const ports = view.getInt32(ip + IPV4_HLEN);
      hashes[i] = table.hashIpv4(kind, view.getInt32(ip + IPV4_SRC), view.getInt32(ip + IPV4_DST), ports);
      known[i] = 1;
    }
    const heads = this.#heads;
    for (let i = 0; i < count; i++) heads[i] = table.head(hashes[i]);
    let touched = 0;
    for (let i = 0; i < count; i++) touched ^= records[((heads[i] >> 1) << RECORD_SHIFT) + EXPIRES];
    this.touched = touched;
  }

  #count(verdict: number): number {
    this.verdicts[verdict]++;
    return verdict;
  }

  #decide(frames: FrameMemory, frame: number, length: number, now: number, place: number): number {
    const view = frames.view;
    const headers = this.headers;
    const parsed = parseFrame(view, frame, length, headers);
    if (parsed >= PARSE_MALFORMED) return DROP_MALFORMED + parsed - PARSE_MALFORMED;
    if (parsed === PARSE_NOT_IP || parsed === PARSE_FRAGMENT || !isTracked(headers.protocol)) return PASS;

    this.frameLength = headers.end - frame;
    this.egressWord = 0;
    const entry = this.#lookup(view, place);
    if (entry === 0) return this.#first(frames, now);
    const id = entry >> 1;
    if ((entry & 1) !== REQUEST) return this.#reply(view, id, now);
    if (this.#startsConnection(view) && this.connections.isOver(id)) {
      this.connections.close(id);
      return this.#first(frames, now);
    }
    return this.#request(frames, id, now);
  }

  #lookup(view: DataView, place: number): number {
    const { family, ip, transport, protocol } = this.headers;
    const kind = (protocol << 8) | family;
    const ports = view.getInt32(transport);
    const table = this.connections.table;
    if (family !== 4) return table.lookupIpv6(kind, view, ip + IPV6_SRC, ports);
    const source = view.getInt32(ip + IPV4_SRC);
    const destination = view.getInt32(ip + IPV4_DST);
    const isForeseen = place !== NOT_FORESEEN && this.#known[place] === 1;
    const hash = isForeseen ? this.#hashes[place] : table.hashIpv4(kind, source, destination, ports);
    return table.lookupIpv4(kind, source, destination, ports, hash);
  }

  /** A packet that belongs to no connection: the first of one, if it is for a service. */
  #first(frames: FrameMemory, now: number): number {
    const view = frames.view;
    const headers = this.headers;
    if (headers.protocol === IPPROTO_TCP && !this.#startsConnection(view)) return PASS;
    const ports = view.getInt32(headers.transport);
    const service = this.#findService(view, ports & 0xffff);
    if (service === undefined || ports >>> 16 === FTP_DATA || !this.#isFromHost(view)) return PASS;
    const server = service.schedule();
    if (server === undefined) return this.#answer(frames, ICMP_UNREACHABLE, DROP_NO_SERVER, now);
    const id = this.connections.open(view, headers, server);
    if (id === 0) return DROP_TABLE_FULL;
    return this.#request(frames, id, now);
  }

  #findService(view: DataView, port: number): Service | undefined {
    const { family, ip, protocol } = this.headers;
    const kind = (protocol << 8) | family;
    const table = this.services.table;
    if (family === 4) return table.findIpv4(kind, view.getInt32(ip + IPV4_DST), port);
    return table.findIpv6(kind, view, ip + IPV6_DST, port);
  }

  /** Whether the source can be one host's; the kernel drops others as martians, and no error may be sent to them. */
  #isFromHost(view: DataView): boolean {
    const { family, ip } = this.headers;
    if (family === 4) {
      const source = view.getInt32(ip + IPV4_SRC);
      const top = source >>> 24;
      return top !== 0 && top !== 127 && (top < 224 || top >= 240) && source !== -1;
    }
    const at = ip + IPV6_SRC;
    const isMulticast = view.getUint8(at) === 0xff;
    // ::/127 is the unspecified address and loopback.
    const others = view.getInt32(at) | view.getInt32(at + 4) | view.getInt32(at + 8) | (view.getInt32(at + 12) & ~1);
    return !isMulticast && others !== 0;
  }

  /** SYN without RST: the only segment that opens a connection. */
  #startsConnection(view: DataView): boolean {
    const headers = this.headers;
    if (headers.protocol !== IPPROTO_TCP) return false;
    return (view.getUint8(headers.transport + TCP_FLAGS) & (TCP_SYN | TCP_RST)) === TCP_SYN;
  }

  /** Client to server. */
  #request(frames: FrameMemory, id: number, now: number): number {
    const view = frames.view;
    const headers = this.headers;
    const server = this.services.serversByIndex[this.connections.records[(id << RECORD_SHIFT) + SERVER]] as Server;
    if (!server.available) return DROP_SERVER_GONE;
    server.counters[IN_PACKETS]++;
    server.counters[IN_BYTES] += headers.end - headers.ip;
    this.connections.advance(id, REQUEST, view, headers, now);
    if (this.#hops(view) <= 1) return this.#answer(frames, ICMP_TIME_EXCEEDED, DROP_TTL, now);
    const words = server.words;
    if (headers.family === 4) {
      if (words[0] >>> 24 === 127) return DROP_LOOPBACK;
      rewriteIpv4(view, headers, DESTINATION, words[0], server.port);
    } else {
      rewriteIpv6(view, headers, DESTINATION, words[0], words[1], words[2], words[3], server.port);
    }
    return FORWARD;
  }

  /** Server to client. */
  #reply(view: DataView, id: number, now: number): number {
    const headers = this.headers;
    const records = this.connections.records;
    const base = id << RECORD_SHIFT;
    const server = this.services.serversByIndex[records[base + SERVER]] as Server;
    // The kernel would answer the server from an address of the director's own, which the director does not know.
    if (this.#hops(view) <= 1) return DROP_TTL;
    const port = records[base + PORTS_REQUEST] & 0xffff;
    if (headers.family === 4) {
      rewriteIpv4(view, headers, SOURCE, records[base + VIRTUAL], port);
    } else {
      const rest = base + VIRTUAL_6;
      rewriteIpv6(
        view,
        headers,
        SOURCE,
        records[base + VIRTUAL],
        records[rest],
        records[rest + 1],
        records[rest + 2],
        port,
      );
    }
    if (server.available) {
      server.counters[OUT_PACKETS]++;
      server.counters[OUT_BYTES] += headers.end - headers.ip;
    }
    this.connections.advance(id, REPLY, view, headers, now);
    this.egressWord = base + EGRESS;
    return FORWARD;
  }

  #hops(view: DataView): number {
    const { family, ip } = this.headers;
    return view.getUint8(ip + (family === 4 ? IPV4_TTL : IPV6_HOPS));
  }

  /** Turns the packet into an ICMP error to its sender, from the virtual address; `otherwise` when none may be sent. */
  #answer(frames: FrameMemory, type: number, otherwise: number, now: number): number {
    if (!this.#icmpLimit.allow(now)) return otherwise;
    const { family, ip, end } = this.headers;
    const frame = ip - ETH_HLEN;
    const isUnreachable = type === ICMP_UNREACHABLE;
    let length: number;
    if (family === 4) {
      this.#icmpId = (this.#icmpId + 1) & 0xffff;
      const code = isUnreachable ? ICMP_PORT_UNREACHABLE : 0;
      length = makeIcmpError(frames.view, frames.bytes, ip, end - ip, type, code, this.#icmpId);
    } else {
      const type6 = isUnreachable ? ICMPV6_UNREACHABLE : ICMPV6_TIME_EXCEEDED;
      const code = isUnreachable ? ICMPV6_PORT_UNREACHABLE : 0;
      length = makeIcmpv6Error(frames.view, frames.bytes, ip, end - ip, type6, code);
    }
    this.frameLength = ip - frame + length;
    return ANSWER;
  }
}
