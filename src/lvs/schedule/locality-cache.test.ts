// SPDX-License-Identifier: Apache-2.0
// What lblc and lblcr remember: how much, and when it is forgotten (ip_vs_lblc_check_expire).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TICKS_PER_SECOND } from '../connection/layout.ts';
import { LocalityCache, type Remembered } from './locality-cache.ts';

const MAXIMUM = 16_384;
const MOST = 24_576;
const MINUTE = 60;
const DAY = 86_400;

/** A cache with a clock in seconds, and how many of its entries were released. */
class Memory {
  readonly cache = new LocalityCache<Remembered>();
  released = 0;
  #now = 0;

  /** Remembers something for destinations `from` up to `to`. */
  fill(from: number, to: number, isIpv6 = false): void {
    for (let i = from; i < to; i++) {
      this.cache.add(words(i, isIpv6), { used: this.#ticks(), release: () => this.released++ });
    }
  }

  use(from: number, to: number): void {
    for (let i = from; i < to; i++) this.cache.get(words(i, false), this.#ticks());
  }

  knows(i: number, isIpv6 = false): boolean {
    return this.cache.get(words(i, isIpv6), this.#ticks()) !== undefined;
  }

  /** Lets seconds pass, one by one, as a director does. */
  advance(seconds: number, expiration = DAY): void {
    for (let i = 0; i < seconds; i++) {
      this.#now++;
      this.cache.tick(this.#ticks(), expiration);
    }
  }

  #ticks(): number {
    return (this.#now * TICKS_PER_SECOND) | 0;
  }
}

function words(i: number, isIpv6: boolean): Int32Array {
  return isIpv6 ? Int32Array.of(0x20010db8, 0, i >> 8, i & 255) : Int32Array.of(0x0a000000 + i, 0, 0, 0);
}

test('no more than half as much again as 16384 is remembered; what is too much is released at once', () => {
  const memory = new Memory();
  memory.fill(0, MOST);
  assert.deepEqual([memory.cache.size, memory.released], [MOST, 0]);
  memory.fill(MOST, MOST + 10);
  assert.deepEqual([memory.cache.size, memory.released], [MOST, 10]);
  assert.deepEqual([memory.knows(MOST - 1), memory.knows(MOST)], [true, false]);
});

test('IPv4 and IPv6 destinations count together and are told apart by every word', () => {
  const memory = new Memory();
  memory.fill(0, MOST - 1000);
  memory.fill(0, 1001, true);
  assert.deepEqual([memory.cache.size, memory.released], [MOST, 1]);
  assert.deepEqual([memory.knows(999, true), memory.knows(1000, true)], [true, false]);
  for (let i = 0; i < 4; i++) {
    const other = words(999, true);
    other[i] ^= 1 << 12;
    assert.equal(memory.cache.get(other, 0), undefined, `word ${i}`);
  }
});

test('every half hour everything goes that was not used for as long as the setting says', () => {
  const memory = new Memory();
  memory.fill(0, 100);
  // The clock begins with the first second.
  memory.advance(801, 1000);
  memory.use(0, 10);
  memory.advance(1, 1000);
  memory.use(10, 30);
  memory.advance(998, 1000);
  assert.deepEqual([memory.cache.size, memory.released], [100, 0], 'half an hour has not passed');
  memory.advance(1, 1000);
  assert.deepEqual([memory.cache.size, memory.released, memory.knows(9), memory.knows(10)], [20, 80, false, true]);
  memory.advance(30 * MINUTE - 1, 1000);
  assert.equal(memory.cache.size, 20);
  memory.advance(1, 1000);
  assert.equal(memory.cache.size, 0);
});

test('by default that is a day', () => {
  const memory = new Memory();
  memory.fill(0, 100);
  memory.advance(DAY - MINUTE);
  assert.equal(memory.cache.size, 100);
  memory.advance(31 * MINUTE);
  assert.equal(memory.cache.size, 0);
});

test('above 16384, each minute four thirds of the surplus go, oldest first, of what was idle for six minutes', () => {
  const memory = new Memory();
  memory.fill(0, 19_000);
  memory.advance(6 * MINUTE - 1);
  memory.use(0, 50);
  memory.fill(19_000, 20_000);
  assert.equal(memory.cache.size, 20_000, 'nothing was idle for so long');
  memory.advance(2);
  // (20000 - 16384) · 4 / 3
  assert.equal(memory.cache.size, 20_000 - 4821);
  assert.deepEqual(
    [memory.knows(49), memory.knows(50), memory.knows(4870), memory.knows(4871)],
    [...[true, false, false, true]],
  );
  memory.advance(20 * MINUTE);
  assert.equal(memory.cache.size, 20_000 - 4821, 'there is room again');
});

test('no more than 8192 go in a minute', () => {
  const memory = new Memory();
  memory.fill(0, MOST);
  memory.advance(6 * MINUTE + 1);
  assert.equal(memory.cache.size, MOST - 8192);
  memory.fill(MOST, MOST + 8192);
  memory.advance(MINUTE);
  assert.equal(memory.cache.size, MOST - 8192);
});

test('minutes with too much do not count to the half hour', () => {
  const memory = new Memory();
  memory.fill(0, MAXIMUM + 1);
  for (let minute = 0; minute < 10; minute++) {
    memory.use(0, MAXIMUM + 1);
    memory.advance(MINUTE, 30);
  }
  assert.equal(memory.cache.size, MAXIMUM + 1, 'all of it is in use');
  memory.advance(8 * MINUTE, 30);
  assert.equal(memory.cache.size, MAXIMUM);
  memory.advance(26 * MINUTE, 30);
  assert.equal(memory.cache.size, MAXIMUM);
  memory.advance(8 * MINUTE, 30);
  assert.equal(memory.cache.size, 0);
});

test('clearing releases everything', () => {
  const memory = new Memory();
  memory.fill(0, 10);
  memory.fill(0, 10, true);
  memory.cache.clear();
  assert.deepEqual([memory.cache.size, memory.released, memory.knows(1), memory.knows(1, true)], [0, 20, false, false]);
});
