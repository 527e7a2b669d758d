// SPDX-License-Identifier: Apache-2.0
// Doing and undoing in whatever order things are asked for, against a small world that stands for the kernel.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Address } from '../packet/address.ts';
import type { Before } from './kernel.ts';
import { type Step, stepKey } from './plan.ts';
import { type Doer, type Done, reconcile } from './reconcile.ts';

const STEPS: readonly Step[] = [
  { kind: 'sysctl', name: 'net/ipv4/conf/all/arp_ignore', value: '1' },
  { kind: 'sysctl', name: 'net/ipv4/conf/lo/arp_ignore', value: '1' },
  { kind: 'address', device: 'lo', address: '192.0.2.1' as Address },
  { kind: 'address', device: 'lo', address: '192.0.2.2' as Address },
  { kind: 'up', device: 'tunl0' },
];

/** What is so now, by key; a step fails when it is the `failing` one. */
class World implements Doer {
  readonly now: Map<string, Before>;
  failing: string | undefined;
  readonly order: string[] = [];

  constructor(now: ReadonlyMap<string, Before>) {
    this.now = new Map(now);
  }

  look(step: Step): Before {
    return this.now.get(stepKey(step)) ?? false;
  }

  do(step: Step, before: Before): Before {
    if (stepKey(step) === this.failing) throw new Error('no');
    this.order.push(`do ${stepKey(step)}`);
    this.now.set(stepKey(step), step.kind === 'sysctl' ? step.value : true);
    return before;
  }

  undo(step: Step, before: Before): string | undefined {
    this.order.push(`undo ${stepKey(step)}`);
    this.now.set(stepKey(step), before);
    return undefined;
  }
}

const someSteps = fc.subarray([...STEPS]);
const initial = fc
  .array(fc.boolean(), { minLength: STEPS.length, maxLength: STEPS.length })
  .map((there) => new Map<string, Before>(STEPS.map((step, i) => [stepKey(step), there[i]])));

test('whatever was up in between, wanting nothing brings back what was before', () => {
  fc.assert(
    fc.property(initial, fc.array(someSteps, { maxLength: 5 }), (before, wishes) => {
      const world = new World(before);
      let journal: readonly Done[] = [];
      for (const wanted of wishes) {
        ({ journal } = reconcile(wanted, journal, world, () => {}));
        for (const step of STEPS) {
          const expected = wanted.includes(step) ? (step.kind === 'sysctl' ? '1' : true) : before.get(stepKey(step));
          assert.equal(world.now.get(stepKey(step)), expected);
        }
      }
      ({ journal } = reconcile([], journal, world, () => {}));
      assert.deepEqual(journal, []);
      assert.deepEqual(world.now, before);
    }),
  );
});

test('a step that fails leaves what was up before, and the journal says so', () => {
  fc.assert(
    fc.property(initial, someSteps, someSteps, fc.constantFrom(...STEPS), (before, first, second, failing) => {
      const world = new World(before);
      const { journal } = reconcile(first, [], world, () => {});
      world.failing = stepKey(failing);
      let saved: readonly Done[] = journal;
      const run = (): unknown =>
        reconcile([...first, ...second.filter((step) => !first.includes(step))], journal, world, (now) => {
          saved = now;
        });
      const fails = first.includes(failing) || second.includes(failing);
      if (!fails) return void run();
      assert.throws(run, /no/);
      assert.deepEqual(
        saved.map((done) => stepKey(done.step)),
        journal.map((done) => stepKey(done.step)),
      );
      world.failing = undefined;
      reconcile([], saved, world, () => {});
      assert.deepEqual(world.now, before);
    }),
  );
});

test('a crash at any moment leaves a journal that undoes all that was done', () => {
  for (let crashAt = 1; crashAt <= 2 * STEPS.length; crashAt++) {
    const before = new Map<string, Before>(STEPS.map((step) => [stepKey(step), false]));
    const world = new World(before);
    let saved: readonly Done[] = [];
    let saves = 0;
    const crash = new Error('crash');
    const dying: Doer = {
      look: (step) => world.look(step),
      do: (step, was) => world.do(step, was),
      undo: () => undefined,
    };
    try {
      reconcile(STEPS, [], dying, (journal) => {
        if (saves >= crashAt) return;
        saved = journal;
        if (++saves === crashAt) throw crash;
      });
    } catch (error) {
      assert.equal(error, crash);
    }
    reconcile([], saved, world, () => {});
    assert.deepEqual(world.now, before, `crash at save ${crashAt}`);
  }
});

test('things are undone in reverse order', () => {
  const world = new World(new Map());
  const { journal } = reconcile(STEPS.slice(0, 3), [], world, () => {});
  world.order.length = 0;
  reconcile([], journal, world, () => {});
  assert.deepEqual(
    world.order,
    STEPS.slice(0, 3)
      .map((step) => `undo ${stepKey(step)}`)
      .reverse(),
  );
});
