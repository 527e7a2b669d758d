// SPDX-License-Identifier: Apache-2.0
// ICMP (RFC 792, RFC 1812 §4.3) and ICMPv6 (RFC 4443): error messages about a packet, built in place of that packet.

import { applyDifference, checksum, difference32, sumBytes } from './checksum.ts';
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPV4_CHECKSUM,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_HLEN,
  IPV4_ID,
  IPV4_PROTOCOL,
  IPV4_SRC,
  IPV4_TOS,
  IPV4_TOTAL,
  IPV4_TTL,
  IPV4_VIHL,
} from './ipv4.ts';
import { IPV6_DST, IPV6_HLEN, IPV6_HOPS, IPV6_NEXT, IPV6_PAYLOAD, IPV6_SRC, IPV6_VERSION } from './ipv6.ts';

//  0 type(1)  1 code(1)  2 checksum(2)  4 rest of header(4)  8 the packet that it is about
export const ICMP_TYPE = 0;
export const ICMP_CODE = 1;
export const ICMP_CHECKSUM = 2;
export const ICMP_REST = 4;
export const ICMP_HLEN = 8;

export const ICMP_UNREACHABLE = 3;
export const ICMP_HOST_UNREACHABLE = 1;
export const ICMP_PORT_UNREACHABLE = 3;
export const ICMP_FRAGMENTATION_NEEDED = 4;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMPV6_UNREACHABLE = 1;
export const ICMPV6_ADDRESS_UNREACHABLE = 3;
export const ICMPV6_PORT_UNREACHABLE = 4;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;

/** An IPv4 error is at most 576 bytes long (RFC 1812 §4.3.2.3), an IPv6 error 1280 (RFC 4443 §3). */
const ICMP_MAX = 576;
const ICMPV6_MAX = 1280;
/** Precedence "internetwork control" with the kind of service of the packet (RFC 1812 §4.3.2.5, icmp_send). */
const TOS_ERROR = 0xc0;
const TOS_SERVICE = 0x1e;
const HOPS = 64;

/**
 * Turns the IPv4 packet of `length` bytes at `ip` into an ICMP error about itself, sent by its destination to its
 * source; `rest` is the second word of its header. The slot must have room for 28 bytes more. Returns the length of the new packet at `ip`.
 */
export function makeIcmpError(
  view: DataView,
  bytes: Uint8Array,
  ip: number,
  length: number,
  type: number,
  code: number,
  rest: number,
  id: number,
): number {
  const source = view.getInt32(ip + IPV4_SRC);
  const destination = view.getInt32(ip + IPV4_DST);
  const quoted = Math.min(length, ICMP_MAX - IPV4_HLEN - ICMP_HLEN);
  const icmp = ip + IPV4_HLEN;
  bytes.copyWithin(icmp + ICMP_HLEN, ip, ip + quoted);

  const total = IPV4_HLEN + ICMP_HLEN + quoted;
  view.setUint8(ip + IPV4_VIHL, 0x45);
  view.setUint8(ip + IPV4_TOS, (view.getUint8(ip + IPV4_TOS) & TOS_SERVICE) | TOS_ERROR);
  view.setUint16(ip + IPV4_TOTAL, total);
  view.setUint16(ip + IPV4_ID, id);
  view.setUint16(ip + IPV4_FRAGMENT, 0);
  view.setUint8(ip + IPV4_TTL, HOPS);
  view.setUint8(ip + IPV4_PROTOCOL, IPPROTO_ICMP);
  view.setUint16(ip + IPV4_CHECKSUM, 0);
  view.setInt32(ip + IPV4_SRC, destination);
  view.setInt32(ip + IPV4_DST, source);
  view.setUint16(ip + IPV4_CHECKSUM, checksum(view, ip, IPV4_HLEN, 0));

  writeIcmpHeader(view, icmp, type, code, rest);
  view.setUint16(icmp + ICMP_CHECKSUM, checksum(view, icmp, ICMP_HLEN + quoted, 0));
  return total;
}

/** As {@link makeIcmpError} for IPv6; the slot must have room for 48 bytes more. */
export function makeIcmpv6Error(
  view: DataView,
  bytes: Uint8Array,
  ip: number,
  length: number,
  type: number,
  code: number,
  rest: number,
): number {
  const quoted = Math.min(length, ICMPV6_MAX - IPV6_HLEN - ICMP_HLEN);
  const icmp = ip + IPV6_HLEN;
  bytes.copyWithin(icmp + ICMP_HLEN, ip, ip + quoted);

  const payload = ICMP_HLEN + quoted;
  view.setUint32(ip + IPV6_VERSION, 0x60000000);
  view.setUint16(ip + IPV6_PAYLOAD, payload);
  view.setUint8(ip + IPV6_NEXT, IPPROTO_ICMPV6);
  view.setUint8(ip + IPV6_HOPS, HOPS);
  for (let i = 0; i < 16; i += 4) {
    view.setInt32(ip + IPV6_SRC + i, view.getInt32(icmp + ICMP_HLEN + IPV6_DST + i));
    view.setInt32(ip + IPV6_DST + i, view.getInt32(icmp + ICMP_HLEN + IPV6_SRC + i));
  }

  writeIcmpHeader(view, icmp, type, code, rest);
  const pseudo = sumBytes(view, ip + IPV6_SRC, 32, payload + IPPROTO_ICMPV6);
  view.setUint16(icmp + ICMP_CHECKSUM, checksum(view, icmp, payload, pseudo));
  return IPV6_HLEN + payload;
}

/** Gives the error that {@link makeIcmpError} or {@link makeIcmpv6Error} left at `ip` another source, four words. */
export function setIcmpSource(view: DataView, family: number, ip: number, words: ArrayLike<number>): void {
  const source = ip + (family === 4 ? IPV4_SRC : IPV6_SRC);
  // IPv4 covers the address by its header's checksum, IPv6 by the pseudo-header of ICMPv6.
  const field = family === 4 ? ip + IPV4_CHECKSUM : ip + IPV6_HLEN + ICMP_CHECKSUM;
  let difference = 0;
  for (let i = 0; i < (family === 4 ? 1 : 4); i++) {
    difference += difference32(view.getInt32(source + (i << 2)), words[i]);
    view.setInt32(source + (i << 2), words[i]);
  }
  view.setUint16(field, applyDifference(view.getUint16(field), difference));
}

function writeIcmpHeader(view: DataView, icmp: number, type: number, code: number, rest: number): void {
  view.setUint8(icmp + ICMP_TYPE, type);
  view.setUint8(icmp + ICMP_CODE, code);
  view.setUint16(icmp + ICMP_CHECKSUM, 0);
  view.setInt32(icmp + ICMP_REST, rest);
}
