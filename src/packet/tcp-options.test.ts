// SPDX-License-Identifier: Apache-2.0
// TCP options found and changed in place, wherever in the header they stand; lying headers are left alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumFault } from '../../test/support/frames.ts';
import { readOptions, readSegment, Slot, segment } from '../../test/support/segments.ts';
import { eraseOptions, findOption, reduceMss, TCPOPT_MSS, TCPOPT_TIMESTAMP, tcpDataStart } from './tcp-options.ts';

const V4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80, flags: 'S' };
const MSS = [2, 4, 0x05, 0xb4];
const WINDOW_SCALE = [3, 3, 7];
const SACK_OK = [4, 2];
const TIMESTAMP = [8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
const NOP = [1];

/** Options of a SYN in any order, with or without padding between. */
const options = fc
  .shuffledSubarray([MSS, WINDOW_SCALE, SACK_OK, TIMESTAMP, NOP, NOP, NOP])
  .map((parts) => parts.flat());

test('timestamps in a SYN become NOPs, wherever they stand, and nothing else changes', () => {
  fc.assert(
    fc.property(options, (bytes) => {
      const packet = segment({ ...V4, options: bytes });
      const slot = new Slot(packet);
      const had = readOptions(readSegment(packet).options);
      const erased = eraseOptions(slot.view, slot.headers, TCPOPT_TIMESTAMP);
      const result = readSegment(slot.packet());
      assert.equal(erased, had.filter(([kind]) => kind === 8).length);
      assert.deepEqual(
        readOptions(result.options),
        had.filter(([kind]) => kind !== 8),
      );
      assert.equal(result.options.length, readSegment(packet).options.length);
      if (erased === 0) assert.deepEqual(slot.packet(), packet);
    }),
    { numRuns: 500 },
  );
});

test('the MSS is reduced wherever it stands, but not below 88', () => {
  fc.assert(
    fc.property(options, fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 200 }), (bytes, mss, by) => {
      const at =
        bytes.indexOf(2) === -1 ? -1 : bytes.findIndex((b, i) => b === 2 && bytes[i + 1] === 4 && bytes[i + 2] === 5);
      const own = [...bytes];
      if (at !== -1) own.splice(at + 2, 2, mss >>> 8, mss & 255);
      const packet = segment({ ...V4, options: own });
      const slot = new Slot(packet);
      const isReduced = reduceMss(slot.view, slot.headers, by);
      const found = readOptions(readSegment(slot.packet()).options).find(([kind]) => kind === TCPOPT_MSS);
      const expected = Math.min(mss, Math.max(mss - by, 88));
      if (found !== undefined) assert.equal(found[1] * 256 + found[2], expected);
      assert.equal(isReduced, found !== undefined && expected !== mss);
      if (!isReduced) assert.deepEqual(slot.packet(), packet);
    }),
    { numRuns: 500 },
  );
});

test('an option of the wrong length is no MSS', () => {
  const packet = segment({ ...V4, options: [2, 6, 5, 0xb4, 0, 0] });
  const slot = new Slot(packet);
  assert.equal(reduceMss(slot.view, slot.headers, 20), false);
  assert.deepEqual(slot.packet(), packet);
});

test('a damaged segment stays damaged', () => {
  const slot = new Slot(segment({ ...V4, options: [...MSS, ...TIMESTAMP] }));
  slot.bytes[slot.headers.transport + 15] ^= 4;
  assert.ok(reduceMss(slot.view, slot.headers, 20));
  assert.equal(eraseOptions(slot.view, slot.headers, TCPOPT_TIMESTAMP), 1);
  assert.notEqual(checksumFault(slot.packet()), undefined);
});

test('a header that is longer than the segment, or shorter than a header, has no data and no options', () => {
  for (const offset of [0, 4, 6, 15]) {
    const slot = new Slot(segment(V4));
    slot.bytes[slot.headers.transport + 12] = offset << 4;
    const before = slot.packet();
    assert.equal(tcpDataStart(slot.view, slot.headers), -1);
    assert.equal(eraseOptions(slot.view, slot.headers, TCPOPT_TIMESTAMP), 0);
    assert.equal(reduceMss(slot.view, slot.headers, 20), false);
    assert.deepEqual(slot.packet(), before);
  }
});

test('no bytes of options make the walk read outside them or go on for ever', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 255 }), (bytes, kind) => {
      const view = new DataView(Uint8Array.from(bytes).buffer);
      const at = findOption(view, 0, bytes.length, kind);
      if (at === -1) return;
      assert.equal(bytes[at], kind);
      assert.ok(kind > 1 && at + bytes[at + 1] <= bytes.length);
    }),
    { numRuns: 3000 },
  );
});

test('an option that does not fit ends the walk, as the end of options does', () => {
  const find = (bytes: number[], kind: number): number =>
    findOption(new DataView(Uint8Array.from(bytes).buffer), 0, bytes.length, kind);
  assert.equal(find([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], 8), 2);
  assert.equal(find([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7], 8), -1);
  assert.equal(find([0, 2, 4, 5, 0xb4], 2), -1);
  assert.equal(find([9, 1, 2, 4, 5, 0xb4], 2), -1);
  assert.equal(find([9, 0, 2, 4, 5, 0xb4], 2), -1);
  assert.equal(find([9, 3, 2, 2, 4, 5, 0xb4], 2), 3);
  assert.equal(find([2], 2), -1);
});
