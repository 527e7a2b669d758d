// SPDX-License-Identifier: Apache-2.0
// One-packet scheduling: every datagram is scheduled by itself, counted, forwarded and forgotten.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumFault } from '../../test/support/frames.ts';
import { Site } from '../../test/support/site.ts';
import { TestDirector } from '../../test/support/test-director.ts';

const DNS = { service: 'udp:10.0.0.1:53', onePacket: true } as const;

test('datagrams of one client and port are spread over the servers, and nothing is remembered of them', () => {
  const site = new Site(DNS);
  assert.deepEqual([site.send(4000), site.send(4000), site.send(4000), site.send(4001)], ['2', '1', '2', '1']);
  assert.deepEqual(site.lab.connections(), []);
  assert.equal(site.lab.dataplane.snapshotNow().connections.current, 0);
  for (const number of [1, 2]) {
    assert.deepEqual(site.counts(number), [0, 0, 0]);
    const { connections, inPackets } = site.server(number).counters;
    assert.deepEqual([connections, inPackets], [2, 2]);
  }
});

test('what servers answer is the kernel’s, for there is no connection', () => {
  const site = new Site(DNS);
  assert.equal(site.send(4000), '2');
  assert.equal(site.answer(2, 4000), 'pass');
});

test('a table of one connection takes any number of datagrams', () => {
  const site = new Site({ ...DNS, lab: new TestDirector({ maxConnections: 1 }), weights: [1] });
  for (let i = 0; i < 1000; i++) assert.equal(site.send(1024 + i), '1');
});

test('a datagram whose hops are used up is answered and forgotten too', () => {
  const site = new Site(DNS);
  const { verdict, packet } = site.lab.packet(site.request(4000, { ttl: 1 }));
  assert.deepEqual([verdict, packet?.[20], checksumFault(packet!)], ['answer-icmp', 11, undefined]);
  assert.deepEqual([site.lab.connections(), site.counts(2)], [[], [0, 0, 0]]);
});

test('direct routing forgets them as well', () => {
  const site = new Site({ ...DNS, method: 'dr' });
  assert.deepEqual([site.send(4000), site.send(4000)], ['2', '1']);
  assert.deepEqual([site.lab.connections(), site.counts(2)], [[], [0, 0, 0]]);
});

test('of a mark’s service only UDP is one-packet', () => {
  const site = new Site({ service: 'fwm:7', onePacket: true });
  assert.deepEqual([site.send(4000, { protocol: 'udp' }), site.send(4000, { protocol: 'udp' })], ['2', '1']);
  assert.deepEqual(site.lab.connections(), []);
  assert.deepEqual([site.send(4000), site.send(4000), site.send(4000, { flags: 'A' })], ['2', '2', '2']);
  assert.equal(site.send(4000, { protocol: 'sctp' }), '1');
  assert.deepEqual(
    site.lab.flows().map((line) => line.split(' ')[0]),
    ['tcp', 'sctp'],
  );
});

test('with persistence the client’s template is remembered and renewed, and sends every datagram to one server', () => {
  const site = new Site({ ...DNS, persistence: 300 });
  assert.deepEqual([site.send(4000), site.send(4001), site.send(4000, { from: 2 })], ['2', '2', '1']);
  site.lab.advance(200);
  assert.equal(site.send(4002), '2');
  assert.deepEqual(site.lab.flows(), []);
  assert.deepEqual(site.lab.templates(), [
    'udp 10.7.0.1:0 10.0.0.1:53 192.168.1.2:53 NONE 300',
    'udp 10.7.0.2:0 10.0.0.1:53 192.168.1.1:53 NONE 100',
  ]);
  assert.deepEqual(site.counts(2), [0, 0, 1]);
  assert.equal(site.server(2).counters.connections, 3);
  site.lab.advance(301);
  assert.deepEqual(site.lab.connections(), [], 'no datagram hangs on its template any more');
});

test('switched off in mid-stream, connections are remembered from the next datagram on', () => {
  const site = new Site(DNS);
  assert.equal(site.send(4000), '2');
  site.lab.editService(site.service, 'rr', { onePacket: false });
  assert.deepEqual([site.send(4000), site.send(4000)], ['1', '1']);
  site.lab.editService(site.service, 'rr', { onePacket: true });
  assert.deepEqual([site.send(4000), site.send(4001), site.send(4001)], ['1', '2', '1']);
  assert.equal(site.lab.flows().length, 1);
});
