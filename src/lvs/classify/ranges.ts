// SPDX-License-Identifier: Apache-2.0
// Sets of field values as sorted inclusive ranges, and the search in them. A field is a row of 32-bit words that are
// compared as one long unsigned number, the first word first, as memcmp does it with bytes in wire order.
// hot path: findRange

/** Ranges of one width. Row i of `low` and `high` are the bounds of range i; sorted, disjoint unless there are parts. */
export interface Ranges {
  /** Words of one bound. */
  readonly width: number;
  readonly low: Uint32Array;
  readonly high: Uint32Array;
  /**
   * Words of each part of a concatenation whose parts have ranges of their own: all of them must be within their own
   * bounds. Empty: one long number.
   */
  readonly parts: readonly number[];
}

/** A range before it is sorted in. */
export interface Span {
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** `spans` as ranges. Sorted and, being a set, merged where they overlap. */
export function makeRanges(width: number, spans: readonly Span[]): Ranges {
  const merged: Span[] = [];
  for (const span of [...spans].sort((a, b) => compare(a.low, b.low))) {
    const last = merged.at(-1);
    if (last === undefined || compare(span.low, last.high) > 0) merged.push(span);
    else if (compare(span.high, last.high) > 0) merged[merged.length - 1] = { low: last.low, high: span.high };
  }
  return pack(width, merged);
}

/** `entries` as ranges in the order of their bounds, and the entries in that order. Of two that overlap, the first. */
export function makeMap<E extends Span>(width: number, entries: readonly E[]): { ranges: Ranges; sorted: E[] } {
  const sorted: E[] = [];
  for (const entry of [...entries].sort((a, b) => compare(a.low, b.low))) {
    const last = sorted.at(-1);
    if (last === undefined || compare(entry.low, last.high) > 0) sorted.push(entry);
  }
  return { ranges: pack(width, sorted), sorted };
}

/** Ranges whose parts are compared one by one, in the order given. */
export function makeBoxes(parts: readonly number[], spans: readonly Span[]): Ranges {
  const width = parts.reduce((sum, words) => sum + words, 0);
  return { ...pack(width, spans), parts };
}

/** One value of one word. */
export function exactly(value: number): Ranges {
  return { width: 1, low: Uint32Array.of(value), high: Uint32Array.of(value), parts: [] };
}

export function countRanges(ranges: Ranges): number {
  return ranges.width === 0 ? 0 : ranges.low.length / ranges.width;
}

/** The range that `key` is in, or -1. */
export function findRange(ranges: Ranges, key: Uint32Array): number {
  const { width, low, high } = ranges;
  if (ranges.parts.length > 0) return findBox(ranges, key);
  if (width === 1) return findWord(low, high, key[0]);
  // The last range that does not begin behind the key.
  let first = 0;
  let last = low.length / width - 1;
  while (first <= last) {
    const middle = (first + last) >>> 1;
    if (compareRow(low, middle * width, key, width) <= 0) first = middle + 1;
    else last = middle - 1;
  }
  return last >= 0 && compareRow(high, last * width, key, width) >= 0 ? last : -1;
}

function findWord(low: Uint32Array, high: Uint32Array, key: number): number {
  let first = 0;
  let last = low.length - 1;
  while (first <= last) {
    const middle = (first + last) >>> 1;
    if (low[middle] <= key) first = middle + 1;
    else last = middle - 1;
  }
  return last >= 0 && high[last] >= key ? last : -1;
}

function findBox({ width, low, high, parts }: Ranges, key: Uint32Array): number {
  const count = low.length / width;
  for (let i = 0; i < count; i++) {
    let at = 0;
    let part = 0;
    while (part < parts.length) {
      const end = at + parts[part];
      if (!isWithin(low, high, i * width, key, at, end)) break;
      at = end;
      part++;
    }
    if (part === parts.length) return i;
  }
  return -1;
}

/** Whether the words from `from` to `to` of `key` are within those of the row at `row`. */
function isWithin(
  low: Uint32Array,
  high: Uint32Array,
  row: number,
  key: Uint32Array,
  from: number,
  to: number,
): boolean {
  for (let i = from; i < to; i++) {
    if (low[row + i] === key[i]) continue;
    if (low[row + i] > key[i]) return false;
    break;
  }
  for (let i = from; i < to; i++) {
    if (high[row + i] !== key[i]) return high[row + i] > key[i];
  }
  return true;
}

/** Sign of the row at `at` of `rows` less `key`. */
function compareRow(rows: Uint32Array, at: number, key: Uint32Array, width: number): number {
  for (let i = 0; i < width; i++) {
    const word = rows[at + i];
    if (word !== key[i]) return word < key[i] ? -1 : 1;
  }
  return 0;
}

/** Sign of `a` less `b`, rows of words of any sign. */
export function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const x = a[i] >>> 0;
    const y = b[i] >>> 0;
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

function pack(width: number, spans: readonly Span[]): Ranges {
  const low = new Uint32Array(spans.length * width);
  const high = new Uint32Array(spans.length * width);
  for (const [i, span] of spans.entries()) {
    low.set(span.low, i * width);
    high.set(span.high, i * width);
  }
  return { width, low, high, parts: [] };
}
