// SPDX-License-Identifier: Apache-2.0
// lrt: connections go to the server that answers fastest, to a dead one hardly any, to one that was slow again later.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site, type SiteOptions } from '../support/site.ts';
import { TestDirector } from '../support/test-director.ts';

const FAST = 1;
const SLOW = 2;

class Timed extends Site {
  /** Microseconds until each server answers; who is not here is dead. */
  readonly answers = new Map([
    [FAST, 1000],
    [SLOW, 20_000],
  ]);
  #sport = 1000;

  constructor(more: SiteOptions = {}) {
    super({ lab: new TestDirector({ maxConnections: 20_000 }), scheduler: 'lrt', ...more });
  }

  measured(number: number): number | undefined {
    return this.server(number).responseTimeUs;
  }

  /** A connection that is opened, answered and reset, a tenth of a second after the one before; its server. */
  connect(): number {
    this.lab.advance(0.1);
    const sport = this.#sport++;
    const number = Number(this.send(sport));
    const wait = this.answers.get(number);
    if (wait === undefined) return number;
    this.lab.elapse(wait);
    this.answer(number, sport, { flags: 'SA' });
    for (const flags of ['A', 'R']) this.send(sport, { flags });
    return number;
  }

  count(connections: number, number: number): number {
    return Array.from({ length: connections }, () => this.connect()).filter((chosen) => chosen === number).length;
  }
}

test('each server is measured once, then the faster one gets the connections', () => {
  const site = new Timed();
  assert.deepEqual(new Set([site.connect(), site.connect()]), new Set([FAST, SLOW]));
  assert.deepEqual([site.measured(FAST), site.measured(SLOW)], [1001, 20_001]);
  assert.equal(site.count(90, FAST), 90);
});

test('a server that becomes slow loses them within a few measurements', () => {
  const site = new Timed();
  site.count(20, FAST);
  site.answers.set(FAST, 200_000);
  assert.ok(site.count(40, SLOW) > 35);
});

test('open connections count: the fast server has as many more as it is faster', () => {
  const site = new Timed();
  site.count(2, FAST);
  const chosen = [0, 0, 0];
  // Costs are 1002 and 20002 times the connections.
  for (let i = 0; i < 210; i++) {
    chosen[Number(site.send(1000 + i, { from: 2 }))]++;
  }
  assert.equal(chosen[SLOW], 10);
});

test('a server that was slow is tried again after a while of silence, and has its share when it recovered', () => {
  const site = new Timed();
  site.count(100, FAST);
  site.answers.set(SLOW, 500);
  assert.ok(site.count(200, SLOW) > 0);
  assert.ok(site.count(50, SLOW) > 45);
});

test('a dead server, whether known as fast or not at all, gets a few connections and is tried again now and then', () => {
  for (const known of [true, false]) {
    const site = new Timed();
    if (known) site.count(50, FAST);
    site.answers.delete(FAST);
    const first = site.count(600, FAST);
    assert.ok(first > 0 && first < 60, `${first} of 600`);
    site.answers.set(FAST, 1000);
    site.count(600, FAST);
    assert.ok(site.count(100, FAST) > 95, 'it is back');
  }
});

test('a SYN that is repeated counts from the first one on, an answer that is repeated not at all', () => {
  const site = new Timed();
  site.answers.clear();
  site.lab.elapse(5_000_000);
  const number = Number(site.send(1));
  site.lab.elapse(300_000);
  site.send(1);
  site.lab.elapse(700);
  for (let i = 0; i < 2; i++) {
    site.answer(number, 1, { flags: 'SA' });
    assert.equal(site.measured(number), 300_701);
  }
});

test('a client that answers itself is not measured', () => {
  const site = new Timed();
  const number = Number(site.send(1));
  site.lab.elapse(700);
  site.send(1, { flags: 'SA' });
  assert.equal(site.measured(number), undefined);
});

test('nothing is measured where answers do not pass, nor by other schedulers', () => {
  const routed = new Timed({ method: 'dr' });
  routed.answers.clear();
  assert.ok(routed.count(200, FAST) > 50);
  for (const site of [routed, new Timed({ scheduler: 'rr' })]) {
    site.count(50, FAST);
    assert.deepEqual([site.measured(FAST), site.measured(SLOW)], [undefined, undefined]);
  }
  const site = new Timed();
  site.count(10, FAST);
  site.lab.editService(site.service, 'rr');
  assert.equal(site.measured(FAST), undefined);
});
