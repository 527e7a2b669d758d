// SPDX-License-Identifier: Apache-2.0
// One look at a frame from outside: where its headers are, and whether they can be trusted. After PARSE_OK every
// accessor of src/packet stays inside the frame for the offsets found here. Bad input is a result, never an exception.
// hot path

import { fold, sumBytes, sumWord } from './checksum.ts';
import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6, ETH_TYPE } from './ethernet.ts';
import {
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_FRAGMENT,
  IPV4_HLEN,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_TOTAL,
  IPV4_VIHL,
} from './ipv4.ts';
import {
  FRAGMENT_HLEN,
  FRAGMENT_OFFSET,
  IPV6_HLEN,
  IPV6_NEXT,
  IPV6_PAYLOAD,
  IPV6_VERSION,
  isExtensionHeader,
  MAX_EXTENSION_HEADERS,
  NEXT_AUTHENTICATION,
  NEXT_FRAGMENT,
} from './ipv6.ts';
import { SCTP_HLEN } from './sctp.ts';
import { TCP_HLEN } from './tcp.ts';
import { UDP_HLEN } from './udp.ts';

/** Source and destination port of TCP, UDP and SCTP. */
const PORTS_LENGTH = 4;

/** What {@link parseFrame} found; everything from PARSE_MALFORMED on is a broken frame. */
export const PARSE_OK = 0;
/** Not IPv4 or IPv6. */
export const PARSE_NOT_IP = 1;
/** A fragment: offsets of the network header are right, there may be no transport header. */
export const PARSE_FRAGMENT = 2;
export const PARSE_MALFORMED = 3;
export const PARSE_TRUNCATED = 3;
export const PARSE_BAD_VERSION = 4;
export const PARSE_BAD_HEADER_LENGTH = 5;
export const PARSE_BAD_TOTAL_LENGTH = 6;
export const PARSE_BAD_CHECKSUM = 7;
export const PARSE_TRUNCATED_TRANSPORT = 8;
export const PARSE_BAD_EXTENSION = 9;

/** Names of the malformed results for status and metrics, by `result - PARSE_MALFORMED`. */
export const MALFORMED_NAMES: readonly string[] = [
  'truncated',
  'bad-version',
  'bad-header-length',
  'bad-total-length',
  'bad-checksum',
  'truncated-transport',
  'bad-extension-header',
];

/** Where the headers of the frame last parsed are. One long-lived object; offsets count from the start of the memory. */
export class Headers {
  /** 4 or 6. */
  family = 0;
  /** Network header. */
  ip = 0;
  /** Transport header. */
  transport = 0;
  /** First byte behind the IP packet (Ethernet padding excluded). */
  end = 0;
  /** Transport protocol number. */
  protocol = 0;
}

/** Finds the headers of the frame of `length` bytes at `frame`. Reads nothing behind it. */
export function parseFrame(view: DataView, frame: number, length: number, headers: Headers): number {
  if (length < ETH_HLEN) return PARSE_TRUNCATED;
  const type = view.getUint16(frame + ETH_TYPE);
  const ip = frame + ETH_HLEN;
  const end = frame + length;
  headers.ip = ip;
  if (type === ETH_P_IP) return parseIpv4(view, ip, end, headers);
  if (type === ETH_P_IPV6) return parseIpv6(view, ip, end, headers);
  return PARSE_NOT_IP;
}

function parseIpv4(view: DataView, ip: number, end: number, headers: Headers): number {
  if (end - ip < IPV4_HLEN) return PARSE_TRUNCATED;
  const first = view.getUint8(ip + IPV4_VIHL);
  if (first >>> 4 !== 4) return PARSE_BAD_VERSION;
  const headerLength = (first & 15) << 2;
  if (headerLength < IPV4_HLEN || headerLength > end - ip) return PARSE_BAD_HEADER_LENGTH;
  const total = view.getUint16(ip + IPV4_TOTAL);
  if (total < headerLength || total > end - ip) return PARSE_BAD_TOTAL_LENGTH;
  if (fold(headerSum(view, ip, headerLength)) !== 0xffff) return PARSE_BAD_CHECKSUM;
  headers.family = 4;
  headers.end = ip + total;
  headers.transport = ip + headerLength;
  headers.protocol = view.getUint8(ip + IPV4_PROTOCOL);
  if ((view.getUint16(ip + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0) return PARSE_FRAGMENT;
  return checkTransport(headers);
}

/**
 * As {@link parseFrame} for the packet that an ICMP error quotes at `at`, of which `end` may cut off the rest. True when its
 * ports are there; a fragment other than the first has none.
 */
export function parseQuoted(view: DataView, at: number, end: number, family: number, headers: Headers): boolean {
  headers.ip = at;
  headers.end = end;
  headers.family = family;
  if (family !== 4) return parseQuotedIpv6(view, at, end, headers);
  if (end - at < IPV4_HLEN) return false;
  const first = view.getUint8(at + IPV4_VIHL);
  const headerLength = (first & 15) << 2;
  headers.transport = at + headerLength;
  headers.protocol = view.getUint8(at + IPV4_PROTOCOL);
  if (first >>> 4 !== 4 || headerLength < IPV4_HLEN) return false;
  if ((view.getUint16(at + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) !== 0) return false;
  return end - headers.transport >= PORTS_LENGTH;
}

function parseQuotedIpv6(view: DataView, at: number, end: number, headers: Headers): boolean {
  if (end - at < IPV6_HLEN || view.getUint8(at + IPV6_VERSION) >>> 4 !== 6) return false;
  let next = view.getUint8(at + IPV6_NEXT);
  let header = at + IPV6_HLEN;
  for (let count = 0; isExtensionHeader(next); count++) {
    if (count === MAX_EXTENSION_HEADERS || end - header < 8) return false;
    if (next === NEXT_FRAGMENT && (view.getUint16(header + FRAGMENT_OFFSET) & 0xfff8) !== 0) return false;
    const length = extensionLength(view, header, next);
    next = view.getUint8(header);
    header += length;
  }
  headers.transport = header;
  headers.protocol = next;
  return end - header >= PORTS_LENGTH;
}

/** Sum over an IPv4 header; the plain one of 20 bytes, which nearly all are, without a loop. */
function headerSum(view: DataView, ip: number, length: number): number {
  if (length !== IPV4_HLEN) return sumBytes(view, ip, length, 0);
  return (
    sumWord(view.getInt32(ip)) +
    sumWord(view.getInt32(ip + 4)) +
    sumWord(view.getInt32(ip + 8)) +
    sumWord(view.getInt32(ip + 12)) +
    sumWord(view.getInt32(ip + 16))
  );
}

function parseIpv6(view: DataView, ip: number, end: number, headers: Headers): number {
  if (end - ip < IPV6_HLEN) return PARSE_TRUNCATED;
  if (view.getUint8(ip + IPV6_VERSION) >>> 4 !== 6) return PARSE_BAD_VERSION;
  const payload = view.getUint16(ip + IPV6_PAYLOAD);
  if (payload > end - ip - IPV6_HLEN) return PARSE_BAD_TOTAL_LENGTH;
  headers.family = 6;
  headers.end = ip + IPV6_HLEN + payload;

  let next = view.getUint8(ip + IPV6_NEXT);
  let at = ip + IPV6_HLEN;
  for (let count = 0; isExtensionHeader(next); count++) {
    if (count === MAX_EXTENSION_HEADERS || headers.end - at < 8) return PARSE_BAD_EXTENSION;
    if (next === NEXT_FRAGMENT) {
      headers.transport = at + FRAGMENT_HLEN;
      headers.protocol = view.getUint8(at);
      // An atomic fragment (offset 0, no more) is a whole packet, RFC 6946.
      if ((view.getUint16(at + FRAGMENT_OFFSET) & 0xfff9) !== 0) return PARSE_FRAGMENT;
    }
    const length = extensionLength(view, at, next);
    if (length > headers.end - at) return PARSE_BAD_EXTENSION;
    next = view.getUint8(at);
    at += length;
  }
  headers.transport = at;
  headers.protocol = next;
  return checkTransport(headers);
}

/** Bytes of the extension header `kind` at `at`, of which 8 can be read. */
function extensionLength(view: DataView, at: number, kind: number): number {
  if (kind === NEXT_FRAGMENT) return FRAGMENT_HLEN;
  const length = view.getUint8(at + 1);
  return kind === NEXT_AUTHENTICATION ? (length + 2) << 2 : (length + 1) << 3;
}

function checkTransport(headers: Headers): number {
  const room = headers.end - headers.transport;
  if (headers.protocol === IPPROTO_TCP && room < TCP_HLEN) return PARSE_TRUNCATED_TRANSPORT;
  if (headers.protocol === IPPROTO_UDP && room < UDP_HLEN) return PARSE_TRUNCATED_TRANSPORT;
  if (headers.protocol === IPPROTO_SCTP && room < SCTP_HLEN) return PARSE_TRUNCATED_TRANSPORT;
  return PARSE_OK;
}
