// SPDX-License-Identifier: Apache-2.0
// lrt: connections go to the server that answers fastest, to a dead one hardly any, to one that was slow again later.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerOptions, ServiceKey } from '../../src/lvs/model.ts';
import { tcp } from '../support/frames.ts';
import { TestDirector } from '../support/test-director.ts';

const FAST = 1;
const SLOW = 2;

class Site {
  readonly lab = new TestDirector({ maxConnections: 20_000 });
  readonly service: ServiceKey;
  /** Microseconds until each server answers; who is not here is dead. */
  readonly answers = new Map([
    [FAST, 1000],
    [SLOW, 20_000],
  ]);
  #sport = 1000;

  constructor(scheduler = 'lrt', more: Partial<ServerOptions> = {}) {
    this.service = this.lab.addService('tcp:10.0.0.1:80', scheduler);
    for (const number of [FAST, SLOW]) this.lab.addServer(this.service, `192.168.1.${number}:80`, 1, more);
  }

  measured(number: number): number | undefined {
    return this.lab.server(this.service, `192.168.1.${number}:80`).responseTimeUs;
  }

  /** A connection that is opened, answered and reset, a tenth of a second after the one before; its server. */
  connect(): number {
    this.lab.advance(0.1);
    const sport = this.#sport++;
    const ends = { src: '10.7.0.1', dst: '10.0.0.1', sport, dport: 80 };
    const { packet } = this.lab.packet(tcp({ ...ends, flags: 'S' }));
    const { nextHop } = this.lab.director;
    const number = nextHop === undefined ? (packet?.[19] ?? 0) : Number(nextHop.key.address.split('.')[3]);
    const wait = this.answers.get(number);
    if (wait === undefined) return number;
    this.lab.elapse(wait);
    const reply = { src: `192.168.1.${number}`, dst: ends.src, sport: 80, dport: sport };
    this.lab.packet(tcp({ ...reply, flags: 'SA' }));
    for (const flags of ['A', 'R']) this.lab.packet(tcp({ ...ends, flags }));
    return number;
  }

  count(connections: number, number: number): number {
    return Array.from({ length: connections }, () => this.connect()).filter((chosen) => chosen === number).length;
  }
}

test('each server is measured once, then the faster one gets the connections', () => {
  const site = new Site();
  assert.deepEqual(new Set([site.connect(), site.connect()]), new Set([FAST, SLOW]));
  assert.deepEqual([site.measured(FAST), site.measured(SLOW)], [1001, 20_001]);
  assert.equal(site.count(90, FAST), 90);
});

test('a server that becomes slow loses them within a few measurements', () => {
  const site = new Site();
  site.count(20, FAST);
  site.answers.set(FAST, 200_000);
  assert.ok(site.count(40, SLOW) > 35);
});

test('open connections count: the fast server has as many more as it is faster', () => {
  const site = new Site();
  site.count(2, FAST);
  const chosen = [0, 0, 0];
  // Costs are 1002 and 20002 times the connections.
  for (let i = 0; i < 210; i++) {
    const fields = { src: '10.7.0.2', dst: '10.0.0.1', sport: 1000 + i, dport: 80, flags: 'S' };
    chosen[site.lab.packet(tcp(fields)).packet?.[19] ?? 0]++;
  }
  assert.equal(chosen[SLOW], 10);
});

test('a server that was slow is tried again after a while of silence, and has its share when it recovered', () => {
  const site = new Site();
  site.count(100, FAST);
  site.answers.set(SLOW, 500);
  assert.ok(site.count(200, SLOW) > 0);
  assert.ok(site.count(50, SLOW) > 45);
});

test('a dead server, whether known as fast or not at all, gets a few connections and is tried again now and then', () => {
  for (const known of [true, false]) {
    const site = new Site();
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
  const site = new Site();
  site.answers.clear();
  site.lab.elapse(5_000_000);
  const ends = { src: '10.7.0.1', dst: '10.0.0.1', sport: 1, dport: 80 };
  const number = site.lab.packet(tcp({ ...ends, flags: 'S' })).packet?.[19] ?? 0;
  site.lab.elapse(300_000);
  site.lab.packet(tcp({ ...ends, flags: 'S' }));
  site.lab.elapse(700);
  site.lab.packet(tcp({ src: `192.168.1.${number}`, dst: ends.src, sport: 80, dport: 1, flags: 'SA' }));
  assert.equal(site.measured(number), 300_701);
  site.lab.packet(tcp({ src: `192.168.1.${number}`, dst: ends.src, sport: 80, dport: 1, flags: 'SA' }));
  assert.equal(site.measured(number), 300_701);
});

test('nothing is measured where answers do not pass, nor by other schedulers', () => {
  const routed = new Site('lrt', { method: 'dr' });
  routed.answers.clear();
  assert.ok(routed.count(200, FAST) > 50);
  for (const site of [routed, new Site('rr')]) {
    site.count(50, FAST);
    assert.deepEqual([site.measured(FAST), site.measured(SLOW)], [undefined, undefined]);
  }
  const site = new Site();
  site.count(10, FAST);
  site.lab.dataplane.applyNow({
    type: 'edit-service',
    service: site.service,
    options: { scheduler: 'rr', schedulerFlags: [], onePacket: false },
  });
  assert.equal(site.measured(FAST), undefined);
});
