// SPDX-License-Identifier: Apache-2.0
// When a template is still good for a new connection (ip_vs_check_template), and what becomes of one that is not: it stays
// where it is until its time is over, and nobody finds it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../../../test/support/site.ts';

const INVALID = 'tcp 10.7.0.1:0 10.0.0.1:65535 192.168.1.2:65535';

test('a quiesced server keeps its persistent clients and gets no others', () => {
  const site = new Site({ persistence: 300 });
  assert.equal(site.send(4000), '2');
  site.edit(2, 0);
  assert.deepEqual([site.send(4001), site.send(4000, { from: 2 }), site.send(4000, { from: 3 })], ['2', '1', '1']);
});

test('with expire_quiescent_template its clients are scheduled anew, and do not come back with its weight', () => {
  const site = new Site({ persistence: 300 });
  site.lab.sysctl('expire_quiescent_template', 1);
  assert.equal(site.send(4000), '2');
  site.edit(2, 0);
  assert.equal(site.send(4001), '1');
  site.edit(2, 1);
  assert.equal(site.send(4002), '1');
  site.lab.sysctl('expire_quiescent_template', 0);
  assert.equal(site.send(4003), '1');
});

test('a template that is not good any more keeps its place, its connections and its time, under port 65535', () => {
  const site = new Site({ persistence: 300 });
  site.establish(4000);
  site.lab.advance(100);
  site.delete(2);
  assert.equal(site.send(4001), '1');
  assert.deepEqual(site.lab.templates(), [
    `${INVALID} ASSURED 200`,
    'tcp 10.7.0.1:0 10.0.0.1:80 192.168.1.1:80 NONE 300',
  ]);
  site.add(2);
  assert.deepEqual([site.send(4002), site.send(4000, { flags: 'A' })], ['1', '2']);
  assert.deepEqual(site.counts(2), [1, 0, 1]);
  site.lab.advance(201);
  assert.deepEqual(site.lab.templates()[0], `${INVALID} ASSURED 59`, 'put off, for it has a connection');
  site.answer(2, 4000, { flags: 'R' });
  site.lab.advance(60);
  assert.equal(site.lab.templates().length, 1);
  assert.deepEqual(site.counts(2), [0, 0, 0]);
});

test('a server that goes and comes back before its client does keeps the client', () => {
  const site = new Site({ persistence: 300 });
  site.establish(4000);
  site.delete(2);
  site.add(2);
  assert.equal(site.send(4001), '2');
  assert.equal(site.lab.templates().length, 1);
});

test('while a server is away its client is not promised to another, if there is none', () => {
  const site = new Site({ persistence: 300, weights: [1] });
  assert.equal(site.send(4000), '1');
  site.delete(1);
  assert.equal(site.send(4001), 'answer-icmp');
  site.add(1);
  assert.equal(site.send(4002), '1');
  const [, second] = site.lab.templates();
  assert.equal(second, 'tcp 10.7.0.1:0 10.0.0.1:80 192.168.1.1:80 NONE 300', 'the first one is not good any more');
});

test('an overloaded server takes the connections of its persistent clients, and of nobody else', () => {
  const site = new Site({ persistence: 300, weights: [1] });
  site.add(2, 1, { upperThreshold: 2 });
  assert.deepEqual(
    [1, 2, 3].map((from) => site.send(4000, { from })),
    ['2', '1', '2'],
  );
  assert.deepEqual(
    [4, 5].map((from) => site.send(4000, { from })),
    ['1', '1'],
  );
  assert.deepEqual(
    [1, 3].map((from) => site.send(4001, { from })),
    ['2', '2'],
  );
  assert.deepEqual(site.counts(2), [4, 0, 2]);
});

test('on port 65535 itself a template is found though it is not good any more, behind the one that took its place', () => {
  const site = new Site({ service: 'tcp:10.0.0.1:65535', persistence: 300, serverPort: 80 });
  assert.equal(site.send(4000), '2');
  site.delete(2);
  assert.deepEqual([site.send(4001), site.send(4002)], ['1', '1']);
  site.add(2);
  assert.equal(site.send(4003), '1');
  assert.deepEqual(site.lab.templates(), [
    'tcp 10.7.0.1:0 10.0.0.1:65535 192.168.1.2:80 NONE 300',
    'tcp 10.7.0.1:0 10.0.0.1:65535 192.168.1.1:80 NONE 300',
  ]);
});
