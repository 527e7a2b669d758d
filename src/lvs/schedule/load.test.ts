// SPDX-License-Identifier: Apache-2.0
// The schedulers that compare loads, with weights and connections of any size, against plain models of the kernel's in
// arithmetic without a limit.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Load, LoadedService } from '../../../test/support/loaded-service.ts';
import { exceeds } from './load.ts';

const LARGEST_LOAD = 2 ** 37 - 1;
const LARGEST_WEIGHT = 2 ** 31 - 1;
const LARGEST_COUNT = 2 ** 24;

const load = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: LARGEST_LOAD }),
  fc.constantFrom(2 ** 16, 2 ** 32 - 1, 2 ** 32, LARGEST_LOAD),
);
const weight = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: LARGEST_WEIGHT }),
  fc.constantFrom(0xffff, 0x10000, 0x10001, LARGEST_WEIGHT - 1, LARGEST_WEIGHT),
);

function checkExceeds(a: number, b: number, c: number, d: number): void {
  assert.equal(exceeds(a, b, c, d), BigInt(a) * BigInt(b) > BigInt(c) * BigInt(d), `${a} × ${b} > ${c} × ${d}`);
}

test('products are compared exactly, whatever their factors', () => {
  fc.assert(fc.property(load, weight, load, weight, checkExceeds), { numRuns: 2000 });
});

test('products that differ by less than one factor are compared exactly', () => {
  fc.assert(
    fc.property(load, weight, fc.integer({ min: 1, max: LARGEST_WEIGHT }), (a, b, d) => {
      const nearest = Number((BigInt(a) * BigInt(b)) / BigInt(d));
      for (const c of [nearest - 1, nearest, nearest + 1]) {
        if (c >= 0 && c <= LARGEST_LOAD) checkExceeds(a, b, c, d);
        if (c >= 0 && c <= LARGEST_LOAD) checkExceeds(c, d, a, b);
      }
    }),
    { numRuns: 2000 },
  );
});

/** A server as the models see it. */
interface Candidate {
  readonly number: number;
  readonly weight: bigint;
  readonly active: bigint;
  readonly overhead: bigint;
}

/** The first for which nobody has less for its weight; weights are above 0. */
function leastFor(candidates: readonly Candidate[], own: (candidate: Candidate) => bigint): Candidate | undefined {
  return candidates.reduce<Candidate | undefined>(
    (least, next) => (least === undefined || own(least) * next.weight > own(next) * least.weight ? next : least),
    undefined,
  );
}

/** The first for which nobody has more. */
function heaviest(candidates: readonly Candidate[]): Candidate | undefined {
  return candidates.reduce<Candidate | undefined>(
    (most, next) => (most === undefined || next.weight > most.weight ? next : most),
    undefined,
  );
}

/** By name, among servers that are not overloaded and have a weight. */
const MODELS: Readonly<Record<string, (able: readonly Candidate[]) => Candidate | undefined>> = {
  lc: (able) =>
    leastFor(
      able.map((one) => ({ ...one, weight: 1n })),
      ({ overhead }) => overhead,
    ),
  wlc: (able) => leastFor(able, ({ overhead }) => overhead),
  lblc: (able) => leastFor(able, ({ overhead }) => overhead),
  lblcr: (able) => leastFor(able, ({ overhead }) => overhead),
  sed: (able) => leastFor(able, ({ active }) => active + 1n),
  nq: (able) => able.find(({ active }) => active === 0n) ?? leastFor(able, ({ active }) => active + 1n),
  fo: heaviest,
  ovf: (able) => heaviest(able.filter(({ active, weight: own }) => active <= own)),
};

const count = fc.oneof(
  fc.integer({ min: 0, max: 3 }),
  fc.integer({ min: 0, max: LARGEST_COUNT }),
  fc.constantFrom(256, 257, 512, 514, LARGEST_COUNT),
);
const server: fc.Arbitrary<Load> = fc.record({
  weight,
  active: count,
  inactive: count,
  overloaded: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
});
/** Servers whose loads for their weight differ by 1 in some 2^60, which a double does not hold. */
function nearTies(scheduler: string): fc.Arbitrary<Load[]> {
  const isByActive = scheduler === 'sed' || scheduler === 'nq';
  const withLoad = (own: number, weightOf: number): Load => {
    const active = isByActive ? own - 1 : Math.floor(own / 257);
    return { weight: weightOf, active, inactive: isByActive ? 0 : own - 257 * active, overloaded: false };
  };
  return fc.integer({ min: 2 ** 28, max: LARGEST_WEIGHT - 1 }).chain((n) =>
    fc.shuffledSubarray(
      [
        [n, n - 1],
        [n + 1, n],
        [n, n],
        [n - 1, n - 2],
      ].map(([own, weightOf]) => withLoad(own, weightOf)),
      { minLength: 2 },
    ),
  );
}

for (const [scheduler, model] of Object.entries(MODELS)) {
  test(`${scheduler} picks as the kernel's rule says, with any weights and connections`, () => {
    fc.assert(
      fc.property(fc.oneof(fc.array(server, { maxLength: 6 }), nearTies(scheduler)), (loads) => {
        const candidates = loads.map((one, i) => ({
          number: i + 1,
          weight: BigInt(one.weight),
          active: BigInt(one.active),
          overhead: 256n * BigInt(one.active) + BigInt(one.active + one.inactive),
        }));
        const able = candidates.filter(({ weight: own }, i) => own > 0n && !loads[i].overloaded);
        assert.equal(new LoadedService(scheduler, loads).pick(), model(able)?.number ?? 0);
      }),
      { numRuns: 1000 },
    );
  });
}
