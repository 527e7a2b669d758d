// SPDX-License-Identifier: Apache-2.0
// hashSkipsQuiesced: mh sends the clients of a server of weight 0 elsewhere, and nobody else anywhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../support/site.ts';
import { TestDirector } from '../support/test-director.ts';

const CLIENTS = 2000;

class Quiesced extends Site {
  #sport = 4000;

  constructor(weights: readonly number[], hashSkipsQuiesced = true) {
    super({ lab: new TestDirector({ maxConnections: 200_000 }), scheduler: 'mh', weights });
    this.lab.tune(this.service, { hashSkipsQuiesced });
  }

  /** Number of each client's server, undefined for none. */
  map(): (number | undefined)[] {
    const sport = this.#sport++;
    return Array.from({ length: CLIENTS }, (_, i) => {
      const target = this.send(sport, { from: 1 + 7 * i });
      return /^\d+$/.test(target) ? Number(target) : undefined;
    });
  }
}

test('only the clients of the quiesced server move, spread over the others, and all come back', () => {
  const site = new Quiesced([1, 1, 1, 1, 1]);
  const before = site.map();
  site.edit(3, 0);
  const during = site.map();
  const moved = before.flatMap((from, i) => (from === during[i] ? [] : [[from, during[i]]]));
  assert.ok(moved.length > CLIENTS / 8 && moved.length < CLIENTS / 3, `${moved.length} moved`);
  assert.ok(moved.every(([from]) => from === 3));
  for (const other of [1, 2, 4, 5]) {
    const taken = moved.filter(([, to]) => to === other).length;
    assert.ok(taken > moved.length / 8, `server ${other} took ${taken} of ${moved.length}`);
  }
  site.edit(3, 1);
  assert.deepEqual(site.map(), before);
});

test('weights count for those who take over, whatever the weight of who went', () => {
  const site = new Quiesced([9, 1, 3]);
  const before = site.map();
  site.edit(1, 0);
  const during = site.map();
  const takers = before.flatMap((from, i) => (from === 1 ? [during[i]] : []));
  const share = takers.filter((to) => to === 3).length / takers.length;
  assert.ok(share > 0.7 && share < 0.8, `server 3 took ${share}`);
  for (const [i, from] of before.entries()) if (from !== 1) assert.equal(during[i], from);
});

test('of several quiesced servers the clients of all are served; of all of them nobody', () => {
  const site = new Quiesced([1, 2, 1, 1]);
  site.edit(2, 0);
  site.edit(4, 0);
  assert.deepEqual(new Set(site.map()), new Set([1, 3]));
  site.edit(1, 0);
  site.edit(3, 0);
  assert.deepEqual(new Set(site.map()), new Set([undefined]));
  site.edit(4, 1);
  assert.deepEqual(new Set(site.map()), new Set([4]));
});

test('without it they are kept away, as in the kernel, and switching it on and off takes effect at once', () => {
  const site = new Quiesced([1, 1, 1], false);
  const before = site.map();
  site.edit(2, 0);
  assert.deepEqual(
    site.map(),
    before.map((number) => (number === 2 ? undefined : number)),
  );
  site.lab.tune(site.service, { hashSkipsQuiesced: true });
  assert.deepEqual(new Set(site.map()), new Set([1, 3]));
  site.lab.tune(site.service, {});
  assert.ok(site.map().includes(undefined));
});

test('a server that is added with weight 0 has no clients, and takes none with it', () => {
  const site = new Quiesced([1, 1, 0]);
  const before = site.map();
  assert.deepEqual(new Set(before), new Set([1, 2]));
  site.edit(3, 1);
  const after = site.map();
  assert.ok(after.includes(3));
});
