// SPDX-License-Identifier: Apache-2.0
// Counters and the kernel's rate estimator, with values worked out from its formula in whole numbers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addCounters, COLUMNS, IN_BYTES, IN_PACKETS, newCounters, Traffic } from './traffic.ts';

test('a steady rate is approached by a quarter of what is missing each step, as in the kernel', () => {
  const counters = newCounters();
  const traffic = new Traffic();
  const seen: [number, number][] = [];
  for (let step = 0; step < 100; step++) {
    counters[IN_PACKETS] += 2000;
    counters[IN_BYTES] += 2_000_000;
    traffic.estimate(counters);
    seen.push([traffic.rates().inPackets, traffic.rates().inBytes]);
  }
  // 1000 packets/s is 1024000 in the estimator: 256000, 448000, 592000 …; shown (n + 511) >> 10.
  assert.deepEqual(seen.slice(0, 4), [
    [250, 250_000],
    [437, 437_500],
    [578, 578_125],
    [684, 683_594],
  ]);
  assert.deepEqual(seen.at(-1), [1000, 1_000_000]);
});

test('the average never leaves what whole-number arithmetic of the kernel gives', () => {
  const delta = fc.nat({ max: 1_000_000 });
  fc.assert(
    fc.property(fc.array(fc.tuple(delta, delta), { maxLength: 30 }), (steps) => {
      const counters = newCounters();
      const traffic = new Traffic();
      let packets = 0n;
      let bytes = 0n;
      for (const [p, b] of steps) {
        counters[IN_PACKETS] += p;
        counters[IN_BYTES] += b;
        traffic.estimate(counters);
        packets += ((BigInt(p) << 9n) - packets) >> 2n;
        bytes += ((BigInt(b) << 4n) - bytes) >> 2n;
        assert.equal(traffic.rates().inPackets, Number((packets + 0x1ffn) >> 10n));
        assert.equal(traffic.rates().inBytes, Number((bytes + 0xfn) >> 5n));
      }
    }),
  );
});

test('zeroing hides what was counted and empties the rates, the counters go on', () => {
  const counters = newCounters();
  const traffic = new Traffic();
  counters.set([1, 20, 30, 4000, 5000]);
  traffic.estimate(counters);
  traffic.zero(counters);
  assert.deepEqual(traffic.shown(counters), { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 });
  assert.deepEqual(traffic.rates(), { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 });
  addCounters(counters, Float64Array.of(1, 2, 3, 4, 5));
  assert.deepEqual(traffic.shown(counters), { connections: 1, inPackets: 2, outPackets: 3, inBytes: 4, outBytes: 5 });
  assert.equal(counters[IN_PACKETS], 22);
});

test('counters are added and taken away column by column', () => {
  const sum = newCounters();
  addCounters(sum, Float64Array.of(1, 2, 3, 4, 5));
  addCounters(sum, Float64Array.of(1, 2, 3, 4, 5));
  addCounters(sum, Float64Array.of(1, 1, 1, 1, 1), -1);
  assert.deepEqual([...sum], [1, 3, 5, 7, 9]);
  assert.equal(sum.length, COLUMNS);
});
