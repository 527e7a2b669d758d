// SPDX-License-Identifier: Apache-2.0
// slowStartSeconds: the weight of a server that comes rises from 1 to its own, and then is exactly that.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../support/site.ts';
import { TestDirector } from '../support/test-director.ts';

const NEW = 2;
const SECONDS = 50;

/** Server 1 is there with weight 10, server 2 comes. */
class Growing extends Site {
  #sport = 1000;

  constructor(scheduler = 'wrr', slowStartSeconds = SECONDS) {
    super({ lab: new TestDirector({ maxConnections: 20_000 }), scheduler, weights: [10] });
    this.lab.tune(this.service, { slowStartSeconds });
  }

  /** The weight that the new server is scheduled with. */
  get weight(): number {
    const { weight, effectiveWeight } = this.server(NEW);
    return effectiveWeight ?? weight;
  }

  /** Second by second, from now on. */
  weights(seconds: number): number[] {
    return Array.from({ length: seconds }, () => {
      const { weight } = this;
      this.lab.advance(1);
      return weight;
    });
  }

  /** How many of `count` new connections the new server gets. */
  share(count: number): number {
    return Array.from({ length: count }, () => this.send(this.#sport++)).filter((target) => target === '2').length;
  }
}

/** max(1, floor(10 · t / 50)), by hand. */
const RAMP = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5]
  .concat([6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9])
  .concat([10, 10, 10]);

test('after it is added its weight rises to its own in the time, and is configured as ever meanwhile', () => {
  const site = new Growing();
  site.add(NEW, 10);
  assert.equal(site.server(NEW).weight, 10);
  assert.equal(site.server(NEW).effectiveWeight, 1);
  assert.equal(site.server(1).effectiveWeight, undefined);
  assert.deepEqual(site.weights(RAMP.length), RAMP);
  assert.equal(site.server(NEW).effectiveWeight, undefined);
});

test('between two looks of the clock it never exceeds its own weight, and does not stop short of it', () => {
  const site = new Growing();
  site.lab.advance(0.5);
  site.add(NEW, 1000);
  const weights = site.weights(53);
  for (let i = 1; i < weights.length; i++) assert.ok(weights[i] >= weights[i - 1], weights.join(' '));
  assert.equal(Math.max(...weights), 1000);
  assert.equal(site.weight, 1000);
});

test('after weight 0 it rises the same way', () => {
  const site = new Growing();
  site.add(NEW, 0);
  assert.equal(site.share(20), 0);
  site.lab.advance(33);
  site.edit(NEW, 10);
  assert.deepEqual(site.weights(RAMP.length), RAMP);
});

test('schedulers go by the risen weight: none of a flood, then its part, in the end its whole share', () => {
  const site = new Growing('wrr');
  site.add(NEW, 10);
  assert.equal(site.share(110), 10);
  site.lab.advance(25);
  assert.equal(site.share(150), 50);
  site.lab.advance(25);
  assert.equal(site.share(200), 100);

  // wlc fills a server up to the connections that the others have for their weight, which is a tenth of the full weight
  // here: 110 of 1200. Without a slow start it gets all of them.
  const loaded = new Growing('wlc');
  loaded.share(1000);
  loaded.add(NEW, 10);
  assert.equal(loaded.share(200), 110);
  const sudden = new Growing('wlc', 0);
  sudden.share(1000);
  sudden.add(NEW, 10);
  assert.equal(sudden.share(200), 200);
});

test('sh gives it a bucket after the other, as many as its weight of the moment asks for', () => {
  const site = new Growing('sh');
  site.add(NEW, 10);
  const shares = [0, 25, 25].map((seconds, round) => {
    site.lab.advance(seconds);
    const targets = Array.from({ length: 1024 }, (_, client) => site.send(1 + round, { from: client }));
    return targets.filter((target) => target === '2').length / 1024;
  });
  for (const [i, expected] of [1 / 11, 5 / 15, 10 / 20].entries()) {
    assert.ok(Math.abs(shares[i] - expected) < 0.05, `${shares}`);
  }
});

test('another weight on the way keeps the time; weight 0 ends the rise, which then begins anew', () => {
  const site = new Growing();
  site.add(NEW, 10);
  site.lab.advance(25);
  site.edit(NEW, 100);
  assert.equal(site.weight, 50);
  site.lab.advance(5);
  site.edit(NEW, 0);
  assert.equal(site.weight, 0);
  site.lab.advance(60);
  assert.equal(site.weight, 0);
  site.edit(NEW, 10);
  assert.equal(site.weight, 1);
  site.lab.advance(SECONDS);
  assert.equal(site.weight, 10);
});

test('switched off it ends at once; another time counts from when the server came; others are not asked to rise', () => {
  const site = new Growing();
  site.add(NEW, 10);
  site.lab.advance(10);
  site.lab.tune(site.service, { slowStartSeconds: 20 });
  site.lab.advance(1);
  assert.equal(site.weight, 5);
  site.lab.tune(site.service, {});
  assert.equal(site.weight, 10);
  site.lab.tune(site.service, { slowStartSeconds: 20 });
  site.lab.advance(1);
  assert.equal(site.weight, 10);
  site.edit(NEW, 12);
  assert.equal(site.weight, 12);
});

test('a server that is taken out and put back rises again', () => {
  const site = new Growing();
  site.add(NEW, 10);
  site.lab.advance(SECONDS);
  site.delete(NEW);
  site.lab.advance(5);
  site.add(NEW, 10);
  assert.deepEqual(site.weights(RAMP.length), RAMP);
});
