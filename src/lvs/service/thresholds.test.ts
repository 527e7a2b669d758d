// SPDX-License-Identifier: Apache-2.0
// When a server counts as overloaded and when it does not any more (ip_vs_dest_update_overload): by connections that come
// and go, by edits, and after it was away.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../../../test/support/site.ts';

const NEVER_FULL = 0;

/** A UDP service with one server, whose connections live for 100 s: what is opened one by one ends one by one. */
class Measured extends Site {
  #sport = 1000;

  constructor(upperThreshold: number, lowerThreshold = 0) {
    super({ service: 'udp:10.0.0.1:53', weights: [] });
    this.lab.tune(this.service, { timeouts: { udp: 100 } });
    this.add(1, 1, { upperThreshold, lowerThreshold });
  }

  get isOverloaded(): boolean {
    return this.lab.director.services.findServer(this.service, this.keyOf(1)).overloaded;
  }

  get connections(): number {
    return this.lab.flows().length;
  }

  /** Opens connections, a second apart, whether the server takes them or not. */
  open(count: number): void {
    for (let i = 0; i < count; i++) {
      this.send(this.#sport++);
      this.lab.advance(1);
    }
  }

  /** Edits the thresholds and says what the server is then. */
  turn(upperThreshold: number, lowerThreshold = 0): boolean {
    this.edit(1, 1, { upperThreshold, lowerThreshold });
    return this.isOverloaded;
  }
}

for (const [upper, lower, mark] of [
  [1, 0, 1],
  [2, 0, 2],
  [3, 0, 3],
  [4, 0, 3],
  [5, 0, 4],
  [8, 0, 6],
  [11, 0, 9],
  [20, 0, 15],
  [5, 1, 1],
  [5, 3, 3],
  [5, 5, 5],
] as const) {
  test(`with thresholds ${upper} and ${lower} a server is full at ${upper} connections and free again below ${mark}`, () => {
    const site = new Measured(upper, lower);
    for (let count = 1; count <= upper; count++) {
      assert.equal(site.isOverloaded, false);
      site.open(1);
      assert.equal(site.connections, count);
    }
    assert.equal(site.isOverloaded, true);
    assert.equal(site.send(1), 'answer-icmp');
    site.lab.advance(100 - upper - 0.5);
    for (let count = upper; count > 0; count--) {
      assert.deepEqual([site.connections, site.isOverloaded], [count, count >= mark]);
      site.lab.advance(1);
    }
    assert.deepEqual([site.connections, site.isOverloaded], [0, false]);
  });
}

test('without an upper threshold a server is never full', () => {
  const site = new Measured(NEVER_FULL);
  site.open(50);
  assert.deepEqual([site.connections, site.isOverloaded], [50, false]);
});

test('an edit of a threshold looks at the connections of now: full, free, or as before in between', () => {
  const site = new Measured(NEVER_FULL);
  site.open(5);
  assert.equal(site.turn(5), true);
  assert.equal(site.turn(6), true, '5 of 6: not below 5, as before');
  assert.equal(site.turn(8), false, '5 of 8: below 6');
  assert.equal(site.turn(7, 3), false, 'in between: as before');
  assert.equal(site.turn(4, 3), true);
  assert.equal(site.turn(7, 3), true, 'in between: as before');
  assert.equal(site.turn(7, 6), false);
  assert.equal(site.turn(5, 5), true);
  assert.equal(site.turn(NEVER_FULL), false);
});

test('an edit of something else leaves it as it is', () => {
  const site = new Measured(4);
  site.open(4);
  site.lab.advance(96.5);
  assert.deepEqual([site.connections, site.isOverloaded], [3, true]);
  site.edit(1, 9, { upperThreshold: 4 });
  assert.equal(site.isOverloaded, true);
  site.edit(1, 9, { upperThreshold: 4, lowerThreshold: 4 });
  assert.equal(site.isOverloaded, false);
});

test('a connection that is not scheduled counts too: a full server goes above its threshold and comes back by it', () => {
  const site = new Measured(2);
  site.lab.editService(site.service, 'rr', { persistence: { timeoutSeconds: 1000, prefixLength: 32 } });
  site.open(5);
  assert.deepEqual([site.connections, site.isOverloaded], [5, true]);
  site.lab.advance(94.5);
  for (const isOverloaded of [true, true, true, true, false]) {
    assert.equal(site.isOverloaded, isOverloaded, `${site.connections} connections`);
    site.lab.advance(1);
  }
});

test('a datagram of a one-packet service counts while it passes, which can fill a server', () => {
  const site = new Site({ service: 'fwm:7', onePacket: true, weights: [] });
  site.add(1, 1, { upperThreshold: 4 });
  const datagram = (): string => site.send(9, { protocol: 'udp' });
  assert.deepEqual([site.send(1), site.send(2), datagram(), datagram()], ['1', '1', '1', '1']);
  assert.equal(site.send(3), '1');
  assert.equal(datagram(), '1', 'the fourth at once');
  assert.equal(datagram(), 'answer-icmp', 'three are left, which are not below three');
  assert.deepEqual(site.counts(1), [3, 0, 0]);
  site.edit(1, 1, { upperThreshold: 1 });
  site.delete(1);
  const fresh = new Site({ service: 'udp:10.0.0.1:53', onePacket: true, weights: [] });
  fresh.add(1, 1, { upperThreshold: 1 });
  assert.deepEqual([fresh.send(1), fresh.send(1), fresh.send(1)], ['1', '1', '1'], 'one at a time is never too many');
});

test('a SYN in the place of a closed connection finds its server full, for that one still counts; the next is taken', () => {
  const site = new Site({ weights: [] });
  site.add(1, 1, { upperThreshold: 1 });
  for (const flags of ['S', 'A', 'R']) assert.equal(site.send(4000, { flags }), '1');
  assert.deepEqual([site.send(4000), site.send(4000)], ['answer-icmp', '1']);
});

test('a server that comes back is as full as its connections left it, also if they ended while it was away', () => {
  const site = new Measured(4);
  site.open(4);
  site.delete(1);
  site.add(1, 1, { upperThreshold: 4 });
  assert.equal(site.isOverloaded, true);
  site.delete(1);
  site.lab.advance(96.5);
  site.add(1, 1, { upperThreshold: 4 });
  assert.deepEqual([site.connections, site.isOverloaded], [3, true]);
  site.delete(1);
  site.lab.advance(1);
  site.add(1, 1, { upperThreshold: 4 });
  assert.deepEqual([site.connections, site.isOverloaded], [2, false]);
  site.delete(1);
  site.add(1, 1, { upperThreshold: 2 });
  assert.equal(site.isOverloaded, true, 'with another threshold it is looked at');
});
