// SPDX-License-Identifier: Apache-2.0
// The director picks the servers that a real kernel's IPVS picked, SYN for SYN.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { SchedulerFlag, ServiceKey } from '../../../src/lvs/model.ts';
import { tcp } from '../../support/frames.ts';
import { TestDirector } from '../../support/test-director.ts';
import { CLIENTS, HASHED, SEQUENCES } from './sequences.ts';

const VIP = '10.0.0.1';
const FLAGS: Readonly<Record<string, readonly SchedulerFlag[]>> = {
  '-': [],
  'sh-fallback': ['flag-1'],
  'sh-port': ['flag-2'],
  'mh-fallback': ['flag-1'],
  'mh-port': ['flag-2'],
};

/** One service of `port` whose servers 192.168.1.1, .2 … have the same port. */
class Lab {
  readonly director = new TestDirector();
  readonly #port: number;
  #service: ServiceKey | undefined;
  #sport = 20000;

  constructor(port: number) {
    this.#port = port;
  }

  get service(): ServiceKey {
    assert.ok(this.#service !== undefined);
    return this.#service;
  }

  serve(scheduler: string, weights: readonly number[], schedulerFlags: readonly SchedulerFlag[] = []): this {
    this.#service = this.director.addService(`tcp:${VIP}:${this.#port}`, scheduler, { schedulerFlags });
    for (const [i, weight] of weights.entries()) this.add(i + 1, weight);
    return this;
  }

  server(number: number): string {
    return `192.168.1.${number}:${this.#port}`;
  }

  add(number: number, weight: number): void {
    this.director.addServer(this.service, this.server(number), weight);
  }

  edit(number: number, weight: number): void {
    this.director.editServer(this.service, this.server(number), weight);
  }

  delete(number: number): void {
    this.director.deleteServer(this.service, this.server(number));
  }

  /** Number of the server that a SYN goes to, '-' when it goes to none. */
  syn(src = '10.7.0.1', sport = this.#sport++, dst = VIP): string {
    const { verdict, packet } = this.director.packet(tcp({ src, dst, sport, dport: this.#port, flags: 'S' }));
    if (verdict !== 'forward') {
      assert.match(verdict, /^(answer-icmp|drop-no-server)$/);
      return '-';
    }
    assert.ok(packet !== undefined);
    return String(packet[19]);
  }

  syns(count: number): string {
    return Array.from({ length: count }, () => this.syn()).join(' ');
  }
}

suite('golden sequences of the kernel', () => {
  for (const [scheduler, weights, picks] of SEQUENCES) {
    test(`${scheduler} with weights ${weights.join(', ')}`, () => {
      const count = picks.split(' ').length;
      assert.equal(new Lab(1000).serve(scheduler, weights).syns(count), picks);
    });
  }

  for (const [port, scheduler, weights, flag, picks] of HASHED) {
    test(`${scheduler} with weights ${weights.join(', ')} ${flag} on port ${port}`, () => {
      const lab = new Lab(port).serve(scheduler, weights, FLAGS[flag]);
      assert.equal(CLIENTS.map((client) => lab.syn(client, 30000)).join(' '), picks);
    });
  }
});

suite('golden sequences with changes in mid-stream', () => {
  test('wrr: a weight is edited, a server comes, a server goes', () => {
    const lab = new Lab(1000).serve('wrr', [3, 1, 2]);
    assert.equal(lab.syns(5), '3 2 1 1 3');
    lab.edit(2, 4);
    assert.equal(lab.syns(10), '3 2 1 3 2 1 2 2 1 3');
    lab.add(4, 2);
    assert.equal(lab.syns(10), '4 3 2 1 4 3 2 1 2 2');
    lab.delete(1);
    assert.equal(lab.syns(10), '2 4 3 2 2 4 3 2 2 4');
  });

  test('rr: a server comes, a server goes', () => {
    const lab = new Lab(1000).serve('rr', [1, 1, 1]);
    assert.equal(lab.syns(4), '3 2 1 3');
    lab.add(4, 1);
    assert.equal(lab.syns(8), '2 1 4 3 2 1 4 3');
    lab.delete(2);
    assert.equal(lab.syns(8), '1 4 3 1 4 3 1 4');
  });

  test('wlc: connections that were reset count as inactive', () => {
    const lab = new Lab(1030).serve('wlc', [1, 1]);
    assert.equal(lab.syns(6), '2 1 2 1 2 1');
    for (const sport of [20000, 20002, 20004]) {
      const reply = tcp({ src: '192.168.1.2', dst: '10.7.0.1', sport: 1030, dport: sport, flags: 'SA' });
      assert.equal(lab.director.packet(reply).verdict, 'forward');
      for (const flags of ['A', 'FA']) {
        assert.equal(
          lab.director.packet(tcp({ src: '10.7.0.1', dst: VIP, sport, dport: 1030, flags })).verdict,
          'forward',
        );
      }
    }
    assert.equal(lab.syns(8), '2 2 2 1 2 1 2 1');
  });

  test('mh: a server edited to weight 0 keeps its clients away from all', () => {
    const lab = new Lab(1042).serve('mh', [1, 1, 1]);
    lab.edit(2, 0);
    const picks = '1 - 1 - 3 3 - - - 3 - 1 - 1 3 1 3 3 3 1 - - 3 1 -';
    assert.equal(CLIENTS.map((client) => lab.syn(client, 30000)).join(' '), picks);
  });

  test('sh-port and mh-port spread the ports of one client', () => {
    const ports = Array.from({ length: 20 }, (_, i) => 20000 + i);
    const sh = new Lab(1043).serve('sh', [1, 1, 1], FLAGS['sh-port']);
    assert.equal(ports.map((port) => sh.syn('10.7.0.1', port)).join(' '), '2 3 1 3 2 1 2 3 3 1 2 1 2 2 3 1 3 1 1 2');
    const mh = new Lab(1044).serve('mh', [1, 1, 1], FLAGS['mh-port']);
    assert.equal(ports.map((port) => mh.syn('10.7.0.1', port)).join(' '), '1 3 3 2 1 2 3 1 3 2 1 2 2 1 2 3 3 2 1 1');
  });

  test('dh: one virtual address, one server', () => {
    const lab = new Lab(1045).serve('dh', [1, 1, 1]);
    assert.equal(
      ['10.7.0.1', '10.7.0.2', '10.7.0.3', '10.7.0.4'].map((client) => lab.syn(client)).join(' '),
      '3 3 3 3',
    );
  });

  test('rr passes a server by that has reached its upper threshold', () => {
    const lab = new Lab(1046).serve('rr', []);
    lab.director.addServer(lab.service, lab.server(1), 1, { upperThreshold: 3, lowerThreshold: 2 });
    lab.add(2, 1);
    assert.equal(lab.syns(10), '2 1 2 1 2 1 2 2 2 2');
  });

  test('an overloaded server is taken back below three quarters of its upper threshold', () => {
    const lab = new Lab(3500).serve('rr', []);
    lab.director.addServer(lab.service, lab.server(1), 1, { upperThreshold: 4 });
    assert.equal(lab.syns(6), '1 1 1 1 - -');
    for (const sport of [20000, 20001, 20002]) {
      const reset = tcp({ src: '192.168.1.1', dst: '10.7.0.1', sport: 3500, dport: sport, flags: 'RA' });
      assert.equal(lab.director.packet(reset).verdict, 'forward');
    }
    const counts = (): number[] => {
      const [server] = lab.director.dataplane.snapshotNow().services[0].servers;
      return [server.activeConnections, server.inactiveConnections];
    };
    assert.deepEqual(counts(), [1, 3]);
    lab.director.advance(11);
    assert.deepEqual(counts(), [1, 0]);
    assert.equal(lab.syns(6), '1 1 1 - - -');
    assert.deepEqual(counts(), [4, 0]);
  });
});
