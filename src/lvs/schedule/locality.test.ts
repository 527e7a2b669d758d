// SPDX-License-Identifier: Apache-2.0
// lblc and lblcr: which server, or servers, a destination address stays with, and what becomes of servers that they
// remember. How much they remember: locality-cache.test.ts. Whom they choose: load.test.ts, test/golden.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Site } from '../../../test/support/site.ts';

/** A mark's service, which has many destinations; datagrams are forgotten at once unless connections are to count. */
class Caches extends Site {
  #sport = 1000;

  constructor(scheduler: string, weights: readonly number[], onePacket = true) {
    super({ service: 'fwm:7', scheduler, weights, onePacket });
    this.lab.mark(7);
  }

  /** Server of a connection to destination number `to`. */
  fetch(to: number): string {
    return this.send(this.#sport++, { to: `10.20.${to >> 8}.${to & 255}`, protocol: 'udp' });
  }

  /** The same with a connection that stays, and counts as active. */
  open(to: number): string {
    return this.send(this.#sport++, { to: `10.20.${to >> 8}.${to & 255}` });
  }

  /** How many destinations remember a server. */
  remembered(number: number): number {
    return this.lab.director.services.findServer(this.service, this.keyOf(number)).remembered;
  }
}

suite('lblc', () => {
  test('a destination stays with its server while a better one is there, and another goes to that', () => {
    const site = new Caches('lblc', [1, 1, 1], false);
    assert.deepEqual(
      [site.fetch(1), site.fetch(1), site.fetch(2), site.fetch(1), site.fetch(3)],
      ['3', '3', '2', '3', '1'],
    );
    assert.deepEqual(
      [1, 2, 3].map((number) => site.remembered(number)),
      [1, 1, 1],
    );
  });

  test('it leaves a server that has more active connections than weight while another has not even half', () => {
    const site = new Caches('lblc', [4, 2]);
    assert.equal(site.open(1), '2');
    assert.deepEqual([site.open(1), site.open(1)], ['2', '2'], 'as many as weight are not too many');
    assert.deepEqual([site.open(1), site.open(1)], ['1', '1']);
    assert.deepEqual([site.remembered(1), site.remembered(2)], [1, 0]);
  });

  test('it stays with one that has too many while others have half their weight or more', () => {
    const site = new Caches('lblc', [4, 2]);
    assert.deepEqual(
      [1, 2, 3].map(() => site.open(1)),
      ['2', '2', '2'],
    );
    assert.deepEqual([site.open(2), site.open(2)], ['1', '1']);
    assert.equal(site.open(1), '2');
  });

  test('a server that is gone or quiesced is left, and is not returned to', () => {
    const site = new Caches('lblc', [1, 1]);
    assert.deepEqual([site.fetch(1), site.fetch(2)], ['2', '2']);
    site.delete(2);
    assert.equal(site.fetch(1), '1');
    site.add(2);
    assert.deepEqual([site.fetch(1), site.fetch(2)], ['1', '2'], 'who did not notice stays');
    site.edit(2, 0);
    assert.equal(site.fetch(2), '1');
    site.edit(2, 1);
    assert.equal(site.fetch(2), '1');
    assert.deepEqual([site.remembered(1), site.remembered(2)], [2, 0]);
  });

  test('without any server nothing is served, and nothing is forgotten', () => {
    const site = new Caches('lblc', [1]);
    assert.equal(site.fetch(1), '1');
    site.edit(1, 0);
    assert.equal(site.fetch(1), 'answer-icmp');
    assert.equal(site.remembered(1), 1);
  });

  test('a deleted server that is remembered comes back as itself after any time; once forgotten, as a new one', () => {
    const site = new Caches('lblc', [1]);
    site.lab.sysctl('lblc_expiration', 3000);
    site.fetch(1);
    site.delete(1);
    site.lab.advance(1000);
    site.add(1);
    assert.equal(site.server(1).counters.connections, 1);
    site.delete(1);
    site.lab.advance(3600);
    site.lab.advance(300);
    site.add(1);
    assert.equal(site.server(1).counters.connections, 0);
  });

  test('lblc_expiration is looked at every half hour', () => {
    const site = new Caches('lblc', [1]);
    site.fetch(1);
    site.lab.sysctl('lblc_expiration', 60);
    site.lab.advance(29 * 60);
    assert.equal(site.remembered(1), 1);
    site.lab.advance(2 * 60);
    assert.equal(site.remembered(1), 0);
  });
});

suite('lblcr', () => {
  test('the set of a destination grows when its server has too many connections, and the least loaded of it is next', () => {
    const site = new Caches('lblcr', [2, 2]);
    assert.deepEqual(
      [1, 2, 3].map(() => site.open(1)),
      ['2', '2', '2'],
    );
    assert.deepEqual(
      [1, 2, 3].map(() => site.open(1)),
      ['1', '1', '1'],
    );
    assert.deepEqual([site.remembered(1), site.remembered(2)], [1, 1], 'each once');
    site.open(1);
    assert.deepEqual([site.remembered(1), site.remembered(2)], [1, 1]);
  });

  test('a server that is in the set already is not put in again', () => {
    const site = new Caches('lblcr', [2]);
    site.add(2, 100, { upperThreshold: 1 });
    assert.equal(site.open(1), '2', 'idle for its weight, but it takes no more than one');
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => site.open(2)),
      ['1', '1', '1', '1', '1'],
    );
    assert.equal(site.remembered(1), 1);
  });

  test('a set that did not change for lblcr_expiration loses its most loaded server, one at a time, never the last', () => {
    const site = new Caches('lblcr', [2, 2, 2]);
    site.lab.tune(site.service, { timeouts: { tcp: { SYN_RECV: 10_000 } } });
    const remembered = (): number[] => [1, 2, 3].map((number) => site.remembered(number));
    site.lab.sysctl('lblcr_expiration', 30);
    for (const number of ['3', '2', '1']) {
      for (let i = 0; i < 3; i++) assert.equal(site.open(1), number);
      site.lab.advance(10);
    }
    site.lab.advance(20);
    for (const number of ['1', '2', '3']) assert.equal(site.open(1), number);
    assert.deepEqual(remembered(), [1, 1, 1], 'it did not change for 30 s, but not for longer');
    site.lab.advance(0.1);
    assert.equal(site.open(1), '1', 'chosen before the set shrinks: of equals the newest of the set is both');
    assert.deepEqual(remembered(), [0, 1, 1]);
    site.lab.advance(30);
    assert.equal(site.open(1), '2');
    assert.deepEqual(remembered(), [0, 1, 1], 'shrinking was a change');
    site.lab.advance(0.1);
    assert.equal(site.open(1), '3');
    assert.deepEqual(remembered(), [0, 0, 1]);
    site.lab.advance(60);
    assert.equal(site.open(1), '3');
    assert.deepEqual(remembered(), [0, 0, 1]);
  });

  test('most loaded means for its weight, and a quiesced server is none', () => {
    const site = new Caches('lblcr', [100, 1, 1]);
    for (const [number, connections] of [
      [1, 60],
      [2, 2],
      [3, 1],
    ]) {
      for (const other of [1, 2, 3]) site.edit(other, other === number ? 1000 : 0);
      for (let i = 0; i < connections; i++) assert.equal(site.open(1), String(number));
    }
    for (const [number, weight] of [
      [1, 100],
      [2, 0],
      [3, 1],
    ]) {
      site.edit(number, weight);
    }
    site.lab.sysctl('lblcr_expiration', 10);
    site.lab.advance(11);
    site.open(1);
    assert.deepEqual(
      [1, 2, 3].map((number) => site.remembered(number)),
      [1, 1, 0],
    );
  });

  test('of a set only servers that are there and have a weight are chosen; one that returns is in it still', () => {
    const site = new Caches('lblcr', [1, 1]);
    assert.equal(site.fetch(1), '2');
    site.delete(2);
    assert.equal(site.fetch(1), '1');
    site.add(2);
    site.edit(1, 0);
    assert.equal(site.fetch(1), '2');
    site.edit(1, 1);
    assert.deepEqual([site.remembered(1), site.remembered(2)], [1, 1]);
    site.edit(2, 0);
    assert.equal(site.fetch(1), '1');
  });

  test('without any server nothing is served', () => {
    const site = new Caches('lblcr', [0]);
    assert.equal(site.fetch(1), 'answer-icmp');
    assert.equal(site.remembered(1), 0);
  });

  test('lblcr_expiration is also how long an unused destination is remembered', () => {
    const site = new Caches('lblcr', [1]);
    site.fetch(1);
    site.lab.sysctl('lblcr_expiration', 60);
    site.lab.advance(29 * 60);
    assert.equal(site.remembered(1), 1);
    site.lab.advance(2 * 60);
    assert.equal(site.remembered(1), 0);
  });
});

for (const scheduler of ['lblc', 'lblcr']) {
  test(`${scheduler} gives up its servers with another scheduler, and with its service`, () => {
    const site = new Caches(scheduler, [1, 1]);
    for (let to = 0; to < 10; to++) site.fetch(to);
    const server = site.lab.director.services.findServer(site.service, site.keyOf(2));
    assert.equal(server.references, 10);
    site.lab.editService(site.service, 'rr');
    assert.equal(server.references, 0);
    site.lab.editService(site.service, scheduler, { onePacket: true });
    for (let to = 0; to < 5; to++) site.fetch(to);
    assert.equal(server.references, 5);
    site.lab.deleteService(site.service);
    assert.equal(server.references, 0);
  });
}
