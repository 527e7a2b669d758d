// SPDX-License-Identifier: Apache-2.0
// twos: how often it picks whom. One-packet services show the draws by themselves, for nobody has connections there;
// connections that stay show the choice between two. The director's seed is fixed, so that the outcome is always the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Load, LoadedService } from '../../../test/support/loaded-service.ts';
import { Site } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import { randomBits } from '../random.ts';

/** How many of `count` datagrams each server gets; by number, 0 for none. */
function draws(site: Site, count: number): number[] {
  const counts = new Array<number>(1 + 16).fill(0);
  for (let i = 0; i < count; i++) {
    const number = Number(site.send(4000));
    counts[Number.isNaN(number) ? 0 : number]++;
  }
  return counts;
}

function onePacketSite(weights: readonly number[]): Site {
  return new Site({ service: 'udp:10.0.0.1:53', scheduler: 'twos', onePacket: true, weights });
}

/** Within five standard deviations of the share. */
function assertShare(count: number, total: number, share: number): void {
  const deviation = Math.sqrt(total * share * (1 - share));
  assert.ok(Math.abs(count - total * share) <= 5 * deviation, `${count} of ${total} is not ${share}`);
}

test('servers are drawn by their weights, the newest by one more, for both ends of 0 … sum count', () => {
  for (const weights of [[1], [1, 1], [1, 2, 5], [10, 0, 30, 60], [1000, 1000, 2000]]) {
    const site = onePacketSite(weights);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const counts = draws(site, 6000);
    for (const [i, weight] of weights.entries()) {
      const share = (weight + (i === weights.length - 1 ? 1 : 0)) / (sum + 1);
      assertShare(counts[i + 1], 6000, share);
    }
  }
});

test('overloaded servers are not drawn, from the moment that they are until they are not', () => {
  const site = onePacketSite([1, 1, 1]);
  const overload = (number: number, isOverloaded: boolean): void => {
    // One connection of another director's making is enough for a threshold of 1.
    const server = site.lab.director.services.findServer(site.service, site.keyOf(number));
    if (isOverloaded) server.bind(false);
    else server.unbind(false);
  };
  site.edit(2, 1, { upperThreshold: 1 });
  assert.ok(draws(site, 100)[2] > 10);
  overload(2, true);
  assert.equal(draws(site, 500)[2], 0);
  overload(2, false);
  assert.ok(draws(site, 100)[2] > 10);
});

test('new weights, and servers that come and go, count from the next draw on', () => {
  const site = onePacketSite([1, 1]);
  draws(site, 10);
  site.edit(2, 0);
  assert.deepEqual(draws(site, 200).slice(0, 3), [0, 200, 0]);
  site.add(3, 99);
  assertShare(draws(site, 4000)[3], 4000, 100 / 101);
  site.delete(3);
  assert.deepEqual(draws(site, 200).slice(0, 4), [0, 200, 0, 0]);
  site.edit(1, 0);
  assert.equal(draws(site, 40)[0], 40, 'nobody has a weight');
  site.delete(1);
  site.delete(2);
  assert.equal(draws(site, 40)[0], 40, 'nobody is there');
});

test('of two drawn servers the less loaded gets the connection, so that loads stay together', () => {
  const site = new Site({
    lab: new TestDirector({ maxConnections: 10_000 }),
    scheduler: 'twos',
    weights: new Array(8).fill(1),
  });
  for (let i = 0; i < 8000; i++) site.send(1024 + i);
  const loads = Array.from({ length: 8 }, (_, i) => site.counts(i + 1)[0]);
  // Drawn once each they would lie some 30 off their mean, and 90 apart.
  assert.ok(Math.max(...loads) - Math.min(...loads) <= 12, `${loads}`);
});

test('less loaded means for its weight', () => {
  const site = new Site({ lab: new TestDirector({ maxConnections: 10_000 }), scheduler: 'twos', weights: [1, 3] });
  for (let i = 0; i < 8000; i++) site.send(1024 + i);
  assert.ok(Math.abs(site.counts(1)[0] - 2000) < 40, `${site.counts(1)[0]} of 8000`);
});

const SEED = 0x5eed;

/** ip_vs_twos.c: sums of weights are walked, products are 32-bit integers; undefined for no server. */
function model(loads: readonly Load[], random: () => number): number | undefined {
  const able = loads.map((load, i) => ({ ...load, number: i + 1 })).filter((one) => !one.overloaded && one.weight > 0);
  if (able.length === 0) return undefined;
  const sum = able.reduce((total, { weight }) => total + weight, 0);
  const [first, second] = [0, 1].map(() => {
    let left = Number((BigInt(random()) * BigInt(sum + 1)) >> 32n);
    return able.find(({ weight }) => {
      left -= weight;
      return left <= 0;
    })!;
  });
  const overhead = ({ active, inactive }: Load): bigint => 256n * BigInt(active) + BigInt(active + inactive);
  const product = (weight: number, load: bigint): bigint => BigInt.asIntN(32, BigInt(weight) * load);
  const isBetter = product(second.weight, overhead(first)) > product(first.weight, overhead(second));
  return (isBetter ? second : first).number;
}

test('it picks whom the kernel would with the same random numbers, also where its products overflow', () => {
  const weight = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 2 ** 28 }));
  const count = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 2 ** 24 }));
  const overloaded = fc.integer({ min: 0, max: 5 }).map((dice) => dice === 0);
  const load = fc.record({ weight, active: count, inactive: count, overloaded });
  fc.assert(
    fc.property(fc.array(load, { maxLength: 7 }), (loads) => {
      const real = new LoadedService('twos', loads, randomBits(SEED));
      const random = randomBits(SEED);
      for (let i = 0; i < 20; i++) assert.equal(real.pick(), model(loads, random) ?? 0);
    }),
    { numRuns: 1000 },
  );
});
