// SPDX-License-Identifier: Apache-2.0
// What iptables' matches and rule headers ask of a packet, in one neutral form: bytes from somewhere, masked, within
// ranges or not. Made by xt-match.ts and xt-table.ts; src/dataplane/rules makes rules of it.

import { NetlinkFormatError } from '../netlink-message.ts';

/** Where the bytes come from. The last four are numbers of four bytes, the first in front. */
export type XtSource =
  | 'link'
  | 'network'
  | 'transport'
  | 'name'
  | 'protocol'
  | 'length'
  | 'mark'
  | 'connection-mark'
  | 'connection-state';

/** Bounds of a range, both included; of the test's length. */
export interface XtRange {
  readonly low: Uint8Array;
  readonly high: Uint8Array;
}

export interface XtTest {
  readonly from: XtSource;
  readonly offset: number;
  readonly length: number;
  /** Of the test's length; absent when every bit counts. */
  readonly mask?: Uint8Array;
  readonly ranges: readonly XtRange[];
  readonly negated: boolean;
}

/** A match that nobody here understands, and why. */
export class XtUnreadable extends Error {}

/** The test that no packet passes. */
export const NEVER: XtTest = { from: 'protocol', offset: 0, length: 1, ranges: [], negated: false };

export function exact(value: Uint8Array): XtRange[] {
  return [{ low: value, high: value }];
}

/** A number of four bytes, under a mask. */
export function numberTest(from: XtSource, value: number, mask: number, negated: boolean): XtTest {
  return { from, offset: 0, length: 4, mask: bytes32(mask), ranges: exact(bytes32(value)), negated };
}

/** One of two bytes from `low` to `high` at `offset` of the transport header: a port. */
export function portTest(offset: number, ranges: readonly (readonly [number, number])[], negated: boolean): XtTest {
  const made = ranges.map(([low, high]) => ({ low: bytes16(low), high: bytes16(high) }));
  return { from: 'transport', offset, length: 2, ranges: made, negated };
}

export function bytes16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

export function bytes32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** `length` bytes of `view` from `offset`. Throws NetlinkFormatError when they are not there. */
export function slice(view: DataView, offset: number, length: number): Uint8Array {
  if (offset < 0 || offset + length > view.byteLength) throw new NetlinkFormatError('it ends too early');
  return new Uint8Array(view.buffer, view.byteOffset + offset, length).slice();
}

/** Text up to its first NUL in `length` bytes of `view` from `offset`. */
export function nameAt(view: DataView, offset: number, length: number): string {
  const bytes = slice(view, offset, length);
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end === -1 ? length : end)).toString('latin1');
}
