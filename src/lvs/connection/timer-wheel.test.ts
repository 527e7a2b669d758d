// SPDX-License-Identifier: Apache-2.0
// The timer wheel against a plain Map of expiries, with clocks that jump and wrap at 31 and 32 bits.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Random } from '../../../test/support/random.ts';
import {
  connectionMemoryBytes,
  EXPIRES,
  layConnectionMemory,
  RECORD_SHIFT,
  TIMER_SHIFT,
  TIMER_SLOTS,
} from './layout.ts';
import { TimerWheel } from './timer-wheel.ts';

const RECORDS = 2000;
const SLOT = 1 << TIMER_SHIFT;
const TURN = TIMER_SLOTS * SLOT;

/** A wheel and, beside it, what is armed. Its clock does not wrap; the wheel is given its low 32 bits. */
class Pair {
  readonly wheel: TimerWheel;
  /** By record: when it expires, and when it was last armed or moved. */
  readonly armed = new Map<number, { expires: number; since: number }>();
  now: number;
  readonly #records: Int32Array;

  constructor(now: number) {
    const memory = layConnectionMemory(new ArrayBuffer(connectionMemoryBytes(RECORDS)), RECORDS);
    this.#records = memory.records;
    this.now = now;
    this.wheel = new TimerWheel(memory, now | 0);
  }

  arm(id: number, ticks: number): void {
    this.#write(id, this.now + ticks);
    this.armed.set(id, { expires: this.now + ticks, since: this.now });
    this.wheel.arm(id);
  }

  /** A later expiry, written only. */
  prolong(id: number, ticks: number): void {
    const timer = this.#timer(id);
    timer.expires = Math.max(timer.expires, this.now + ticks);
    this.#write(id, timer.expires);
  }

  rearm(id: number, ticks: number): void {
    Object.assign(this.#timer(id), { expires: this.now + ticks, since: this.now });
    this.#write(id, this.now + ticks);
    this.wheel.rearm(id);
  }

  disarm(id: number): void {
    this.armed.delete(id);
    this.wheel.disarm(id);
  }

  /** Takes out what is due; nothing may come early, nothing more than a slot late. */
  run(): number {
    let count = 0;
    this.wheel.movesLeft = RECORDS * 2;
    for (;;) {
      const id = this.wheel.due(this.now | 0);
      if (id === 0) break;
      count++;
      const { expires } = this.#timer(id);
      assert.ok(expires <= this.now, `${id} came ${expires - this.now} ticks early`);
      this.armed.delete(id);
    }
    for (const [id, { expires, since }] of this.armed) {
      assert.ok(Math.max(expires, since) > this.now - SLOT, `${id} is late: ${this.now - expires} ticks`);
    }
    return count;
  }

  #timer(id: number): { expires: number; since: number } {
    const timer = this.armed.get(id);
    assert.ok(timer !== undefined, `record ${id} is not armed`);
    return timer;
  }

  #write(id: number, expires: number): void {
    this.#records[(id << RECORD_SHIFT) + EXPIRES] = expires | 0;
  }
}

const start = fc.oneof(
  fc.nat({ max: 1000 }),
  fc.integer({ min: 2 ** 31 - 300_000, max: 2 ** 31 + 1000 }),
  fc.integer({ min: 2 ** 32 - 300_000, max: 2 ** 32 + 1000 }),
);
/** A timeout: in the past, soon, within a turn of the wheel, beyond one, the longest there is. */
const TIMEOUTS = [-500, 0, 1, 7, 8, 9, 200, 1000, 6000, 90_000, TURN - SLOT, TURN - 1, TURN, TURN + 1, 3 * TURN];
const LONGEST = 2_678_400 * 100;

test('timers come neither early nor late, however they are moved and the clock jumps', () => {
  fc.assert(
    fc.property(start, fc.integer(), (first, seed) => {
      const random = new Random(seed);
      const pair = new Pair(first);
      const free = Array.from({ length: RECORDS }, (_, i) => i + 1);
      const armedIds = (): number[] => [...pair.armed.keys()];
      const ticks = (): number => random.pick(TIMEOUTS) + random.below(50);
      for (let step = 0; step < 150; step++) {
        for (let i = random.below(20); i > 0; i--) {
          const id = free[random.below(free.length)];
          if (!pair.armed.has(id)) pair.arm(id, ticks());
        }
        for (const id of armedIds()) {
          const dice = random.below(20);
          if (dice === 0) pair.rearm(id, ticks());
          else if (dice === 1) pair.disarm(id);
          else if (dice < 5) pair.prolong(id, ticks());
        }
        pair.now += random.pick([0, 1, 5, 8, 10, 100, 3000, 20_000, TURN + 5]);
        pair.run();
      }
      pair.now += 4 * TURN;
      pair.run();
      assert.equal(pair.armed.size, 0);
    }),
    { numRuns: 40 },
  );
});

test('the longest timeout is kept over many turns of the wheel and the wrap of the clock', () => {
  const first = 2 ** 32 - 1000;
  const pair = new Pair(first);
  pair.arm(1, LONGEST);
  while (pair.now < first + LONGEST - 1) {
    pair.now = Math.min(pair.now + Math.floor(TURN / 3), first + LONGEST - 1);
    assert.equal(pair.run(), 0);
  }
  pair.now = first + LONGEST + SLOT;
  assert.equal(pair.run(), 1);
});

test('records are moved on as far as it is allowed, those that are due come out all the same', () => {
  const pair = new Pair(0);
  for (let id = 1; id <= 10; id++) {
    pair.arm(id, 100);
    if (id <= 7) pair.prolong(id, 500);
  }
  pair.now = 200;
  const seen: number[] = [];
  let rounds = 0;
  while (pair.wheel.movesLeft === 0) {
    rounds++;
    pair.wheel.movesLeft = 2;
    for (let id = pair.wheel.due(200); id !== 0; id = pair.wheel.due(200)) seen.push(id);
  }
  assert.deepEqual(seen, [10, 9, 8]);
  // Seven moves, two by two.
  assert.equal(rounds, 4);
  for (const id of seen) pair.armed.delete(id);
  pair.now = 500 + SLOT;
  assert.equal(pair.run(), 7);
});

test('records of one slot can be stopped in any order', () => {
  for (const order of [
    [1, 2, 3],
    [1, 3, 2],
    [2, 1, 3],
    [2, 3, 1],
    [3, 1, 2],
    [3, 2, 1],
  ]) {
    const pair = new Pair(0);
    for (let id = 1; id <= 4; id++) pair.arm(id, 100);
    for (const id of order) pair.disarm(id);
    pair.now = 200;
    assert.equal(pair.run(), 1);
    assert.equal(pair.armed.size, 0);
  }
});
