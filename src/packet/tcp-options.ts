// SPDX-License-Identifier: Apache-2.0
// TCP options (RFC 9293 §3.1, RFC 7323, RFC 2018): finding them, and the few changes that a director makes to them in
// place. Checksums are mended by the difference, so that a damaged segment stays damaged. A header that lies about its
// length, or options that do, are left as they are. The header of the segment must have been found by `parseFrame`.
// hot path

import { applyDifference, difference32At, sumCovering, sumWord } from './checksum.ts';
import type { Headers } from './parse.ts';
import { TCP_CHECKSUM, TCP_HLEN, TCP_OFFSET } from './tcp.ts';

export const TCPOPT_EOL = 0;
export const TCPOPT_NOP = 1;
export const TCPOPT_MSS = 2;
export const TCPOPT_SACK = 5;
export const TCPOPT_TIMESTAMP = 8;
export const TCPOPT_MD5SIG = 19;
/** TCP-AO (RFC 5925). */
export const TCPOPT_AO = 29;

/** Most bytes of options that a TCP header has room for. */
export const TCP_MAX_OPTIONS = 40;

/** Least MSS that {@link reduceMss} leaves; Linux sends no smaller segments either (TCP_MIN_MSS is 88). */
const LEAST_MSS = 88;

/** Where the segment's data begins, or -1 when its header is longer than the segment or shorter than a header. */
export function tcpDataStart(view: DataView, headers: Headers): number {
  const length = (view.getUint8(headers.transport + TCP_OFFSET) >>> 4) << 2;
  if (length < TCP_HLEN || headers.transport + length > headers.end) return -1;
  return headers.transport + length;
}

/** Where the option at or behind `from` that is no padding begins, or `end` when there is none that can be trusted. */
export function nextOption(view: DataView, from: number, end: number): number {
  let at = from;
  while (at < end && view.getUint8(at) === TCPOPT_NOP) at++;
  if (at + 1 >= end || view.getUint8(at) === TCPOPT_EOL) return end;
  const length = view.getUint8(at + 1);
  return length < 2 || at + length > end ? end : at;
}

/** Where the first option of `kind` begins among those from `from` to `end`, or -1. */
export function findOption(view: DataView, from: number, end: number, kind: number): number {
  for (let at = nextOption(view, from, end); at < end; at = nextOption(view, at + view.getUint8(at + 1), end)) {
    if (view.getUint8(at) === kind) return at;
  }
  return -1;
}

/** Adds a difference to the segment's checksum. */
export function mendTcpChecksum(view: DataView, transport: number, difference: number): void {
  const field = transport + TCP_CHECKSUM;
  view.setUint16(field, applyDifference(view.getUint16(field), difference));
}

/** Overwrites every option of `kind` with NOPs; returns how many there were. */
export function eraseOptions(view: DataView, headers: Headers, kind: number): number {
  const transport = headers.transport;
  const end = tcpDataStart(view, headers);
  let erased = 0;
  for (let at = findOption(view, transport + TCP_HLEN, end, kind); at !== -1; at = findOption(view, at, end, kind)) {
    const behind = at + view.getUint8(at + 1);
    const before = sumCovering(view, transport, at, behind);
    for (let i = at; i < behind; i++) view.setUint8(i, TCPOPT_NOP);
    mendTcpChecksum(view, transport, sumWord(~before) + sumCovering(view, transport, at, behind));
    erased++;
  }
  return erased;
}

/** Takes `by` from the MSS that a SYN or SYN-ACK announces, down to 88; false when it announces none, or no more. */
export function reduceMss(view: DataView, headers: Headers, by: number): boolean {
  const transport = headers.transport;
  const at = findOption(view, transport + TCP_HLEN, tcpDataStart(view, headers), TCPOPT_MSS);
  if (at === -1 || view.getUint8(at + 1) !== 4) return false;
  const mss = view.getUint16(at + 2);
  const reduced = Math.max(mss - by, LEAST_MSS);
  if (reduced >= mss) return false;
  const before = sumCovering(view, transport, at + 2, at + 4);
  view.setUint16(at + 2, reduced);
  mendTcpChecksum(view, transport, sumWord(~before) + sumCovering(view, transport, at + 2, at + 4));
  return true;
}

/** Blocks of the SACK option of `length` bytes; 0 for a length that none has (RFC 2018 §3). */
export function sackBlocks(length: number): number {
  return length >= 10 && (length - 2) % 8 === 0 ? (length - 2) >>> 3 : 0;
}

/** Writes a word of the TCP header or its options; returns the difference that this makes to the checksum. */
export function replaceWord(view: DataView, transport: number, at: number, to: number): number {
  const from = view.getInt32(at);
  view.setInt32(at, to);
  return difference32At(at - transport, from, to);
}
