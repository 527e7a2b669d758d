// SPDX-License-Identifier: Apache-2.0
// FULLNAT: both ends of a packet change, so that the server answers to the director whatever its routes are. The director
// opens the connection from a local address and port of its own; TCP gets another initial sequence number and no timestamps,
// so that clients behind one local end do not disturb each other; and the server may be told who the client is, by a TCP option
// or a header of the PROXY protocol. Asked by the forwarder for requests, by the director for replies.
// hot path: request, reply

import type { Address } from '../../packet/address.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';
import { Headers } from '../../packet/parse.ts';
import { TCP_ACK_FLAG, TCP_FLAGS, TCP_SEQ, TCP_SYN } from '../../packet/tcp.ts';
import { eraseOptions, reduceMss, TCPOPT_TIMESTAMP } from '../../packet/tcp-options.ts';
import type { Connections } from '../connection/connections.ts';
import {
  CLIENT,
  CLIENT_6,
  DESTINATION,
  DESTINATION_6,
  EXT_F_ANSWERED,
  EXT_F_PROXY,
  EXT_F_PROXY_V1,
  EXT_F_TOA,
  EXTENSION_FLAGS,
  KIND,
  LOCAL,
  LOCAL_6,
  PORTS_REPLY,
  PORTS_REQUEST,
  PROXY_WORDS,
  RECORD_SHIFT,
  SERVER_NEXT,
  SHIFT,
  VIRTUAL,
  VIRTUAL_6,
} from '../connection/layout.ts';
import type { HashSeed } from '../connection/table.ts';
import type { Departure } from '../forward/departure.ts';
import { DESTINATION as DESTINATION_END, rewriteIpv4, rewriteIpv6, SOURCE as SOURCE_END } from '../forward/nat.ts';
import { FRAME_HEADROOM, FRAME_SIZE, type FrameMemory } from '../frame-memory.ts';
import { type LocalAddressKey, type LocalAddressOptions, type LocalPoolSnapshot, LvsError } from '../model.ts';
import type { Server } from '../service/server.ts';
import type { Service } from '../service/service.ts';
import { prependProxyHeader } from '../stream/proxy-datagram.ts';
import { PROXY_MAX, writeProxyV1, writeProxyV2 } from '../stream/proxy-protocol.ts';
import {
  openProxyStream,
  PROXY_DROP,
  PROXY_HEADER_FIRST,
  PROXY_HEADER_ONLY,
  proxyReply,
  proxyRequest,
  writeHeaderSegment,
} from '../stream/proxy-stream.ts';
import { shiftReply, shiftRequest } from '../stream/sequence-shift.ts';
import { addToa, TCPOPT_TOA, TOA_LENGTH_IPV4, TOA_LENGTH_IPV6, TOA_RESULTS } from '../stream/toa.ts';
import { InitialSequence } from './initial-sequence.ts';
import { LocalAddresses, NO_PORT } from './local-addresses.ts';

/** Pool of services that name none. */
export const DEFAULT_POOL = 'default';
/** Units of 4 µs in a tick. */
const CLOCK_PER_TICK = 2500;
/** Room behind a datagram of reassembly. */
const DATAGRAM_TAILROOM = 64;

/** The packet goes on. */
export const FULLNAT_OK = 0;
/** It may not: it claims a place that is the director's, or there is no room for what must go before it. */
export const FULLNAT_DROP = 1;

export class Fullnat {
  /** Segments by what became of their TOA option; indexed as TOA_RESULT_NAMES. */
  readonly toa: Float64Array = new Float64Array(TOA_RESULTS);
  /** Told of all addresses that servers may answer to. */
  onChange: (addresses: readonly Address[]) => void = () => {};
  readonly #connections: Connections;
  readonly #departure: Departure;
  readonly #seed: HashSeed;
  readonly #sequence: InitialSequence;
  readonly #header = new Uint8Array(PROXY_MAX);
  readonly #made = new Headers();
  readonly #client = new Int32Array(4);
  readonly #virtual = new Int32Array(4);
  /** Made with the first pool: it reserves memory. */
  #locals: LocalAddresses | undefined = undefined;

  constructor(connections: Connections, departure: Departure, seed: HashSeed) {
    this.#connections = connections;
    this.#departure = departure;
    this.#seed = { k0: seed.k1 ^ 0x5bd1e995, k1: seed.k0 ^ 0x27d4eb2d };
    this.#sequence = new InitialSequence({ k0: seed.k0 ^ 0x165667b1, k1: seed.k1 ^ 0x85ebca77 });
    connections.onLeaseEnd = (lease) => this.giveBack(lease);
  }

  /** Adds an address to a pool, which is made with its first one. Throws LvsError EINVAL, EEXIST. */
  addAddress({ pool: name, address }: LocalAddressKey, options: LocalAddressOptions): void {
    this.#locals ??= new LocalAddresses({ seed: this.#seed });
    const locals = this.#locals;
    const known = locals.findPool(name);
    const pool = known ?? locals.createPool(name);
    try {
      locals.addAddress(pool, { address, ...options });
    } catch (error) {
      if (known === undefined) locals.removePool(name);
      throw error;
    }
    this.onChange(locals.inUse());
  }

  /** Takes an address out of its pool; connections that have a port of it go on. Throws LvsError ENOENT. */
  deleteAddress({ pool: name, address }: LocalAddressKey): void {
    const locals = this.#locals;
    const pool = locals?.findPool(name);
    if (locals === undefined || pool === undefined) throw new LvsError('ENOENT', `no local address pool '${name}'`);
    locals.removeAddress(pool, address);
    if (pool.ipv4.length + pool.ipv6.length === 0) locals.removePool(name);
    this.onChange(locals.inUse());
  }

  snapshot(): LocalPoolSnapshot[] {
    return this.#locals?.snapshot() ?? [];
  }

  /** The local addresses, if there ever were any. */
  get locals(): LocalAddresses | undefined {
    return this.#locals;
  }

  /** A local end for a connection to `server` at `port`: a lease, above 0, whose end {@link locals} holds; or 0. */
  take(service: Service, server: Server, protocol: number, port: number): number {
    const locals = this.#locals;
    const pool = locals?.findPool(service.tuning.localPool ?? DEFAULT_POOL);
    if (locals === undefined || pool === undefined) return NO_PORT;
    return Math.max(NO_PORT, locals.take(pool, server.family, protocol, server.words, port));
  }

  /** Takes back what {@link take} gave, for which there was no connection, or none any more. */
  giveBack(lease: number): void {
    this.#locals?.giveBack(lease);
  }

  /** Prepares the new connection `id`, which has a local end and was opened by the packet in `headers`. */
  open(view: DataView, headers: Headers, id: number, service: Service, now: number): void {
    const extension = this.#connections.extensionOf(id);
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    const { clientAddress } = service.tuning;
    let flags = 0;
    if (clientAddress === 'toa') flags = EXT_F_TOA;
    else if (clientAddress !== undefined) flags = EXT_F_PROXY | (clientAddress === 'proxy-v1' ? EXT_F_PROXY_V1 : 0);
    records[extension + EXTENSION_FLAGS] = flags;
    if (headers.protocol !== IPPROTO_TCP) return;

    const reply = records[base + PORTS_REPLY];
    this.#read(base, LOCAL, LOCAL_6, this.#client);
    this.#read(base, DESTINATION, DESTINATION_6, this.#virtual);
    const clock = Math.imul(now, CLOCK_PER_TICK);
    const first = this.#sequence.of(headers.family, this.#client, reply & 0xffff, this.#virtual, reply >>> 16, clock);
    records[extension + SHIFT] = (first - view.getInt32(headers.transport + TCP_SEQ)) | 0;
    if ((flags & EXT_F_PROXY) !== 0) {
      const length = this.#writeHeader(base, (flags & EXT_F_PROXY_V1) !== 0);
      openProxyStream(records, extension + PROXY_WORDS, first, length);
    }
  }

  /** A client's packet, to be sent to its server; `mtu` is the way's. */
  request(frames: FrameMemory, headers: Headers, id: number, mtu: number, toaKind: number): number {
    const { view } = frames;
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    const extension = this.#connections.extensionOf(id);
    const flags = records[extension + EXTENSION_FLAGS];
    if (headers.protocol === IPPROTO_TCP) {
      if ((view.getUint8(headers.transport + TCP_FLAGS) & TCP_SYN) !== 0) eraseOptions(view, headers, TCPOPT_TIMESTAMP);
      shiftRequest(view, headers, records[extension + SHIFT]);
      if ((flags & EXT_F_TOA) !== 0) this.#addToa(frames, headers, base, extension, mtu, toaKind);
    } else if (headers.protocol === IPPROTO_UDP && (flags & (EXT_F_PROXY | EXT_F_ANSWERED)) === EXT_F_PROXY) {
      this.#introduce(frames, headers, base, mtu);
    }
    this.#rewrite(view, headers, SOURCE_END, base, LOCAL, LOCAL_6, records[base + PORTS_REPLY] & 0xffff);
    const serverPort = records[base + PORTS_REPLY] >>> 16;
    this.#rewrite(view, headers, DESTINATION_END, base, DESTINATION, DESTINATION_6, serverPort);
    if ((flags & EXT_F_PROXY) === 0 || headers.protocol !== IPPROTO_TCP) return FULLNAT_OK;
    return this.#putHeader(frames, headers, base, extension, (flags & EXT_F_PROXY_V1) !== 0);
  }

  /** A server's packet, to be sent to its client. */
  reply(view: DataView, headers: Headers, id: number): void {
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    const extension = this.#connections.extensionOf(id);
    const flags = records[extension + EXTENSION_FLAGS];
    if (headers.protocol === IPPROTO_TCP) {
      const bits = view.getUint8(headers.transport + TCP_FLAGS) & (TCP_SYN | TCP_ACK_FLAG);
      if (bits === (TCP_SYN | TCP_ACK_FLAG)) this.#synAck(view, headers, extension, flags);
      if ((flags & EXT_F_PROXY) !== 0) proxyReply(view, headers, records, extension + PROXY_WORDS);
      shiftReply(view, headers, records[extension + SHIFT]);
    } else {
      records[extension + EXTENSION_FLAGS] = flags | EXT_F_ANSWERED;
    }
    this.#rewrite(view, headers, SOURCE_END, base, VIRTUAL, VIRTUAL_6, records[base + PORTS_REQUEST] & 0xffff);
    this.#rewrite(view, headers, DESTINATION_END, base, CLIENT, CLIENT_6, records[base + PORTS_REQUEST] >>> 16);
  }

  #synAck(view: DataView, headers: Headers, extension: number, flags: number): void {
    const { records } = this.#connections;
    records[extension + SERVER_NEXT] = (view.getInt32(headers.transport + TCP_SEQ) + 1) | 0;
    records[extension + EXTENSION_FLAGS] = flags | EXT_F_ANSWERED;
    if ((flags & EXT_F_TOA) !== 0) reduceMss(view, headers, headers.family === 4 ? TOA_LENGTH_IPV4 : TOA_LENGTH_IPV6);
  }

  #addToa(frames: FrameMemory, headers: Headers, base: number, extension: number, mtu: number, kind: number): void {
    const { records } = this.#connections;
    if ((records[extension + EXTENSION_FLAGS] & EXT_F_ANSWERED) === 0) return;
    const before = headers.end;
    const result = addToa(
      frames,
      headers,
      records[extension + SERVER_NEXT],
      kind === 0 ? TCPOPT_TOA : kind,
      headers.family,
      records[base + CLIENT],
      records[base + CLIENT_6],
      records[base + CLIENT_6 + 1],
      records[base + CLIENT_6 + 2],
      records[base + PORTS_REQUEST] >>> 16,
      Math.min(this.#limit(headers), headers.ip + mtu),
    );
    this.toa[result]++;
    this.#departure.length += headers.end - before;
  }

  /** Puts the header before a datagram of a client whom the server does not know yet. */
  #introduce(frames: FrameMemory, headers: Headers, base: number, mtu: number): void {
    const length = this.#writeHeader(base, false);
    const before = headers.end;
    if (!prependProxyHeader(frames, headers, this.#header, length, this.#limit(headers))) return;
    const departure = this.#departure;
    departure.length += headers.end - before;
    departure.isOwn = true;
    if (headers.end - headers.ip > mtu) departure.fragmentMtu = mtu;
  }

  /** Keeps the header's place in the client's stream, and sends the header when it is due. */
  #putHeader(frames: FrameMemory, headers: Headers, base: number, extension: number, isV1: boolean): number {
    const { records } = this.#connections;
    const words = extension + PROXY_WORDS;
    const before = headers.end;
    const what = proxyRequest(frames, headers, records, words);
    const departure = this.#departure;
    departure.length += headers.end - before;
    if (what === PROXY_DROP) return FULLNAT_DROP;
    if (what !== PROXY_HEADER_FIRST && what !== PROXY_HEADER_ONLY) return FULLNAT_OK;
    this.#writeHeader(base, isV1);
    const at = what === PROXY_HEADER_ONLY ? departure.frame : departure.frame - FRAME_HEADROOM;
    const limit = what === PROXY_HEADER_ONLY ? this.#limit(headers) : departure.frame;
    const length = writeHeaderSegment(frames, headers, records, words, this.#header, at, limit, this.#made);
    if (length === 0) return FULLNAT_DROP;
    if (what === PROXY_HEADER_ONLY) {
      departure.length = length;
      headers.end = departure.frame + length;
    } else {
      departure.before = at;
      departure.beforeLength = length;
    }
    return FULLNAT_OK;
  }

  /** Writes the connection's header to `#header`; returns its length. */
  #writeHeader(base: number, isV1: boolean): number {
    const { records } = this.#connections;
    const ports = records[base + PORTS_REQUEST];
    this.#read(base, CLIENT, CLIENT_6, this.#client);
    this.#read(base, VIRTUAL, VIRTUAL_6, this.#virtual);
    const ends = {
      family: (records[base + KIND] & 0xff) === 4 ? 4 : 6,
      protocol: (records[base + KIND] >>> 8) & 0xff,
      source: this.#client,
      sourcePort: ports >>> 16,
      destination: this.#virtual,
      destinationPort: ports & 0xffff,
    } as const;
    return isV1 ? writeProxyV1(this.#header, ends) : writeProxyV2(this.#header, ends);
  }

  /** Where the packet may end. */
  #limit(headers: Headers): number {
    const { datagram, frame } = this.#departure;
    return datagram === undefined ? (frame & -FRAME_SIZE) + FRAME_SIZE : headers.end + DATAGRAM_TAILROOM;
  }

  #read(base: number, word: number, rest: number, $words: Int32Array): void {
    const { records } = this.#connections;
    const isIpv4 = (records[base + KIND] & 0xff) === 4;
    $words[0] = records[base + word];
    for (let i = 0; i < 3; i++) $words[1 + i] = isIpv4 ? 0 : records[base + rest + i];
  }

  #rewrite(
    view: DataView,
    headers: Headers,
    end: number,
    base: number,
    word: number,
    rest: number,
    port: number,
  ): void {
    const { records } = this.#connections;
    if (headers.family === 4) {
      rewriteIpv4(view, headers, end, records[base + word], port);
      return;
    }
    const more = base + rest;
    rewriteIpv6(view, headers, end, records[base + word], records[more], records[more + 1], records[more + 2], port);
  }
}

/** By how much the numbers that the client of a connection with this extension sends differ from what its server sees. */
export function shiftToServer(records: Int32Array, extension: number): number {
  if (extension === 0) return 0;
  const header =
    (records[extension + EXTENSION_FLAGS] & EXT_F_PROXY) !== 0 ? records[extension + PROXY_WORDS + 1] & 0xff : 0;
  return (records[extension + SHIFT] + header) | 0;
}
