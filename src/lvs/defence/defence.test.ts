// SPDX-License-Identifier: Apache-2.0
// Defence against floods: how many first packets drop_packet drops, when the automatic modes act, secure_tcp in mid-stream.
// Which entries drop_entry ends: culling.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNKS } from '../../../test/support/frames.ts';
import { Site } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';

/** Connections of a page of the table. */
const PER_PAGE = 4096 / 128;
/** Of a table of 4096 connections, 128 pages, an eighth is kept free. */
const MAXIMUM = 4096;
const RESERVE = MAXIMUM / 8;

/** Which of `count` new connections, counted from 1, were dropped. */
function dropped(site: Site, count: number, firstPort = 10_000): number[] {
  const verdicts = Array.from({ length: count }, (_, i) => site.send(firstPort + i));
  return verdicts.flatMap((verdict, i) => (verdict === 'drop-defence' ? [i + 1] : []));
}

function sysctl({ lab }: Site, name: string): number {
  return lab.dataplane.snapshotNow().sysctls[name];
}

/** A site whose table is filled up to `connections`, which live long. */
function filled(connections: number, maximum = MAXIMUM): Site {
  const site = new Site({ service: 'udp:10.0.0.1:53', lab: new TestDirector({ maxConnections: maximum }) });
  fill(site, connections);
  return site;
}

function fill(site: Site, connections: number): void {
  const { table } = site.lab.director.connections;
  while (table.count < connections) assert.match(touch(site, table.count), /^[12]$/);
}

/** A packet of the connection that was opened as the `index`-th. */
function touch(site: Site, index: number): string {
  return site.send(1024 + Math.floor(index / 1000), { from: 1000 + (index % 1000) });
}

test('drop_packet 3 drops the first of the new connections and then every so-manieth, by am_droprate', () => {
  const site = new Site();
  site.lab.sysctl('drop_packet', 3);
  assert.deepEqual(dropped(site, 35), [1, 11, 21, 31]);
  site.lab.sysctl('am_droprate', 3);
  assert.deepEqual(dropped(site, 12, 20_000), [6], 'the old rate until the next look');
  site.lab.advance(1);
  assert.deepEqual(dropped(site, 10, 30_000), [4, 7, 10]);
  site.lab.sysctl('drop_packet', 0);
  assert.deepEqual(dropped(site, 30, 40_000), []);
});

test('am_droprate 1 drops every new connection, 0 none', () => {
  for (const [rate, count] of [
    [1, 20],
    [0, 0],
  ]) {
    const site = new Site();
    site.lab.dataplane.applyNow({ type: 'set-sysctls', values: { am_droprate: rate, drop_packet: 3 } });
    assert.equal(dropped(site, 20).length, count);
  }
});

test('only what would open a connection is dropped and counted on, not what has one or has no service', () => {
  const site = new Site();
  const sctp = new Site({ lab: site.lab, service: 'sctp:10.0.0.1:80' });
  site.send(4000);
  site.lab.sysctl('am_droprate', 2);
  site.lab.sysctl('drop_packet', 3);
  for (let i = 0; i < 5; i++) {
    assert.equal(site.send(4000, { flags: 'A' }), '2');
    assert.equal(site.send(5000, { flags: 'A' }), 'pass');
    assert.equal(site.send(5000, { port: 81 }), 'pass');
    assert.equal(sctp.send(5000, { chunks: [CHUNKS.DATA] }), 'pass');
  }
  assert.deepEqual(
    [site.send(5000), sctp.send(5001), site.send(20), site.send(5002)],
    [...['drop-defence', '2', 'drop-defence', '1']],
  );
});

test('a repeated SYN on a closed connection counts as a new one and can be dropped', () => {
  const site = new Site();
  for (const flags of ['S', 'A', 'R']) site.send(4000, { flags });
  site.lab.sysctl('drop_packet', 3);
  assert.equal(site.send(4000), 'drop-defence');
});

test('automatic drop_packet begins when less than the reserve is free, and drops the more the less there is', () => {
  const site = filled(MAXIMUM - RESERVE);
  site.lab.sysctl('drop_packet', 1);
  assert.deepEqual([sysctl(site, 'drop_packet'), dropped(site, 1).length], [1, 0], 'just enough is free');
  for (const [free, rate] of [
    [RESERVE - PER_PAGE, 16],
    [RESERVE / 2, 2],
    [RESERVE / 4, 1],
  ]) {
    site.lab.sysctl('drop_packet', 0);
    fill(site, MAXIMUM - free);
    site.lab.sysctl('drop_packet', 1);
    assert.equal(sysctl(site, 'drop_packet'), 2, 'armed, and acting at once');
    const expected = Array.from({ length: 32 / rate }, (_, i) => (i + 1) * rate);
    assert.deepEqual(dropped(site, 32, 40_000 + free), expected, `${free} free`);
  }
});

test('automatic drop_packet looks every second, and ends when enough is free', () => {
  const site = filled(MAXIMUM - RESERVE + PER_PAGE);
  site.lab.sysctl('drop_packet', 1);
  assert.equal(sysctl(site, 'drop_packet'), 2);
  site.lab.dataplane.applyNow({ type: 'set-timeouts', timeouts: { tcp: 0, tcpFin: 0, udp: 1 } });
  for (let i = 0; i < 100; i++) touch(site, i);
  site.lab.advance(0.5);
  assert.equal(sysctl(site, 'drop_packet'), 2);
  site.lab.advance(3);
  assert.equal(sysctl(site, 'drop_packet'), 1);
  assert.deepEqual(dropped(site, 100, 50_000), []);
  fill(site, MAXIMUM - RESERVE + PER_PAGE);
  assert.equal(sysctl(site, 'drop_packet'), 1);
  site.lab.advance(1);
  assert.equal(sysctl(site, 'drop_packet'), 2);
});

test('the reserve is amemthresh, in pages of the table, but no more than an eighth of a small table', () => {
  const large = 16_384;
  for (const [maximum, pages, reserve] of [
    [MAXIMUM, 1024, RESERVE],
    [MAXIMUM, 4, 4 * PER_PAGE],
    [large, 1024, large / 8],
    [large, 20, 20 * PER_PAGE],
  ]) {
    const site = filled(maximum - reserve, maximum);
    site.lab.sysctl('amemthresh', pages);
    site.lab.sysctl('drop_packet', 1);
    assert.equal(sysctl(site, 'drop_packet'), 1, `${maximum} connections, amemthresh ${pages}`);
    site.lab.sysctl('drop_packet', 0);
    fill(site, maximum - reserve + 1);
    site.lab.sysctl('drop_packet', 1);
    assert.equal(sysctl(site, 'drop_packet'), 2, `${maximum} connections, amemthresh ${pages}`);
  }
});

test('each of the three has its own automatic mode; those that are off or always on stay so', () => {
  const site = filled(MAXIMUM - 1);
  const modes = (): number[] => ['drop_entry', 'drop_packet', 'secure_tcp'].map((name) => sysctl(site, name));
  site.lab.sysctl('drop_entry', 1);
  assert.deepEqual(modes(), [2, 0, 0]);
  site.lab.sysctl('secure_tcp', 1);
  site.lab.sysctl('drop_packet', 3);
  assert.deepEqual(modes(), [2, 3, 2]);
  site.lab.sysctl('drop_entry', 0);
  site.lab.advance(301);
  assert.deepEqual(modes(), [0, 3, 1]);
  site.lab.sysctl('drop_entry', 2);
  assert.deepEqual(modes(), [1, 3, 1], 'acting without need is armed only');
});

test('secure_tcp takes effect in mid-stream: then only a server’s ACK establishes, and off a client’s does again', () => {
  const site = new Site();
  const states = (): string[] => site.lab.flows().map((line) => line.split(' ')[4]);
  for (const sport of [1, 2, 3]) site.send(sport);
  site.send(1, { flags: 'A' });
  site.lab.sysctl('secure_tcp', 3);
  for (const sport of [1, 2]) site.send(sport, { flags: 'A' });
  assert.deepEqual(states(), ['ESTABLISHED', 'SYN_RECV', 'SYN_RECV']);
  site.answer(1, 2, { flags: 'SA' });
  assert.deepEqual(states(), ['ESTABLISHED', 'SYNACK', 'SYN_RECV']);
  site.answer(1, 2, { flags: 'A' });
  site.lab.sysctl('secure_tcp', 0);
  site.send(3, { flags: 'A' });
  assert.deepEqual(states(), ['ESTABLISHED', 'ESTABLISHED', 'ESTABLISHED']);
});

test('automatic secure_tcp is in force while the table is short of room', () => {
  const site = filled(MAXIMUM - 10);
  const web = new Site({ lab: site.lab });
  const state = (sport: number): string | undefined =>
    web.lab
      .flows()
      .find((line) => line.startsWith(`tcp 10.7.0.1:${sport} `))
      ?.split(' ')[4];
  site.lab.sysctl('secure_tcp', 1);
  web.send(4000);
  web.send(4000, { flags: 'A' });
  assert.equal(state(4000), 'SYN_RECV');
  site.lab.advance(301);
  web.send(4001);
  web.send(4001, { flags: 'A' });
  assert.equal(state(4001), 'ESTABLISHED');
});
