// SPDX-License-Identifier: Apache-2.0
// slowStartSeconds: the weight of a server that comes rises from 1 to its own, and then is exactly that.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceKey } from '../../src/lvs/model.ts';
import { tcp } from '../support/frames.ts';
import { TestDirector } from '../support/test-director.ts';

const OLD = '192.168.1.1:80';
const NEW = '192.168.1.2:80';
const SECONDS = 50;

class Site {
  readonly lab = new TestDirector({ maxConnections: 20_000 });
  readonly service: ServiceKey;
  #sport = 1000;

  constructor(scheduler = 'wrr', slowStartSeconds = SECONDS) {
    this.service = this.lab.addService('tcp:10.0.0.1:80', scheduler);
    this.lab.addServer(this.service, OLD, 10);
    this.lab.tune(this.service, { slowStartSeconds });
  }

  /** The weight that the new server is scheduled with. */
  get weight(): number {
    const { weight, effectiveWeight } = this.lab.server(this.service, NEW);
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
    let taken = 0;
    for (let i = 0; i < count; i++) {
      const fields = { src: '10.7.0.1', dst: '10.0.0.1', sport: this.#sport++, dport: 80, flags: 'S' };
      if (this.lab.packet(tcp(fields)).packet?.[19] === 2) taken++;
    }
    return taken;
  }
}

/** max(1, floor(10 · t / 50)), by hand. */
const RAMP = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5]
  .concat([6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9])
  .concat([10, 10, 10]);

test('after it is added its weight rises to its own in the time, and is configured as ever meanwhile', () => {
  const site = new Site();
  site.lab.addServer(site.service, NEW, 10);
  assert.equal(site.lab.server(site.service, NEW).weight, 10);
  assert.equal(site.lab.server(site.service, NEW).effectiveWeight, 1);
  assert.equal(site.lab.server(site.service, OLD).effectiveWeight, undefined);
  assert.deepEqual(site.weights(RAMP.length), RAMP);
  assert.equal(site.lab.server(site.service, NEW).effectiveWeight, undefined);
});

test('between two looks of the clock it never exceeds its own weight, and does not stop short of it', () => {
  const site = new Site();
  site.lab.advance(0.5);
  site.lab.addServer(site.service, NEW, 1000);
  const weights = site.weights(53);
  for (let i = 1; i < weights.length; i++) assert.ok(weights[i] >= weights[i - 1], weights.join(' '));
  assert.equal(Math.max(...weights), 1000);
  assert.equal(site.weight, 1000);
});

test('after weight 0 it rises the same way', () => {
  const site = new Site();
  site.lab.addServer(site.service, NEW, 0);
  assert.equal(site.share(20), 0);
  site.lab.advance(33);
  site.lab.editServer(site.service, NEW, 10);
  assert.deepEqual(site.weights(RAMP.length), RAMP);
});

test('schedulers go by the risen weight: none of a flood, then its part, in the end its whole share', () => {
  const site = new Site('wrr');
  site.lab.addServer(site.service, NEW, 10);
  assert.equal(site.share(110), 10);
  site.lab.advance(25);
  assert.equal(site.share(150), 50);
  site.lab.advance(25);
  assert.equal(site.share(200), 100);

  // wlc fills a server up to the connections that the others have for their weight, which is a tenth of the full weight
  // here: 110 of 1200. Without a slow start it gets all of them.
  const loaded = new Site('wlc');
  loaded.share(1000);
  loaded.lab.addServer(loaded.service, NEW, 10);
  assert.equal(loaded.share(200), 110);
  const sudden = new Site('wlc', 0);
  sudden.share(1000);
  sudden.lab.addServer(sudden.service, NEW, 10);
  assert.equal(sudden.share(200), 200);
});

test('sh gives it a bucket after the other, as many as its weight of the moment asks for', () => {
  const site = new Site('sh');
  site.lab.addServer(site.service, NEW, 10);
  const shares = [0, 25, 25].map((seconds, round) => {
    site.lab.advance(seconds);
    let taken = 0;
    for (let client = 0; client < 1024; client++) {
      const src = `10.7.${client >> 8}.${client & 255}`;
      const { packet } = site.lab.packet(tcp({ src, dst: '10.0.0.1', sport: 1 + round, dport: 80, flags: 'S' }));
      if (packet?.[19] === 2) taken++;
    }
    return taken / 1024;
  });
  for (const [i, expected] of [1 / 11, 5 / 15, 10 / 20].entries()) {
    assert.ok(Math.abs(shares[i] - expected) < 0.05, `${shares}`);
  }
});

test('another weight on the way keeps the time; weight 0 ends the rise, which then begins anew', () => {
  const site = new Site();
  site.lab.addServer(site.service, NEW, 10);
  site.lab.advance(25);
  site.lab.editServer(site.service, NEW, 100);
  assert.equal(site.weight, 50);
  site.lab.advance(5);
  site.lab.editServer(site.service, NEW, 0);
  assert.equal(site.weight, 0);
  site.lab.advance(60);
  assert.equal(site.weight, 0);
  site.lab.editServer(site.service, NEW, 10);
  assert.equal(site.weight, 1);
  site.lab.advance(SECONDS);
  assert.equal(site.weight, 10);
});

test('switched off it ends at once; another time counts from when the server came; others are not asked to rise', () => {
  const site = new Site();
  site.lab.addServer(site.service, NEW, 10);
  site.lab.advance(10);
  site.lab.tune(site.service, { slowStartSeconds: 20 });
  site.lab.advance(1);
  assert.equal(site.weight, 5);
  site.lab.tune(site.service, {});
  assert.equal(site.weight, 10);
  site.lab.tune(site.service, { slowStartSeconds: 20 });
  site.lab.advance(1);
  assert.equal(site.weight, 10);
  site.lab.editServer(site.service, NEW, 12);
  assert.equal(site.weight, 12);
});

test('a server that is taken out and put back rises again', () => {
  const site = new Site();
  site.lab.addServer(site.service, NEW, 10);
  site.lab.advance(SECONDS);
  site.lab.deleteServer(site.service, NEW);
  site.lab.advance(5);
  site.lab.addServer(site.service, NEW, 10);
  assert.deepEqual(site.weights(RAMP.length), RAMP);
});
