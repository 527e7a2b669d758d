// SPDX-License-Identifier: Apache-2.0
// The Internet checksum against the slow and obvious sum: whole, and mended after changes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, internetChecksum } from '../../test/support/frames.ts';
import { applyDifference, checksum, difference16, difference32, fold, sumBytes, sumWord } from './checksum.ts';

const word = fc.oneof(
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  fc.constantFrom(0, -1, 0xffff, 0xffff0000 | 0, 1),
);
const half = fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(0, 1, 0xfffe, 0xffff));

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

test('the example of RFC 1071 §3 has its sum', () => {
  const view = viewOf(fromHex('0001f203f4f5f6f7'));
  assert.equal(fold(sumBytes(view, 0, 8, 0)), 0xddf2);
  assert.equal(checksum(view, 0, 8, 0), 0x220d);
});

test('the checksum of any bytes at any place is the slow one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat({ max: 9 }), (bytes, offset) => {
      const memory = new Uint8Array(offset + bytes.length).fill(0xa5);
      memory.set(bytes, offset);
      assert.equal(checksum(viewOf(memory), offset, bytes.length, 0), internetChecksum(bytes));
    }),
    { numRuns: 1000 },
  );
});

test('a sum goes on from another one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }), word, (a, b, initial) => {
      const first = a.subarray(0, a.length & ~1);
      const all = Uint8Array.from([initial >>> 24, initial >>> 16, initial >>> 8, initial, ...first, ...b]);
      const sum = sumBytes(viewOf(b), 0, b.length, sumBytes(viewOf(a), 0, first.length, sumWord(initial)));
      assert.equal(~fold(sum) & 0xffff, internetChecksum(all));
    }),
  );
});

test('the largest packet of ones does not overflow', () => {
  const bytes = new Uint8Array(65535).fill(0xff);
  assert.equal(checksum(viewOf(bytes), 0, bytes.length, 0xffff), internetChecksum(bytes));
});

test('every sum of 32 bits folds to 16 bits with the same remainder', () => {
  fc.assert(
    fc.property(word, (value) => {
      const sum = value >>> 0;
      const folded = fold(sum);
      assert.ok(folded >= 0 && folded <= 0xffff);
      assert.equal(folded % 0xffff, sum % 0xffff);
      assert.equal(folded === 0, sum === 0);
    }),
    { numRuns: 1000 },
  );
});

test('the example of RFC 1624 §4 gives 0x0000, not 0xffff', () => {
  assert.equal(applyDifference(0xdd2f, difference16(0x5555, 0x3285)), 0x0000);
});

test('a checksum that is mended is the one computed whole', () => {
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 40 });
  fc.assert(
    fc.property(bytes, word, half, (data, newWord, newHalf) => {
      // A first byte that is not 0 stands for the header fields that keep real packets from being all zero.
      data[0] |= 1;
      const view = viewOf(data);
      const old = checksum(view, 0, data.length, 0);
      const difference = difference32(view.getInt32(4), newWord) + difference16(view.getUint16(8), newHalf);
      view.setInt32(4, newWord);
      view.setUint16(8, newHalf);
      assert.equal(applyDifference(old, difference), checksum(view, 0, data.length, 0));
    }),
    { numRuns: 2000 },
  );
});

test('a checksum that is mended there and back is what it was', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xfffe }), word, word, (old, from, to) => {
      // 0xffff and 0 are one number in this arithmetic, so only 0xffff may come back as the other.
      const there = applyDifference(old, difference32(from, to));
      assert.equal(applyDifference(there, difference32(to, from)), old);
    }),
    { numRuns: 2000 },
  );
});
