// SPDX-License-Identifier: Apache-2.0
// Headers around fragments: which fields change when a datagram is put together or cut, and where they are. Offsets count
// from the start of the view; what is read was checked by parseFrame, or is checked here.
// hot path

import { checksum } from '../../packet/checksum.ts';
import {
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_CHECKSUM,
  IPV4_DF,
  IPV4_FRAGMENT,
  IPV4_HLEN,
  IPV4_TOS,
  IPV4_TOTAL,
} from '../../packet/ipv4.ts';
import {
  FRAGMENT_HLEN,
  IPV6_HLEN,
  IPV6_NEXT,
  IPV6_PAYLOAD,
  IPV6_VERSION,
  isExtensionHeader,
  MAX_EXTENSION_HEADERS,
  NEXT_AUTHENTICATION,
  NEXT_DESTINATION,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
} from '../../packet/ipv6.ts';
import { TCP_HLEN } from '../../packet/tcp.ts';
import { UDP_HLEN } from '../../packet/udp.ts';

/** In the word at FRAGMENT_OFFSET: more fragments follow; offset. */
export const IP6_MF = 1;
export const IP6_OFFSET = 0xfff8;
/** Of a fragment header, from its start. */
export const FRAGMENT_ID = 4;

/** ECN field that says congestion was met (RFC 3168 §5). */
export const ECN_CE = 3;
/** No datagram may come of fragments with such ECN fields. */
export const ECN_INVALID = -1;

const ECN_NOT_ECT_BIT = 1;
const ECN_CE_BIT = 8;

/**
 * What is added to the ECN field of the first fragment, given a bit `1 << field` for each fragment's (RFC 3168 §5.3;
 * ip_frag_ecn_table): CE of one is the datagram's, but only between those that speak ECN; "not ECT" goes with nothing else.
 */
export function ecnOfFragments(bits: number): number {
  if ((bits & ECN_NOT_ECT_BIT) !== 0) return bits === ECN_NOT_ECT_BIT ? 0 : ECN_INVALID;
  return (bits & ECN_CE_BIT) !== 0 ? ECN_CE : 0;
}

/**
 * Whether the first fragment of an IPv6 datagram holds every header up to that of the upper layer, as it has to (RFC 7112,
 * RFC 8200 §4.5; ipv6frag_thdr_truncated). `next` is the header at `at`, `end` the fragment's.
 */
export function hasUpperLayerHeader(view: DataView, start: number, first: number, end: number): boolean {
  let at = start;
  let next = first;
  for (let count = 0; isExtensionHeader(next) && count < MAX_EXTENSION_HEADERS; count++) {
    if (end - at < 8) return false;
    const kind = next;
    next = view.getUint8(at);
    at += extensionLength(view, at, kind);
  }
  return end - at >= leastUpperLayer(next);
}

function leastUpperLayer(protocol: number): number {
  if (protocol === IPPROTO_TCP) return TCP_HLEN;
  if (protocol === IPPROTO_UDP || protocol === IPPROTO_ICMPV6) return UDP_HLEN;
  return 1;
}

function extensionLength(view: DataView, at: number, kind: number): number {
  if (kind === NEXT_FRAGMENT) return FRAGMENT_HLEN;
  const length = view.getUint8(at + 1);
  return kind === NEXT_AUTHENTICATION ? (length + 2) << 2 : (length + 1) << 3;
}

/** Makes the first fragment's header of `header` bytes at `ip` that of a datagram of `total` bytes. */
export function finishIpv4(
  view: DataView,
  ip: number,
  header: number,
  total: number,
  ecn: number,
  keepsDontFragment: boolean,
): void {
  view.setUint8(ip + IPV4_TOS, view.getUint8(ip + IPV4_TOS) | ecn);
  view.setUint16(ip + IPV4_TOTAL, total);
  view.setUint16(ip + IPV4_FRAGMENT, keepsDontFragment ? IPV4_DF : 0);
  view.setUint16(ip + IPV4_CHECKSUM, 0);
  view.setUint16(ip + IPV4_CHECKSUM, checksum(view, ip, header, 0));
}

/** As {@link finishIpv4} for IPv6: `header` bytes without the fragment header, which said that `next` follows. */
export function finishIpv6(view: DataView, ip: number, header: number, total: number, ecn: number, next: number): void {
  view.setUint16(ip + IPV6_VERSION, view.getUint16(ip + IPV6_VERSION) | (ecn << 4));
  view.setUint16(ip + IPV6_PAYLOAD, total - IPV6_HLEN);
  view.setUint8(nextHeaderField(view, ip, header), next);
}

/** Where the next-header field is that names the header at `header` bytes behind `ip`. */
export function nextHeaderField(view: DataView, ip: number, header: number): number {
  const target = ip + header;
  let field = ip + IPV6_NEXT;
  let at = ip + IPV6_HLEN;
  while (at < target) {
    const length = extensionLength(view, at, view.getUint8(field));
    field = at;
    at += length;
  }
  return field;
}

/**
 * Bytes of an IPv6 packet that every fragment of it repeats, from `ip` on: the header, hop-by-hop options, routing header
 * and the destination options before that (ip6_find_1stfragopt). Destination options behind a routing header are the last
 * node's alone, and are fragmented.
 */
export function unfragmentableLength(view: DataView, ip: number, end: number): number {
  let next = view.getUint8(ip + IPV6_NEXT);
  let at = ip + IPV6_HLEN;
  let isRouted = false;
  for (let count = 0; count < MAX_EXTENSION_HEADERS; count++) {
    const isRepeated = next === NEXT_HOP_BY_HOP || next === NEXT_ROUTING || (next === NEXT_DESTINATION && !isRouted);
    if (!isRepeated || end - at < 8) break;
    const length = extensionLength(view, at, next);
    if (length > end - at) break;
    if (next === NEXT_ROUTING) isRouted = true;
    next = view.getUint8(at);
    at += length;
  }
  return at - ip;
}

const IPOPT_END = 0;
const IPOPT_NOOP = 1;
const IPOPT_COPY = 0x80;

/**
 * Turns the options of an IPv4 header of `length` bytes that belong to the first fragment alone into no-operations, as
 * Linux does (ip_options_fragment), so that all fragments have headers of one length (RFC 791 §3.1, copied flag).
 */
export function keepCopiedOptions(view: DataView, ip: number, length: number): void {
  const end = ip + length;
  let at = ip + IPV4_HLEN;
  while (at < end) {
    const option = view.getUint8(at);
    if (option === IPOPT_END) return;
    if (option === IPOPT_NOOP) {
      at++;
      continue;
    }
    const size = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (size < 2 || size > end - at) return;
    if ((option & IPOPT_COPY) === 0) for (let i = 0; i < size; i++) view.setUint8(at + i, IPOPT_NOOP);
    at += size;
  }
}
