// SPDX-License-Identifier: Apache-2.0
// What a test says about one field of the packet that it looks at, among others perhaps: the ranges that the field must
// be in. Always at least what the test lets through, never less. For reach.ts; not on the hot path.

import { compare, countRanges, type Ranges, type Span } from './ranges.ts';
import type { Field } from './rules.ts';

/** Bytes of a header. */
export interface Place {
  readonly source: number;
  readonly offset: number;
  readonly length: number;
}

/** Most pairs of ranges that are cut with each other; then one of the sets stands for both. */
const MAX_PAIRS = 1 << 16;

/**
 * The ranges of a place, as words of which the first byte is in the top bits, that the field's ranges leave; undefined
 * when the test says nothing of it that could be told apart.
 */
export function project(field: Field, ranges: Ranges, place: Place): Span[] | undefined {
  const start = positionOf(field, place, 0);
  if (start === undefined) return undefined;
  let known = 1;
  while (known < place.length && positionOf(field, place, known) === start + known) known++;
  const words = field.slice(start >> 2, (start + known - 1 + 4) >> 2);
  if (words.some(({ xor, shift }) => xor !== 0 || shift !== 0)) return undefined;
  const masks = Array.from({ length: known }, (_, k) => byteOf(field[(start + k) >> 2].and, (start + k) & 3));
  const spans: Span[] = [];
  const partStart = startOfPart(ranges, start >> 2) * 4;
  for (let i = 0; i < countRanges(ranges); i++) {
    const low = row(ranges.low, ranges.width, i);
    const high = row(ranges.high, ranges.width, i);
    for (let at = partStart; at < start; at++) if (low(at) !== high(at)) return undefined;
    spans.push(
      spanOf(
        place.length,
        masks,
        (k) => low(start + k),
        (k) => high(start + k),
      ),
    );
  }
  return spans;
}

/** The ranges that are in both; undefined stands for everything. */
export function intersect(a: readonly Span[] | undefined, b: readonly Span[] | undefined): readonly Span[] | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  if (a.length * b.length > MAX_PAIRS) return a.length < b.length ? a : b;
  return a.flatMap((one) =>
    b.flatMap((other) => {
      const low = compare(one.low, other.low) > 0 ? one.low : other.low;
      const high = compare(one.high, other.high) < 0 ? one.high : other.high;
      return compare(low, high) <= 0 ? [{ low, high }] : [];
    }),
  );
}

/** At most `most` ranges that hold all of these. */
export function coarsen(spans: readonly Span[] | undefined, most: number): readonly Span[] | undefined {
  if (spans === undefined || spans.length <= most) return spans;
  const sorted = [...spans].sort((a, b) => compare(a.low, b.low));
  const size = Math.ceil(sorted.length / most);
  return Array.from({ length: Math.ceil(sorted.length / size) }, (_, i) => {
    const group = sorted.slice(i * size, (i + 1) * size);
    const high = group.reduce((last, span) => (compare(span.high, last) > 0 ? span.high : last), group[0].high);
    return { low: group[0].low, high };
  });
}

/** Place of byte `k` of a header field in the key: words are four bytes each. */
function positionOf(field: Field, place: Place, k: number): number | undefined {
  for (const [i, { source, offset, size }] of field.entries()) {
    const at = place.offset + k - offset;
    if (source === place.source && at >= 0 && at < size) return 4 * i + at;
  }
  return undefined;
}

/** First word of the part of a concatenation that word `i` is in. */
function startOfPart({ parts }: Ranges, i: number): number {
  let start = 0;
  for (const words of parts) {
    if (i < start + words) break;
    start += words;
  }
  return start;
}

/** From the first byte of which not every bit counts, anything may follow. */
function spanOf(
  length: number,
  masks: readonly number[],
  low: (k: number) => number,
  high: (k: number) => number,
): Span {
  const from = new Array<number>(length).fill(0);
  const to = new Array<number>(length).fill(255);
  for (const [k, mask] of masks.entries()) {
    const leading = ~(255 >>> Math.clz32(~(mask << 24))) & 255;
    from[k] = low(k) & leading;
    to[k] = (high(k) & leading) | (~leading & 255);
    if (mask !== 255) break;
  }
  return { low: toWords(from), high: toWords(to) };
}

function toWords(bytes: readonly number[]): number[] {
  return Array.from({ length: Math.ceil(bytes.length / 4) }, (_, i) =>
    bytes.slice(4 * i, 4 * i + 4).reduce((word, byte, k) => word | (byte << (24 - 8 * k)), 0),
  );
}

function row(rows: Uint32Array, width: number, i: number): (at: number) => number {
  return (at) => byteOf(rows[i * width + (at >> 2)], at & 3);
}

function byteOf(word: number, i: number): number {
  return (word >>> (24 - 8 * i)) & 255;
}
