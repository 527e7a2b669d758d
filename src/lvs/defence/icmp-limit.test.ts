// SPDX-License-Identifier: Apache-2.0
// The limit of ICMP errors: a burst, a rate, and clocks that wrap or stand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IcmpLimit } from './icmp-limit.ts';

/** How many of `tries` are allowed at a tick. */
function allowed(limit: IcmpLimit, now: number, tries = 1000): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (limit.allow(now | 0)) count++;
  return count;
}

for (const start of [0, 2 ** 31 - 3, 2 ** 32 - 3]) {
  test(`50 errors at once, 10 more each 10 ms, never more than 50 saved, from tick ${start} on`, () => {
    const limit = new IcmpLimit(start | 0);
    assert.equal(allowed(limit, start), 50);
    assert.equal(allowed(limit, start), 0);
    assert.equal(allowed(limit, start + 1), 10);
    assert.equal(allowed(limit, start + 4), 30);
    assert.equal(allowed(limit, start + 4 + 100_000), 50);
    assert.equal(allowed(limit, start + 4 + 100_001), 10);
  });
}

test('what was refused costs nothing later', () => {
  const limit = new IcmpLimit(0);
  allowed(limit, 0, 100_000);
  assert.equal(allowed(limit, 5), 50);
});

test('errors flow again after any silence, half a turn of the clock too', () => {
  for (const silence of [2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1]) {
    const limit = new IcmpLimit(0);
    allowed(limit, 0);
    assert.equal(allowed(limit, silence), 50, `${silence} ticks`);
  }
});
