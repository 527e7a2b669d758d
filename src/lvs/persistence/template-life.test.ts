// SPDX-License-Identifier: Apache-2.0
// How long a persistence template lives, what renews it, what proves it (ip_vs_conn_expire, ip_vs_control_assure_ct).
// Who shares one: template-keys.test.ts. How it ends by force: ../defence/culling.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNKS } from '../../../test/support/frames.ts';
import { Site } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';

/** State and seconds left of the only template, undefined when there is none. */
function templateOf({ lab }: Site): string | undefined {
  const [line, ...others] = lab.templates();
  assert.deepEqual(others, []);
  return line?.split(' ').slice(4).join(' ');
}

test('a persistent client comes back to its server, by a template that the server counts apart', () => {
  const site = new Site({ persistence: 300 });
  assert.deepEqual(
    [site.send(4000), site.send(4001), site.send(4000, { from: 2 }), site.send(4002)],
    [...['2', '2', '1', '2']],
  );
  assert.equal(site.lab.templates()[0], 'tcp 10.7.0.1:0 10.0.0.1:80 192.168.1.2:80 NONE 300');
  assert.equal(site.lab.flows()[0], 'tcp 10.7.0.1:4000 10.0.0.1:80 192.168.1.2:80 SYN_RECV 60');
  assert.deepEqual(
    [site.counts(2), site.counts(1)],
    [
      [3, 0, 1],
      [1, 0, 1],
    ],
  );
  assert.equal(site.server(2).counters.connections, 3);
});

test('only a new connection renews a template, packets of those that it has do not', () => {
  const site = new Site({ persistence: 300 });
  site.establish(4000);
  assert.equal(templateOf(site), 'ASSURED 300');
  site.lab.advance(100);
  site.send(4000, { flags: 'PA' });
  site.send(4000, { flags: 'S' });
  site.answer(2, 4000, { flags: 'A' });
  assert.equal(templateOf(site), 'ASSURED 200');
  site.send(4001);
  assert.equal(templateOf(site), 'ASSURED 300');
});

test('a template without connections ends when its time is over, and the client is scheduled anew', () => {
  const site = new Site({ service: 'udp:10.0.0.1:53', persistence: 400 });
  assert.deepEqual([site.send(4000), site.send(4000, { from: 2 })], ['2', '1']);
  site.lab.advance(399);
  assert.equal(site.lab.flows().length, 0, 'its connection was over after 300 s');
  assert.equal(site.server(2).persistentConnections, 1);
  site.lab.advance(2);
  assert.deepEqual(site.lab.connections(), []);
  assert.equal(site.server(2).persistentConnections, 0);
  assert.equal(site.send(4000, { from: 2 }), '2');
});

test('a template whose time is over while it has connections is put off by a minute, again and again', () => {
  const site = new Site({ persistence: 10 });
  site.establish(4000);
  site.lab.advance(9.9);
  assert.equal(templateOf(site), 'ASSURED 0');
  site.lab.advance(0.3);
  assert.equal(templateOf(site), 'ASSURED 59');
  for (let minute = 0; minute < 5; minute++) {
    site.lab.advance(59);
    assert.equal(templateOf(site), 'ASSURED 0');
    site.lab.advance(1.1);
    assert.equal(templateOf(site), 'ASSURED 59');
  }
  assert.equal(site.lab.flows().length, 1);
});

test('a template that was put off once lives a minute from then on, whatever its service says', () => {
  const site = new Site({ persistence: 10 });
  site.establish(4000);
  assert.equal(site.send(4001), '2');
  assert.equal(templateOf(site), 'ASSURED 10');
  site.lab.advance(11);
  site.send(4002);
  assert.equal(templateOf(site), 'ASSURED 60');
  for (const sport of [4000, 4001, 4002]) site.send(sport, { flags: 'R' });
  site.answer(2, 4001, { flags: 'RA' });
  site.answer(2, 4002, { flags: 'RA' });
  site.lab.advance(59);
  assert.deepEqual([site.lab.flows().length, templateOf(site)], [0, 'ASSURED 1']);
  site.lab.advance(1.2);
  assert.equal(templateOf(site), undefined);
});

test('another persistence timeout counts for the templates that come, not for those that are there', () => {
  const site = new Site({ persistence: 100 });
  site.send(4000);
  site.lab.editService(site.service, 'rr', { persistence: { timeoutSeconds: 500, prefixLength: 32 } });
  site.send(4001);
  assert.equal(templateOf(site), 'NONE 100');
  site.send(4000, { from: 2 });
  assert.equal(site.lab.templates()[1], 'tcp 10.7.0.2:0 10.0.0.1:80 192.168.1.1:80 NONE 500');
});

test('the end of its last connection leaves a template alone, proved or not', () => {
  const site = new Site({ persistence: 300 });
  site.send(4000);
  site.lab.advance(61);
  assert.deepEqual([site.lab.flows().length, templateOf(site)], [0, 'NONE 239']);
  site.send(4001);
  site.answer(2, 4001, { flags: 'RA' });
  site.lab.advance(11);
  assert.deepEqual([site.lab.flows().length, templateOf(site)], [0, 'NONE 289']);
});

test('TCP proves a template when a connection is established, not by a SYN or a reset', () => {
  const site = new Site({ persistence: 300 });
  site.send(4000);
  site.answer(2, 4000, { flags: 'SA' });
  site.send(4001);
  site.answer(2, 4001, { flags: 'RA' });
  assert.equal(templateOf(site), 'NONE 300');
  site.send(4000, { flags: 'A' });
  assert.equal(templateOf(site), 'ASSURED 300');
});

test('UDP proves a template by an answer of the server, and by nothing that clients send', () => {
  const site = new Site({ service: 'udp:10.0.0.1:53', persistence: 300 });
  for (let i = 0; i < 5; i++) site.send(4000);
  assert.equal(templateOf(site), 'NONE 300');
  site.answer(2, 4000);
  assert.equal(templateOf(site), 'ASSURED 300');
});

test('SCTP proves a template when the association is established', () => {
  const site = new Site({ service: 'sctp:10.0.0.1:80', persistence: 300 });
  site.send(4000);
  site.answer(2, 4000, { chunks: [CHUNKS['INIT ACK']] });
  site.send(4000, { chunks: [CHUNKS['COOKIE ECHO']] });
  assert.equal(templateOf(site), 'NONE 300');
  site.answer(2, 4000, { chunks: [CHUNKS['COOKIE ACK']] });
  assert.equal(templateOf(site), 'ASSURED 300');
  assert.deepEqual(site.counts(2), [1, 0, 1]);
});

test('a full table drops the client; a template that was made for it before stays', () => {
  const site = new Site({ lab: new TestDirector({ maxConnections: 3 }), persistence: 300 });
  assert.deepEqual([site.send(4000), site.send(4000, { from: 2 })], ['2', 'drop-table-full']);
  assert.equal(site.send(4000, { from: 3 }), 'drop-table-full');
  assert.deepEqual(
    [site.counts(2), site.counts(1)],
    [
      [1, 0, 1],
      [0, 0, 1],
    ],
  );
});
