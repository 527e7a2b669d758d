// SPDX-License-Identifier: Apache-2.0
// The connection table's memory, named once. One buffer that never grows or moves holds everything; it is reserved for
// the configured maximum and the kernel commits its pages as they are touched, so that memory follows the connections.
//
//   control (64 words) | buckets (1 word each) | timer slots (1 word each) | records (32 words each)
//
// A record is 128 bytes, two cache lines. The first holds what an established IPv4 packet needs in either direction,
// the second the rest of IPv6 addresses and the timer's links. Record 0 is "none". Words are signed 32-bit integers,
// addresses and port pairs as `DataView.getInt32` reads them off the wire.
//
//   0 next in chain, request key    8 local address         16 … 18 client address, IPv6 words 1 … 3
//   1 next in chain, reply key      9 flags                 19 … 21 virtual address
//   2 protocol << 8 | family       10 expires, tick         22 … 24 destination address
//   3 client port, virtual port    11 extension, state      25 … 27 local address
//   4 destination port, local port 12 server                28 next in timer slot
//   5 client address               13 packets in            29 previous in timer slot
//   6 virtual address              14 timeout, ticks        30 controlling template
//   7 destination address          15 egress of replies     31 controlled connections
//
// Word 15 is the data plane's own: how replies of this connection leave. The local address and port are what the server
// sees as its peer: the client's own with NAT. A persistence template is a record whose protocol word has KIND_TEMPLATE;
// its client address is masked, its client port 0, its state TEMPLATE_ASSURED or 0, its words 30 and 31 say which
// connections hang on it; FTP's data connections hang on their control connection in the same way. One that is expected
// from a client port that nobody knows yet has KIND_EXPECTED and client port 0. Word 31 of a connection with CONN_F_TIMED is instead when it was opened, in µs. Word 0 of a
// connection from port 0 that has a reply key is the entry before it in that chain. The low 8 bits of word 11 are the state,
// those above name the connection's extension, if it has one: another record, for what few connections need.

//
// An extension's own words, of which 0 and 2 stay 0 while it is in use (no walk takes it for a connection):
//
//   3 lease of the local end        8 … 10 PROXY header's place in the stream
//   4 shift of the client's numbers 12 … 17 sequence numbers that a helper shifted
//                                 18 … 28 what FTP's helper remembers
//   5 what the server's SYN is acknowledged by
//   6 flags

export const RECORD_WORDS = 32;
export const RECORD_SHIFT = 5;

export const NEXT_REQUEST = 0;
export const NEXT_REPLY = 1;
export const KIND = 2;
export const PORTS_REQUEST = 3;
export const PORTS_REPLY = 4;
export const CLIENT = 5;
export const VIRTUAL = 6;
export const DESTINATION = 7;
export const LOCAL = 8;
export const FLAGS = 9;
export const EXPIRES = 10;
export const STATE = 11;
export const SERVER = 12;
export const IN_PACKETS = 13;
export const TIMEOUT = 14;
export const EGRESS = 15;
export const CLIENT_6 = 16;
export const VIRTUAL_6 = 19;
export const DESTINATION_6 = 22;
export const LOCAL_6 = 25;
export const TIMER_NEXT = 28;
export const TIMER_PREVIOUS = 29;

export const CONTROL = 30;
export const CHILDREN = 31;

/** Bits of the word at STATE that are the state. */
export const STATE_MASK = 0xff;
/** Above them the extension's record. */
export const EXTENSION_SHIFT = 8;

export const LEASE = 3;
export const SHIFT = 4;
export const SERVER_NEXT = 5;
export const EXTENSION_FLAGS = 6;
export const PROXY_WORDS = 8;
export const HELPER_WORDS = 12;

/** The server has answered: SERVER_NEXT is known, or for UDP that the client needs no introduction any more. */
export const EXT_F_ANSWERED = 1;
/** The server hears of the client by TOA, or by a PROXY header, of version 1. */
export const EXT_F_TOA = 2;
export const EXT_F_PROXY = 4;
export const EXT_F_PROXY_V1 = 8;

/** Bit of a template's KIND, so that no packet's key is ever a template's. */
export const KIND_TEMPLATE = 0x10000;
/** Bit of a template's KIND whose key is its persistence engine's data: no lookup by address finds it. */
export const KIND_ENGINE = 0x20000;
/** Bit of the KIND of a connection that is expected from any port of its client: looked up when nothing else is found. */
export const KIND_EXPECTED = 0x40000;

/** State of a template: a connection of it has proved real (IP_VS_CTPL_S_ASSURED). */
export const TEMPLATE_ASSURED = 1;

/** Directions of a connection: which of its two keys a packet matches. */
export const REQUEST = 0;
export const REPLY = 1;

/** Connection flags, bits of the kernel's uapi (linux/ip_vs.h). */
export const IP_VS_CONN_F_FWD_MASK = 0x0007;
export const IP_VS_CONN_F_MASQ = 0x0000;
export const IP_VS_CONN_F_TUNNEL = 0x0002;
export const IP_VS_CONN_F_DROUTE = 0x0003;
export const IP_VS_CONN_F_BYPASS = 0x0004;
/** Replies do not pass here: the INPUT-ONLY state table. */
export const IP_VS_CONN_F_NOOUTPUT = 0x0080;
export const IP_VS_CONN_F_INACTIVE = 0x0100;
export const IP_VS_CONN_F_TEMPLATE = 0x1000;
/** Of one packet only: never found again. */
export const IP_VS_CONN_F_ONE_PACKET = 0x2000;
/** Local to this director (the kernel's bits end at 15): the connection is found by its reply key too. */
export const CONN_F_REPLY_KEY = 0x10000;
/** Local to this director: word 30 names a template or a control connection. */
export const CONN_F_CONTROLLED = 0x20000;
/** Local to this director: FULLNAT, which is NAT with a local end of the director's. */
export const CONN_F_FULLNAT = 0x80000;
/** Local to this director: the answer to its SYN is awaited, word 31 says since when. */
export const CONN_F_TIMED = 0x40000;

/** One tick is 10 ms: fine enough for every timeout, and 31 days (the longest) still fit 31 bits. */
export const TICKS_PER_SECOND = 100;
export const MS_PER_TICK = 10;

/** A timer slot covers this many ticks (as a shift); expiry is at most that late, never early. */
export const TIMER_SHIFT = 3;
/** Slots of the timer wheel: 16384 × 80 ms = 1310 s, behind the default of every timeout. */
export const TIMER_SLOTS = 16384;

const CONTROL_WORDS = 64;

/** The table's memory, cut into its parts. */
export interface ConnectionMemory {
  readonly maxConnections: number;
  readonly buckets: Int32Array;
  readonly timers: Int32Array;
  readonly records: Int32Array;
}

/** Buckets reserved for `maxConnections`: two per key, two keys a connection, rounded up to a power of two. */
function bucketCapacity(maxConnections: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(maxConnections * 4, MIN_BUCKETS)));
}

/** Buckets that a table starts with and never falls below. */
export const MIN_BUCKETS = 4096;

/** Most connections a table can be made for: a record's number must fit above the state. */
export const MAX_CONNECTIONS: number = 2 ** 24 - 1;

/** Bytes that a table of `maxConnections` reserves. */
export function connectionMemoryBytes(maxConnections: number): number {
  const words = CONTROL_WORDS + bucketCapacity(maxConnections) + TIMER_SLOTS + (maxConnections + 1) * RECORD_WORDS;
  return words * 4;
}

/** Cuts `buffer` (zeroed, of {@link connectionMemoryBytes}) into a table's parts. Records start on a cache line. */
export function layConnectionMemory(buffer: ArrayBuffer, maxConnections: number): ConnectionMemory {
  if (!(maxConnections >= 1 && maxConnections <= MAX_CONNECTIONS)) {
    throw new RangeError(`connection table for ${maxConnections} connections: 1 … ${MAX_CONNECTIONS} can be had`);
  }
  const capacity = bucketCapacity(maxConnections);
  let at = CONTROL_WORDS * 4;
  const take = (words: number): Int32Array => {
    const part = new Int32Array(buffer, at, words);
    at += words * 4;
    return part;
  };
  return {
    maxConnections,
    buckets: take(capacity),
    timers: take(TIMER_SLOTS),
    records: take((maxConnections + 1) * RECORD_WORDS),
  };
}
