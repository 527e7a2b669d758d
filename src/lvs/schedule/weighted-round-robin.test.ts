// SPDX-License-Identifier: Apache-2.0
// wrr against a plain model of the kernel's, which walks every round, through edits of all kinds; and that weights of any
// size take no longer than others.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countLooks, type Load, LoadedService } from '../../../test/support/loaded-service.ts';
import { Random } from '../../../test/support/random.ts';

const HEAD = -1;

interface Member {
  readonly number: number;
  weight: number;
  overloaded: boolean;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** ip_vs_wrr.c in the words of its comments: a current entry, a required weight, a maximum, a decreasing interval. */
class Model {
  readonly list: Member[] = [];
  #current = HEAD;
  #required = 0;
  #most = 0;
  #interval = 1;

  changed(): void {
    const weights = this.list.map(({ weight }) => weight).filter((weight) => weight > 0);
    this.#current = HEAD;
    this.#interval = weights.reduce(gcd, 0) || 1;
    this.#most = Math.max(0, ...weights) - (this.#interval - 1);
    if (this.#required > this.#most || this.#required === 0) this.#required = this.#most;
    else if (this.#interval > 1) this.#required = Math.floor(this.#required / this.#interval) * this.#interval + 1;
  }

  pick(): number {
    if (this.#most === 0) return 0;
    const last = this.#current;
    let stop: number | undefined;
    let isLastPass = false;
    let isRestarted = false;
    for (;;) {
      while (++this.#current < this.list.length) {
        const { number, overloaded, weight } = this.list[this.#current];
        if (!overloaded && weight >= this.#required) return number;
        if (this.#current === stop) return 0;
      }
      this.#current = HEAD;
      this.#required -= this.#interval;
      if (this.#required <= 0) {
        this.#required = this.#most;
        if (isLastPass || last === HEAD) return 0;
        isRestarted = true;
      }
      isLastPass = this.#required <= this.#interval;
      if (isLastPass && isRestarted && last !== HEAD) stop = last;
    }
  }
}

const loadOf = (weight: number, overloaded = false): Load => ({ weight, active: 0, inactive: 0, overloaded });

/** Service and model under the same changes. */
class Pair {
  readonly real = new LoadedService('wrr', []);
  readonly model = new Model();
  #numbers = 0;

  add(weight: number): void {
    const number = ++this.#numbers;
    this.real.add(number, loadOf(weight));
    this.model.list.unshift({ number, weight, overloaded: false });
    this.model.changed();
  }

  remove(at: number): void {
    const [{ number }] = this.model.list.splice(at, 1);
    this.real.remove(number);
    this.model.changed();
  }

  edit(at: number, weight: number): void {
    const member = this.model.list[at];
    this.real.edit(member.number, weight);
    member.weight = weight;
    this.model.changed();
  }

  /** Nobody is told of this. */
  turn(at: number): void {
    const member = this.model.list[at];
    member.overloaded = !member.overloaded;
    this.real.server(member.number).overloaded = member.overloaded;
  }
}

test('wrr picks as the kernel does while servers come, go, are edited, overloaded and free again', () => {
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom(1, 1, 2, 3, 10, 60), fc.constantFrom(1, 4, 20), (seed, unit, range) => {
      const random = new Random(seed);
      const pair = new Pair();
      const trail: string[] = [];
      const weight = (): number => unit * random.below(range + 1);
      for (let step = 0; step < 60; step++) {
        const { length } = pair.model.list;
        const at = random.below(length);
        const action = random.pick(['pick', 'pick', 'pick', 'pick', 'add', 'remove', 'edit', 'turn', 'turn']);
        trail.push(`${action} ${at}`);
        if (action === 'pick') {
          for (let i = random.below(12); i >= 0; i--)
            assert.equal(pair.real.pick(), pair.model.pick(), trail.join(', '));
        } else if (action === 'add' && length < 6) pair.add(weight());
        else if (action === 'remove' && length > 0) pair.remove(at);
        else if (action === 'edit' && length > 0) pair.edit(at, weight());
        else if (action === 'turn' && length > 0) pair.turn(at);
      }
    }),
    { numRuns: 1000 },
  );
});

const HUGE = 2 ** 31 - 1;

test('with weights of two thousand million a pick looks at each server a few times only', () => {
  // The first round is the last of a cycle, for the lightest server came first.
  for (const [loads, expected] of [
    [
      [loadOf(HUGE), loadOf(HUGE - 1), loadOf(1)],
      [1, 2, 3, 1, 1, 2, 1, 2],
    ],
    // Rounds in which nobody weighs enough are not walked.
    [
      [loadOf(HUGE, true), loadOf(1)],
      [2, 2, 2, 2],
    ],
    [
      [loadOf(HUGE, true), loadOf(3), loadOf(1)],
      [2, 3, 2, 2, 2, 3],
    ],
    [
      [loadOf(HUGE, true), loadOf(HUGE - 1, true)],
      [0, 0, 0, 0],
    ],
    [
      [loadOf(HUGE, true), loadOf(0)],
      [0, 0, 0, 0],
    ],
  ] as const) {
    const service = new LoadedService('wrr', loads);
    const counter = countLooks(service.service, 500);
    assert.deepEqual(
      expected.map(() => service.pick()),
      expected,
    );
    assert.ok(counter.looks <= expected.length * 12 * loads.length, `${counter.looks} looks`);
  }
});
