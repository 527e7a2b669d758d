// SPDX-License-Identifier: Apache-2.0
// The search in ranges, against looking at every one of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compare, countRanges, findRange, makeBoxes, makeMap, makeRanges, type Span } from './ranges.ts';

/** Words that are close to one another and to the ends. */
const word = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constantFrom(-1, -2, 0x7fffffff, -0x80000000));

const row = (width: number): fc.Arbitrary<number[]> => fc.array(word, { minLength: width, maxLength: width });

const spans = (width: number): fc.Arbitrary<Span[]> =>
  fc.array(
    fc.tuple(row(width), row(width)).map(([a, b]) => (compare(a, b) <= 0 ? { low: a, high: b } : { low: b, high: a })),
    { maxLength: 12 },
  );

const isIn = (key: readonly number[], { low, high }: Span): boolean =>
  compare(low, key) <= 0 && compare(key, high) <= 0;

const sets = fc.integer({ min: 1, max: 4 }).chain((width) => fc.tuple(fc.constant(width), spans(width), row(width)));

test('a key is found in a set exactly when one of its ranges holds it', () => {
  fc.assert(
    fc.property(sets, ([width, list, key]) => {
      const found = findRange(makeRanges(width, list), Uint32Array.from(key));
      assert.equal(
        found >= 0,
        list.some((span) => isIn(key, span)),
      );
    }),
  );
});

test('in a map the entry that is found holds the key', () => {
  fc.assert(
    fc.property(sets, ([width, list, key]) => {
      const { ranges, sorted } = makeMap(width, list);
      assert.equal(countRanges(ranges), sorted.length);
      const found = findRange(ranges, Uint32Array.from(key));
      assert.equal(
        found >= 0,
        sorted.some((span) => isIn(key, span)),
      );
      if (found >= 0) assert.ok(isIn(key, sorted[found]));
    }),
  );
});

test('the parts of a concatenation have bounds of their own', () => {
  const parts = fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 1, maxLength: 3 });
  const boxes = parts.chain((widths) => {
    const box = fc.tuple(...widths.map((width) => spans(width).filter((list) => list.length > 0))).map((lists) => ({
      low: lists.flatMap(([{ low }]) => low),
      high: lists.flatMap(([{ high }]) => high),
    }));
    return fc.tuple(fc.constant(widths), fc.array(box, { maxLength: 5 }), row(widths.reduce((a, b) => a + b)));
  });
  fc.assert(
    fc.property(boxes, ([widths, list, key]) => {
      const holds = ({ low, high }: Span): boolean => {
        let at = 0;
        return widths.every((width) => {
          const cut = (words: readonly number[]): readonly number[] => words.slice(at, at + width);
          const isWithin = isIn(cut(key), { low: cut(low), high: cut(high) });
          at += width;
          return isWithin;
        });
      };
      assert.equal(findRange(makeBoxes(widths, list), Uint32Array.from(key)), list.findIndex(holds));
    }),
  );
});
