// SPDX-License-Identifier: Apache-2.0
// What the director says about a packet. Small integers on the hot path, each with a counter and a name.

import { MALFORMED_NAMES, PARSE_MALFORMED, PARSE_TRUNCATED_TRANSPORT } from '../packet/parse.ts';

/** Not the director's: back to the kernel, unchanged. */
export const PASS = 0;
/** Rewritten in place: send it to its new destination. */
export const FORWARD = 1;
/** The frame now holds an answer to its sender (an ICMP error): send it to its destination. */
export const ANSWER = 2;
/** From here on: drop, for the reason that the number names. The connection's server is not in its service any more. */
export const DROP_SERVER_GONE = 3;
/** No server can take the connection, and the limit of ICMP errors is reached. */
export const DROP_NO_SERVER = 4;
export const DROP_TABLE_FULL = 5;
/** TTL or hop limit used up. */
export const DROP_TTL = 6;
/** NAT to a loopback address would leave the machine. */
export const DROP_LOOPBACK = 7;
/** Dropped by the defence (drop_packet). */
export const DROP_DEFENCE = 8;
/** Persistence needs what the packet does not carry, a Call-ID. */
export const DROP_NO_IDENTITY = 9;
/** Of a connection that is being reset: the deadline of its server's drain has passed. */
export const DROP_RESET = 10;
/** A connection that bypasses the servers would go to the machine itself (IPv6, as in the kernel). */
export const DROP_LOCAL_BYPASS = 11;
/** For a server that is this machine itself: to the kernel, rewritten in place. */
export const LOCAL = 12;
/** The machine knows no way to the server, and the limit of ICMP errors is reached. */
export const DROP_NO_ROUTE = 13;
/** Too long for the way to the server, and nobody could be told. */
export const DROP_MTU = 14;
/** An ICMP error whose checksum is wrong. */
export const DROP_CHECKSUM = 15;
/** An ICMP error about a tunnel that told the director something and nobody else. */
export const ABSORBED = 16;
/** A fragment that waits for the others of its datagram; the frame is not needed any more. */
export const HELD = 17;
/** A fragment that can not become part of a datagram; Reassembly counts why. */
export const DROP_FRAGMENT = 18;
/** FULLNAT: the pool of local addresses has no port left for the server, or there is no pool. */
export const DROP_NO_LOCAL_PORT = 19;
/** FULLNAT with a PROXY header: the segment claims the header's place, or is damaged. */
export const DROP_PROXY = 20;
/** First of the malformed frames, in the order of MALFORMED_NAMES. */
export const DROP_MALFORMED = 21;
/** A transport header that is cut short. */
export const DROP_TRUNCATED: number = DROP_MALFORMED + PARSE_TRUNCATED_TRANSPORT - PARSE_MALFORMED;

/** Names of the verdicts, by number, for status and metrics. */
export const VERDICT_NAMES: readonly string[] = [
  'pass',
  'forward',
  'answer-icmp',
  'drop-server-gone',
  'drop-no-server',
  'drop-table-full',
  'drop-ttl-exceeded',
  'drop-loopback',
  'drop-defence',
  'drop-no-identity',
  'drop-reset',
  'drop-local-bypass',
  'local',
  'drop-no-route',
  'drop-too-big',
  'drop-icmp-checksum',
  'absorbed-icmp',
  'fragment-held',
  'drop-fragment',
  'drop-no-local-port',
  'drop-proxy',
  ...MALFORMED_NAMES.map((name) => `malformed-${name}`),
];
