// SPDX-License-Identifier: Apache-2.0
// What the FTP helper reads in a control connection and writes into it (RFC 959, RFC 2428; ip_vs_ftp.c): requests for
// passive mode, the addresses in PORT, EPRT and the replies 227 and 229. One segment at a time: a text that is split over
// two, or is not quite right, is none, and passes unchanged. Control connections only, so IPv6 texts may allocate.
// The caller owns the connection's mode: what the last PASV, EPSV (FTP_PASV, FTP_EPSV) or PORT, EPRT asked for.

import { addressWords, formatAddress, parseAddress } from '../../packet/address.ts';

/** Nothing of the helper's. As a connection's mode: no passive mode was asked for. */
export const FTP_NONE = 0;
/** The client asks for passive mode; these two are a connection's mode until the next such request. */
export const FTP_PASV = 1;
export const FTP_EPSV = 2;
/** The client says where the server shall connect to. Ends passive mode. */
export const FTP_PORT = 3;
export const FTP_EPRT = 4;
/** The server says where the client shall connect to. */
export const FTP_PASSIVE_REPLY = 5;
export const FTP_EXTENDED_REPLY = 6;

/** Longest text of an address and port: `|2|` with 45 characters of IPv6, `|65535|`. */
export const FTP_MAX_TEXT = 64;

/** Bytes of a segment that are looked at. A frame holds fewer. */
const MOST_BYTES = 2048;

const COMMA = 44;
const OPEN = 40;
const DOT = 46;
const SPACE = 32;
const CR = 13;
const ZERO = 48;

/** The address and port found last, and the bytes of the segment that say them. One long-lived object. */
export class FtpText {
  /** First byte of the text, and first behind it. */
  start = 0;
  end = 0;
  port = 0;
  /** False for a reply 229 without an address, the usual form: it means the server's. */
  hasAddress = false;
  /** Words as in the connection table; IPv4 in the first. */
  readonly address: Int32Array = new Int32Array(4);
}

/**
 * What the data of a client's segment from `start` to `end` asks for: FTP_PASV or FTP_EPSV, wherever in it; or FTP_PORT or
 * FTP_EPRT at its beginning, with `$text` set; or FTP_NONE.
 */
export function parseFtpRequest(view: DataView, start: number, end: number, family: number, $text: FtpText): number {
  const last = Math.min(end, start + MOST_BYTES);
  for (let at = start; at + 6 <= last; at++) {
    if (family === 4 && matches(view, at, last, 'PASV\r\n')) return FTP_PASV;
    if (!matches(view, at, last, 'EPSV')) continue;
    const next = view.getUint8(at + 4);
    if (next === CR) return FTP_EPSV;
    if (next === SPACE) return isFamily(view, at + 5, last, family, CR) ? FTP_EPSV : FTP_NONE;
  }
  if (family === 4 && matches(view, start, last, 'PORT')) {
    const at = skipTo(view, start + 4, last, SPACE, true);
    return parseNumbers(view, at, last, $text) ? FTP_PORT : FTP_NONE;
  }
  if (!matches(view, start, last, 'EPRT')) return FTP_NONE;
  const at = skipTo(view, start + 4, last, SPACE, false);
  return parseExtended(view, at, last, family, false, $text) ? FTP_EPRT : FTP_NONE;
}

/**
 * The address in a server's segment of a connection whose mode is FTP_PASV or FTP_EPSV: FTP_PASSIVE_REPLY or
 * FTP_EXTENDED_REPLY with `$text` set, or FTP_NONE. deviates: the kernel forgets the mode with the reply, so that a
 * retransmitted reply passes as the server wrote it; here the caller keeps the mode and it is rewritten again.
 */
export function parseFtpReply(
  view: DataView,
  start: number,
  end: number,
  family: number,
  mode: number,
  $text: FtpText,
): number {
  const last = Math.min(end, start + MOST_BYTES);
  if (mode === FTP_PASV && matches(view, start, last, '227 ')) {
    const at = skipTo(view, start + 4, last, OPEN, true);
    return parseNumbers(view, at, last, $text) ? FTP_PASSIVE_REPLY : FTP_NONE;
  }
  if (mode !== FTP_EPSV || !matches(view, start, last, '229 ')) return FTP_NONE;
  const at = skipTo(view, start + 4, last, OPEN, false);
  return parseExtended(view, at, last, family, true, $text) ? FTP_EXTENDED_REPLY : FTP_NONE;
}

/** Writes `h1,h2,h3,h4,p1,p2`, for 227 and PORT; returns its length. */
export function writeFtpNumbers(into: Uint8Array, address: number, port: number): number {
  const numbers = [
    address >>> 24,
    (address >>> 16) & 255,
    (address >>> 8) & 255,
    address & 255,
    port >>> 8,
    port & 255,
  ];
  return writeText(into, numbers.join(','));
}

/** Writes `|||port|`, for 229: the client connects to the address that it knows. Returns its length. */
export function writeFtpPort(into: Uint8Array, port: number): number {
  return writeText(into, `|||${port}|`);
}

/** Writes `|family|address|port|`, for EPRT; returns its length. */
export function writeFtpExtended(into: Uint8Array, family: number, address: ArrayLike<number>, port: number): number {
  const text = formatAddress(family === 6 ? 6 : 4, address);
  return writeText(into, `|${family === 6 ? 2 : 1}|${text}|${port}|`);
}

function writeText(into: Uint8Array, text: string): number {
  for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
  return text.length;
}

function matches(view: DataView, at: number, end: number, upperCase: string): boolean {
  if (end - at < upperCase.length) return false;
  for (let i = 0; i < upperCase.length; i++) {
    const byte = view.getUint8(at + i);
    const upper = byte >= 97 && byte <= 122 ? byte - 32 : byte;
    if (upper !== upperCase.charCodeAt(i)) return false;
  }
  return true;
}

/**
 * Where the address begins: behind the next run of `mark`. `orDigit`: or at a digit before it, since servers write 227
 * without parentheses too.
 */
function skipTo(view: DataView, from: number, end: number, mark: number, orDigit: boolean): number {
  let at = from;
  for (; at < end && view.getUint8(at) !== mark; at++) {
    if (orDigit && isDigit(view.getUint8(at))) return at;
  }
  while (at < end && view.getUint8(at) === mark) at++;
  return at;
}

/**
 * Six numbers with commas between and any other byte behind: without one there might be more of the last number.
 * deviates: the kernel takes numbers modulo 256, an empty one as 0, and port 0; here such a text is none.
 */
function parseNumbers(view: DataView, start: number, end: number, $text: FtpText): boolean {
  let at = start;
  let address = 0;
  let port = 0;
  for (let i = 0; i < 6; i++) {
    if (i > 0) {
      if (at >= end || view.getUint8(at) !== COMMA) return false;
      at++;
    }
    const digits = digitsEnd(view, at, end);
    const value = readNumber(view, at, digits);
    if (digits === at || value > 255) return false;
    if (i < 4) address = (address << 8) | value;
    else port = (port << 8) | value;
    at = digits;
  }
  if (at >= end || port === 0) return false;
  $text.address.fill(0);
  $text.address[0] = address;
  return found($text, start, at, port, true);
}

/** `|family|address|port|`, or with `mayBeEmpty` also `|||port|`; the first byte of it is what stands between. */
function parseExtended(
  view: DataView,
  start: number,
  end: number,
  family: number,
  mayBeEmpty: boolean,
  $text: FtpText,
): boolean {
  // Five bytes are the shortest: |||1|.
  if (end - start < 5) return false;
  const mark = view.getUint8(start);
  if (mark < 33 || mark > 126) return false;
  let at = start + 1;
  const isEmpty = view.getUint8(at) === mark;
  if (isEmpty) {
    if (!mayBeEmpty || view.getUint8(at + 1) !== mark) return false;
    $text.address.fill(0);
    at += 2;
  } else {
    if (!isFamily(view, at, end, family, mark)) return false;
    at += 2;
    const behind = family === 4 ? parseIpv4(view, at, end, $text) : parseIpv6(view, at, end, mark, $text);
    if (behind === -1 || behind >= end || view.getUint8(behind) !== mark) return false;
    at = behind + 1;
  }
  const digits = digitsEnd(view, at, end);
  const port = readNumber(view, at, digits);
  // deviates: the kernel takes the port modulo 65536.
  if (port === 0 || port > 0xffff || digits >= end || view.getUint8(digits) !== mark) return false;
  return found($text, start, digits + 1, port, !isEmpty);
}

function found($text: FtpText, start: number, end: number, port: number, hasAddress: boolean): boolean {
  $text.start = start;
  $text.end = end;
  $text.port = port;
  $text.hasAddress = hasAddress;
  return true;
}

/** Whether the family's number of RFC 2428, followed by `mark`, stands at `at`. */
function isFamily(view: DataView, at: number, end: number, family: number, mark: number): boolean {
  if (at + 2 > end) return false;
  return view.getUint8(at) === ZERO + (family === 4 ? 1 : 2) && view.getUint8(at + 1) === mark;
}

/** Reads a dotted quad, with leading zeros or not, into `$text`; returns where it ends, or -1. */
function parseIpv4(view: DataView, start: number, end: number, $text: FtpText): number {
  let at = start;
  let address = 0;
  for (let i = 0; i < 4; i++) {
    if (i > 0) {
      if (at >= end || view.getUint8(at) !== DOT) return -1;
      at++;
    }
    const digits = digitsEnd(view, at, end);
    const value = readNumber(view, at, digits);
    if (digits === at || value > 255) return -1;
    address = (address << 8) | value;
    at = digits;
  }
  $text.address.fill(0);
  $text.address[0] = address;
  return at;
}

/** Reads an IPv6 address that ends before `mark` into `$text`; returns where it ends, or -1. */
function parseIpv6(view: DataView, start: number, end: number, mark: number, $text: FtpText): number {
  let text = '';
  let at = start;
  for (; at < end && view.getUint8(at) !== mark; at++) {
    if (text.length === 45) return -1;
    text += String.fromCharCode(view.getUint8(at));
  }
  const address = text.includes(':') ? parseAddress(text) : undefined;
  if (address === undefined) return -1;
  $text.address.set(addressWords(address));
  return at;
}

function digitsEnd(view: DataView, start: number, end: number): number {
  let at = start;
  while (at < end && isDigit(view.getUint8(at))) at++;
  return at;
}

/** Value of the digits from `start` to `end`, or something above 65535 for more than that. */
function readNumber(view: DataView, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end && value <= 0xffff; at++) value = value * 10 + view.getUint8(at) - ZERO;
  return value;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}
