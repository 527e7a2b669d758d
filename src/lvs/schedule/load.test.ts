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
  test(`${scheduler} picks as the kernel's rule says, with any weights and connections, also after changes`, () => {
    const loads = fc.oneof(fc.array(server, { maxLength: 6 }), nearTies(scheduler));
    fc.assert(
      fc.property(loads, fc.array(fc.tuple(weight, fc.boolean()), { maxLength: 3 }), (servers, changes) => {
        const numbered = servers.map((one, i) => ({ ...one, number: i + 1 }));
        const service = new LoadedService(scheduler, servers);
        // What lblc and lblcr have picked once they remember.
        if (!scheduler.startsWith('lblc')) service.pick();
        for (const [other, isRemoval] of changes) {
          const [first] = numbered;
          if (first === undefined) break;
          if (isRemoval) service.remove(first.number);
          else service.edit(first.number, other);
          if (isRemoval) numbered.shift();
          else numbered[0] = { ...first, weight: other };
        }
        const able = numbered
          .filter(({ weight: own, overloaded }) => own > 0 && !overloaded)
          .map(({ number, weight: own, active, inactive }) => ({
            number,
            weight: BigInt(own),
            active: BigInt(active),
            overhead: 256n * BigInt(active) + BigInt(active + inactive),
          }));
        assert.equal(service.pick(), model(able)?.number ?? 0);
      }),
      { numRuns: 1000 },
    );
  });
}
