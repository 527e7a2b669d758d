// SPDX-License-Identifier: Apache-2.0
// The pool of free frames: order, holders, what comes home when a link closes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FramePool, HOLDER_NONE } from './frame-pool.ts';
import { FRAME_SIZE } from './link.ts';

test('every frame is given out once, then -1', () => {
  const pool = new FramePool(4);
  const taken = [1, 2, 3, 4].map(() => pool.take(HOLDER_NONE));
  assert.deepEqual(taken, [0, FRAME_SIZE, 2 * FRAME_SIZE, 3 * FRAME_SIZE]);
  assert.equal(pool.take(HOLDER_NONE), -1);
  assert.equal(pool.free, 0);
});

test('the frame used last goes out first, whatever part of it was named', () => {
  const pool = new FramePool(4);
  pool.take(HOLDER_NONE);
  const frame = pool.take(HOLDER_NONE);
  pool.give(frame + 256 + 14);
  assert.equal(pool.take(HOLDER_NONE), frame);
});

test('a link that leaves brings home what it held, and nothing else', () => {
  const pool = new FramePool(8);
  const [first, second] = [pool.addHolder(), pool.addHolder()];
  const own = pool.take(HOLDER_NONE);
  const received = pool.take(first);
  pool.take(first);
  pool.take(second);
  pool.hand(received + 256, HOLDER_NONE);
  pool.removeHolder(first);
  assert.equal(pool.free, 5);
  pool.give(received);
  pool.give(own);
  pool.removeHolder(second);
  assert.equal(pool.free, 8);
  const all = Array.from({ length: 8 }, () => pool.take(HOLDER_NONE));
  assert.equal(new Set(all).size, 8);
});

test("a link's number is free again after it left", () => {
  const pool = new FramePool(1);
  const holders = Array.from({ length: 255 }, () => pool.addHolder());
  assert.throws(() => pool.addHolder(), { name: 'RangeError', message: 'a frame pool serves at most 255 links' });
  pool.removeHolder(holders[7]);
  assert.equal(pool.addHolder(), holders[7]);
});
