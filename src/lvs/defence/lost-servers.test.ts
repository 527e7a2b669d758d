// SPDX-License-Identifier: Apache-2.0
// expire_nodest_conn: connections of a server that is taken out end in the background, slice by slice, and with their next
// packet (ip_vs_expire_nodest_conn_flush, ip_vs_in_hook).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';

test('without the setting they stay for as long as they live, also when it is set later', () => {
  const site = new Site();
  for (let sport = 1; sport <= 10; sport++) site.send(sport);
  site.delete(2);
  site.lab.advance(2);
  site.lab.sysctl('expire_nodest_conn', 1);
  site.lab.advance(2);
  assert.equal(site.lab.flows().length, 10);
});

test('all of the server end at once, those of others and of no server stay', () => {
  const site = new Site();
  site.lab.sysctl('expire_nodest_conn', 1);
  for (let sport = 1; sport <= 10; sport++) site.send(sport);
  site.delete(2);
  site.lab.advance(0.1);
  const servers = site.lab.flows().map((line) => line.split(' ')[3]);
  assert.deepEqual(servers, new Array(5).fill('192.168.1.1:80'));
  site.add(2);
  assert.deepEqual(site.counts(2), [0, 0, 0]);
  assert.equal(site.server(2).counters.connections, 5);
});

test('a table that is larger than a slice takes several calls, and each says whether more is left', () => {
  const count = 10_000;
  const site = new Site({ lab: new TestDirector({ maxConnections: count }), method: 'dr' });
  site.lab.sysctl('expire_nodest_conn', 1);
  for (let i = 0; i < count; i++) site.send(1024 + (i % 1000), { from: 1 + Math.floor(i / 1000) });
  site.delete(2);
  const { director } = site.lab;
  const { table } = director.connections;
  const seen = Array.from({ length: 4 }, () => [director.tick(1), table.count]);
  assert.deepEqual(seen, [
    [true, count - 2048],
    [true, count - 4096],
    [false, count - 5000],
    [false, count - 5000],
  ]);
});

test('a server that goes while the table is looked at is not overlooked', () => {
  const count = 10_000;
  const site = new Site({ lab: new TestDirector({ maxConnections: count }), method: 'dr' });
  site.lab.sysctl('expire_nodest_conn', 1);
  for (let i = 0; i < count; i++) site.send(1024 + (i % 1000), { from: 1 + Math.floor(i / 1000) });
  site.delete(2);
  site.lab.director.tick(1);
  site.delete(1);
  for (let i = 0; i < 4; i++) site.lab.director.tick(1);
  assert.equal(site.lab.director.connections.table.count, 0);
});

test('templates of the server end too, with the last of their connections, proved or not', () => {
  const site = new Site({ persistence: 300 });
  site.lab.sysctl('expire_nodest_conn', 1);
  assert.deepEqual(
    [1, 2, 3, 4].map((from) => site.establish(4000, { from })),
    ['2', '1', '2', '1'],
  );
  site.send(4001, { from: 1 });
  site.send(4000, { from: 5 });
  site.delete(2);
  site.lab.advance(0.1);
  assert.deepEqual(
    site.lab.templates().map((line) => line.split(' ')[1]),
    ['10.7.0.2:0', '10.7.0.4:0'],
  );
  assert.equal(site.lab.flows().length, 2);
});

test('a template whose connections are over ends as well', () => {
  const site = new Site({ persistence: 300, weights: [1] });
  site.lab.sysctl('expire_nodest_conn', 1);
  site.send(4000);
  site.lab.advance(61);
  assert.deepEqual([site.lab.flows().length, site.lab.templates().length], [0, 1]);
  site.delete(1);
  site.lab.advance(0.1);
  assert.deepEqual(site.lab.connections(), []);
});

test('before its turn comes, a packet ends its connection: a SYN goes to another server, others are the kernel’s', () => {
  const site = new Site();
  assert.deepEqual([site.send(1), site.send(2), site.send(3)], ['2', '1', '2']);
  site.delete(2);
  site.lab.sysctl('expire_nodest_conn', 1);
  assert.deepEqual([site.send(1, { flags: 'A' }), site.send(3)], ['pass', '1']);
  const clients = site.lab.flows().map((line) => line.split(' ')[1]);
  assert.deepEqual(clients.sort(), ['10.7.0.1:2', '10.7.0.1:3']);
});

test('a SYN on the connection of a quiesced server is scheduled anew, other packets stay with it', () => {
  const site = new Site();
  assert.equal(site.establish(4000), '2');
  site.edit(2, 0);
  assert.equal(site.send(4000), '2');
  site.lab.sysctl('expire_nodest_conn', 1);
  assert.equal(site.send(4000, { flags: 'A' }), '2');
  assert.deepEqual([site.send(4000), site.send(4000, { flags: 'A' })], ['1', '1']);
  assert.deepEqual(
    [site.counts(2), site.counts(1)],
    [
      [0, 0, 0],
      [1, 0, 0],
    ],
  );
});

test('the answers of a removed server are dropped with its connections', () => {
  const site = new Site({ weights: [1] });
  site.establish(4000);
  site.delete(1);
  assert.equal(site.answer(1, 4000, { flags: 'A' }), 'forward', 'without the setting they pass');
  site.add(1);
  site.lab.sysctl('expire_nodest_conn', 1);
  site.delete(1);
  site.lab.advance(0.1);
  assert.equal(site.answer(1, 4000, { flags: 'A' }), 'pass', 'the kernel’s');
});
