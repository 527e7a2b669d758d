// SPDX-License-Identifier: Apache-2.0
// The director picks the servers that a real kernel's IPVS picked, SYN for SYN.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { SchedulerFlag } from '../../../src/lvs/model.ts';
import { tcp } from '../../support/frames.ts';
import { Site } from '../../support/site.ts';
import { CLIENTS, HASHED, SEQUENCES } from './sequences.ts';

const VIP = '10.0.0.1';
const FLAGS: Readonly<Record<string, readonly SchedulerFlag[]>> = {
  '-': [],
  'sh-fallback': ['flag-1'],
  'sh-port': ['flag-2'],
  'mh-fallback': ['flag-1'],
  'mh-port': ['flag-2'],
};

/** A service of `port`, whose servers have the same, and its SYNs as they were captured. */
class Lab extends Site {
  readonly #port: number;
  #sport = 20000;

  constructor(
    port: number,
    scheduler: string,
    weights: readonly number[],
    schedulerFlags: readonly SchedulerFlag[] = [],
  ) {
    super({ service: `tcp:${VIP}:${port}`, scheduler, weights, schedulerFlags });
    this.#port = port;
  }

  /** Number of the server that a SYN goes to, '-' when it goes to none. */
  syn(src = '10.7.0.1', sport = this.#sport++): string {
    const target = this.lab.target(tcp({ src, dst: VIP, sport, dport: this.#port, flags: 'S' }));
    if (/^\d+$/.test(target)) return target;
    assert.match(target, /^(answer-icmp|drop-no-server)$/);
    return '-';
  }

  syns(count: number): string {
    return Array.from({ length: count }, () => this.syn()).join(' ');
  }
}

suite('golden sequences of the kernel', () => {
  for (const [scheduler, weights, picks] of SEQUENCES) {
    test(`${scheduler} with weights ${weights.join(', ')}`, () => {
      const count = picks.split(' ').length;
      assert.equal(new Lab(1000, scheduler, weights).syns(count), picks);
    });
  }

  for (const [port, scheduler, weights, flag, picks] of HASHED) {
    test(`${scheduler} with weights ${weights.join(', ')} ${flag} on port ${port}`, () => {
      const lab = new Lab(port, scheduler, weights, FLAGS[flag]);
      assert.equal(CLIENTS.map((client) => lab.syn(client, 30000)).join(' '), picks);
    });
  }
});

suite('golden sequences with changes in mid-stream', () => {
  test('wrr: a weight is edited, a server comes, a server goes', () => {
    const lab = new Lab(1000, 'wrr', [3, 1, 2]);
    assert.equal(lab.syns(5), '3 2 1 1 3');
    lab.edit(2, 4);
    assert.equal(lab.syns(10), '3 2 1 3 2 1 2 2 1 3');
    lab.add(4, 2);
    assert.equal(lab.syns(10), '4 3 2 1 4 3 2 1 2 2');
    lab.delete(1);
    assert.equal(lab.syns(10), '2 4 3 2 2 4 3 2 2 4');
  });

  test('rr: a server comes, a server goes', () => {
    const lab = new Lab(1000, 'rr', [1, 1, 1]);
    assert.equal(lab.syns(4), '3 2 1 3');
    lab.add(4, 1);
    assert.equal(lab.syns(8), '2 1 4 3 2 1 4 3');
    lab.delete(2);
    assert.equal(lab.syns(8), '1 4 3 1 4 3 1 4');
  });

  test('wlc: connections that were reset count as inactive', () => {
    const lab = new Lab(1030, 'wlc', [1, 1]);
    assert.equal(lab.syns(6), '2 1 2 1 2 1');
    for (const sport of [20000, 20002, 20004]) {
      assert.equal(lab.answer(2, sport, { flags: 'SA' }), 'forward');
      for (const flags of ['A', 'FA']) assert.equal(lab.send(sport, { flags }), '2');
    }
    assert.equal(lab.syns(8), '2 2 2 1 2 1 2 1');
  });

  test('mh: a server edited to weight 0 keeps its clients away from all', () => {
    const lab = new Lab(1042, 'mh', [1, 1, 1]);
    lab.edit(2, 0);
    const picks = '1 - 1 - 3 3 - - - 3 - 1 - 1 3 1 3 3 3 1 - - 3 1 -';
    assert.equal(CLIENTS.map((client) => lab.syn(client, 30000)).join(' '), picks);
  });

  test('sh-port and mh-port spread the ports of one client', () => {
    const ports = Array.from({ length: 20 }, (_, i) => 20000 + i);
    const sh = new Lab(1043, 'sh', [1, 1, 1], FLAGS['sh-port']);
    assert.equal(ports.map((port) => sh.syn('10.7.0.1', port)).join(' '), '2 3 1 3 2 1 2 3 3 1 2 1 2 2 3 1 3 1 1 2');
    const mh = new Lab(1044, 'mh', [1, 1, 1], FLAGS['mh-port']);
    assert.equal(ports.map((port) => mh.syn('10.7.0.1', port)).join(' '), '1 3 3 2 1 2 3 1 3 2 1 2 2 1 2 3 3 2 1 1');
  });

  test('dh: one virtual address, one server', () => {
    const lab = new Lab(1045, 'dh', [1, 1, 1]);
    assert.equal(
      ['10.7.0.1', '10.7.0.2', '10.7.0.3', '10.7.0.4'].map((client) => lab.syn(client)).join(' '),
      '3 3 3 3',
    );
  });

  test('rr passes a server by that has reached its upper threshold', () => {
    const lab = new Lab(1046, 'rr', []);
    lab.add(1, 1, { upperThreshold: 3, lowerThreshold: 2 });
    lab.add(2, 1);
    assert.equal(lab.syns(10), '2 1 2 1 2 1 2 2 2 2');
  });

  test('an overloaded server is taken back below three quarters of its upper threshold', () => {
    const lab = new Lab(3500, 'rr', []);
    lab.add(1, 1, { upperThreshold: 4 });
    assert.equal(lab.syns(6), '1 1 1 1 - -');
    for (const sport of [20000, 20001, 20002]) {
      assert.equal(lab.answer(1, sport, { flags: 'RA' }), 'forward');
    }
    assert.deepEqual(lab.counts(1), [1, 3, 0]);
    lab.lab.advance(11);
    assert.deepEqual(lab.counts(1), [1, 0, 0]);
    assert.equal(lab.syns(6), '1 1 1 - - -');
    assert.deepEqual(lab.counts(1), [4, 0, 0]);
  });
});
