// SPDX-License-Identifier: Apache-2.0
// PROXY protocol headers, versions 1 and 2 (haproxy's proxy-protocol.txt): written for a connection or datagram whose
// server shall know the client, and read for tests and for services whose clients are proxies themselves. Once per
// connection, so it may allocate.

import { addressWords, formatAddress, parseAddress } from '../../packet/address.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';

/** Longest header of version 1, its CR LF included. */
export const PROXY_V1_MAX = 107;
/** Longest header of version 2 that is written: 16 bytes and two IPv6 addresses with ports. */
export const PROXY_V2_MAX = 52;
/** Room for any header. */
export const PROXY_MAX = PROXY_V1_MAX;

//  0 signature(12)  12 version,command(1)  13 family,transport(1)  14 length of the rest(2)  16 source, destination
//  address (4 or 16 each), source, destination port (2 each)
const SIGNATURE: readonly number[] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const COMMAND = 12;
const FAMILY = 13;
const LENGTH = 14;
const V2_HLEN = 16;

const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;
const FAMILY_INET = 0x10;
const FAMILY_INET6 = 0x20;
const TRANSPORT_STREAM = 1;
const TRANSPORT_DATAGRAM = 2;

const CR = 13;
const LF = 10;

/** Who speaks with whom: the client, and the virtual address that it asked for. */
export interface ProxyEnds {
  readonly family: 4 | 6;
  /** IPPROTO_TCP or IPPROTO_UDP. */
  readonly protocol: number;
  /** Words as read off the wire, one for IPv4, four for IPv6. */
  readonly source: ArrayLike<number>;
  readonly sourcePort: number;
  readonly destination: ArrayLike<number>;
  readonly destinationPort: number;
}

/** A header that was read. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** Its bytes; what is behind them is the stream or the datagram. */
  readonly length: number;
  /** Missing for LOCAL, UNKNOWN and what is neither TCP nor UDP: the connection is the sender's own. */
  readonly ends: ProxyEnds | undefined;
}

/** Writes the line of version 1, which is for TCP alone; returns its length, 0 for another protocol. */
export function writeProxyV1(into: Uint8Array, ends: ProxyEnds): number {
  if (ends.protocol !== IPPROTO_TCP) return 0;
  const source = formatAddress(ends.family, ends.source);
  const destination = formatAddress(ends.family, ends.destination);
  const text = `PROXY TCP${ends.family} ${source} ${destination} ${ends.sourcePort} ${ends.destinationPort}\r\n`;
  for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
  return text.length;
}

/** Writes a header of version 2; returns its length. */
export function writeProxyV2(into: Uint8Array, ends: ProxyEnds): number {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  const size = ends.family === 4 ? 4 : 16;
  const transport = ends.protocol === IPPROTO_UDP ? TRANSPORT_DATAGRAM : TRANSPORT_STREAM;
  into.set(SIGNATURE);
  into[COMMAND] = COMMAND_PROXY;
  into[FAMILY] = (ends.family === 4 ? FAMILY_INET : FAMILY_INET6) | transport;
  view.setUint16(LENGTH, size * 2 + 4);
  for (let i = 0; i < size / 4; i++) {
    view.setInt32(V2_HLEN + i * 4, ends.source[i]);
    view.setInt32(V2_HLEN + size + i * 4, ends.destination[i]);
  }
  view.setUint16(V2_HLEN + size * 2, ends.sourcePort);
  view.setUint16(V2_HLEN + size * 2 + 2, ends.destinationPort);
  return V2_HLEN + size * 2 + 4;
}

/** Writes a LOCAL header of version 2: the director speaks for itself, as in a health check. Returns its length. */
export function writeProxyLocal(into: Uint8Array): number {
  into.set(SIGNATURE);
  into[COMMAND] = COMMAND_LOCAL;
  into.fill(0, FAMILY, V2_HLEN);
  return V2_HLEN;
}

/** The header that the bytes `start` … `end` begin with, or undefined when there is no whole and right one. */
export function readProxyHeader(bytes: Uint8Array, start: number, end: number): ProxyHeader | undefined {
  const isV2 = end - start >= V2_HLEN && SIGNATURE.every((byte, i) => bytes[start + i] === byte);
  return isV2 ? readV2(bytes, start, end) : readV1(bytes, start, end);
}

function readV2(bytes: Uint8Array, start: number, end: number): ProxyHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
  const length = V2_HLEN + view.getUint16(LENGTH);
  const command = view.getUint8(COMMAND);
  if (length > end - start) return undefined;
  if (command === COMMAND_LOCAL) return { version: 2, length, ends: undefined };
  if (command !== COMMAND_PROXY) return undefined;

  const kind = view.getUint8(FAMILY);
  const isIpv6 = (kind & 0xf0) === FAMILY_INET6;
  const transport = kind & 0x0f;
  const isKnown = isIpv6 || (kind & 0xf0) === FAMILY_INET;
  if (!isKnown || (transport !== TRANSPORT_STREAM && transport !== TRANSPORT_DATAGRAM)) {
    return { version: 2, length, ends: undefined };
  }
  const size = isIpv6 ? 16 : 4;
  if (length < V2_HLEN + size * 2 + 4) return undefined;
  const words = (at: number): number[] => Array.from({ length: size / 4 }, (_, i) => view.getInt32(at + i * 4));
  const ends: ProxyEnds = {
    family: isIpv6 ? 6 : 4,
    protocol: transport === TRANSPORT_DATAGRAM ? IPPROTO_UDP : IPPROTO_TCP,
    source: words(V2_HLEN),
    destination: words(V2_HLEN + size),
    sourcePort: view.getUint16(V2_HLEN + size * 2),
    destinationPort: view.getUint16(V2_HLEN + size * 2 + 2),
  };
  return { version: 2, length, ends };
}

const V1_TCP = /^PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/;

function readV1(bytes: Uint8Array, start: number, end: number): ProxyHeader | undefined {
  const last = Math.min(end, start + PROXY_V1_MAX);
  let line = '';
  for (let at = start; at + 1 < last; at++) {
    if (bytes[at] === CR && bytes[at + 1] === LF) return readLine(line);
    line += String.fromCharCode(bytes[at]);
  }
  return undefined;
}

function readLine(line: string): ProxyHeader | undefined {
  const length = line.length + 2;
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { version: 1, length, ends: undefined };
  const match = V1_TCP.exec(line);
  if (match === null) return undefined;
  const family = match[1] === '4' ? 4 : 6;
  const source = parseAddress(match[2]);
  const destination = parseAddress(match[3]);
  const [sourcePort, destinationPort] = [Number(match[4]), Number(match[5])];
  if (source === undefined || destination === undefined || sourcePort > 0xffff || destinationPort > 0xffff) {
    return undefined;
  }
  if (source.includes(':') !== (family === 6) || destination.includes(':') !== (family === 6)) return undefined;
  const words = { source: addressWords(source), destination: addressWords(destination) };
  const count = family === 4 ? 1 : 4;
  const ends: ProxyEnds = {
    family,
    protocol: IPPROTO_TCP,
    source: words.source.slice(0, count),
    destination: words.destination.slice(0, count),
    sourcePort,
    destinationPort,
  };
  return { version: 1, length, ends };
}
