// SPDX-License-Identifier: Apache-2.0
// Which entries drop_entry ends, and which it spares (ip_vs_random_dropentry, todrop_entry). Buckets are drawn at random
// from the director's seed: in some minutes each has had its turn many times.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CHUNKS } from '../../../test/support/frames.ts';
import { Site, type SiteOptions } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import { KIND_TEMPLATE, MIN_BUCKETS } from '../connection/layout.ts';
import { SCTP_STATE_NAMES } from '../connection/sctp-state.ts';
import { TCP_STATE_NAMES } from '../connection/tcp-state.ts';
import { DropEntry } from './drop-entry.ts';

/** In so many seconds a bucket is drawn thirty times on average. */
const LONG = 960;
const FOREVER = 100_000;

const always = (names: readonly string[]): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, FOREVER]));

/** A site whose connections last, whatever their state. */
function lastingSite(options: SiteOptions): Site {
  const site = new Site({ weights: [1], ...options });
  const [kind] = (options.service ?? 'tcp').split(':');
  if (kind === 'udp') site.lab.tune(site.service, { timeouts: { udp: FOREVER } });
  if (kind === 'tcp') site.lab.tune(site.service, { timeouts: { tcp: always(TCP_STATE_NAMES) } });
  if (kind === 'sctp') site.lab.tune(site.service, { timeouts: { sctp: always(SCTP_STATE_NAMES) } });
  return site;
}

function cull(site: Site, seconds: number): void {
  site.lab.sysctl('drop_entry', 3);
  site.lab.advance(seconds);
  site.lab.sysctl('drop_entry', 0);
}

/** Client ports of the connections that are left. */
function left(site: Site): number[] {
  return site.lab
    .connections()
    .map(({ client }) => client.port)
    .filter((port) => port !== 0)
    .sort((a, b) => a - b);
}

suite('entries by state', () => {
  test('of TCP the half-open ones go, the closing ones stay', () => {
    const site = lastingSite({});
    const walks: readonly [state: string, ...steps: string[]][] = [
      ['SYN_RECV', 'c S'],
      ['SYN_RECV', 'c S', 's SA'],
      ['FIN_WAIT', 'c S', 'c A', 's FA'],
      ['CLOSE_WAIT', 'c S', 'c A', 'c FA'],
      ['TIME_WAIT', 'c S', 'c A', 'c FA', 's FA'],
      ['CLOSE', 'c S', 's RA'],
      ['SYN_SENT', 'c S', 's RA', 's S'],
      ['SYNACK', 'c S', 's SA'],
    ];
    for (const [i, [state, ...steps]] of walks.entries()) {
      site.lab.sysctl('secure_tcp', state === 'SYNACK' ? 3 : 0);
      for (const step of steps) {
        const flags = step.slice(2);
        if (step.startsWith('c')) site.send(100 + i, { flags });
        else site.answer(1, 100 + i, { flags });
      }
      assert.equal(site.lab.flows()[i].split(' ')[4], state);
    }
    cull(site, LONG);
    assert.deepEqual(left(site), [102, 103, 104, 105, 106]);
    assert.deepEqual(site.counts(1), [1, 4, 0]);
  });

  test('of SCTP those in INIT1 and INIT go, of others only idle established ones', () => {
    const site = lastingSite({ service: 'sctp:10.0.0.1:80' });
    for (const sport of [1, 2, 2, 3, 4, 5]) site.send(sport);
    site.answer(1, 3, { chunks: [CHUNKS['INIT ACK']] });
    for (const sport of [4, 5]) site.answer(1, sport, { chunks: [CHUNKS['COOKIE ACK']] });
    for (let i = 0; i < 8; i++) site.send(5, { chunks: [CHUNKS.DATA] });
    const states = site.lab.flows().map((line) => line.split(' ')[4]);
    assert.deepEqual(states, ['INIT1', 'INIT', 'C-SENT', 'ESTABLISHED', 'ESTABLISHED']);
    cull(site, LONG);
    assert.deepEqual(left(site), [3, 5]);
  });

  for (const service of ['tcp:10.0.0.1:80', 'udp:10.0.0.1:53']) {
    test(`of ${service} connections those that saw up to eight packets of the client go when they are idle`, () => {
      const site = lastingSite({ service });
      for (let packets = 2; packets <= 12; packets++) {
        site.send(100 + packets);
        for (let i = 1; i < packets; i++) site.send(100 + packets, { flags: 'A' });
        for (let i = 0; i < 20; i++) site.answer(1, 100 + packets, { flags: 'A' });
      }
      cull(site, 2 * LONG);
      assert.deepEqual(left(site), [109, 110, 111, 112]);
    });

    test(`a ${service} connection that had a packet within the last minute is spared`, () => {
      const site = lastingSite({ service });
      for (let sport = 200; sport < 700; sport++) for (const flags of ['S', 'A']) site.send(sport, { flags });
      cull(site, 59);
      assert.equal(left(site).length, 500);
      for (let sport = 200; sport < 450; sport++) site.answer(1, sport, { flags: 'A' });
      cull(site, 55);
      const ports = left(site);
      assert.equal(ports.filter((port) => port < 450).length, 250);
      assert.ok(ports.length < 450, `${ports.length} are left`);
    });
  }
});

test('of entries that saw i packets every i-th is meant, the first one first', () => {
  const site = lastingSite({ service: 'udp:10.0.0.1:53' });
  for (let packets = 1; packets <= 9; packets++) {
    for (let i = 0; i < 24; i++) for (let n = 0; n < packets; n++) site.send(1000 * packets + i);
  }
  site.lab.advance(61);
  const { connections, services } = site.lab.director;
  const dropEntry = new DropEntry(connections);
  for (let packets = 1; packets <= 9; packets++) {
    const meant = Array.from({ length: 24 }, (_, i) => dropEntry.picks(24 * (packets - 1) + i + 1, services.now));
    assert.deepEqual(
      meant,
      meant.map((_, i) => packets < 9 && i % packets === 0),
      `${packets} packets`,
    );
  }
});

suite('templates', () => {
  test('one with connections is spared; without any it goes unless it is proved', () => {
    const site = lastingSite({ service: 'udp:10.0.0.1:53', persistence: FOREVER });
    for (let i = 0; i < 9; i++) site.send(4000, { from: 1 });
    site.lab.tune(site.service, { timeouts: { udp: 1 } });
    site.send(4000, { from: 2 });
    site.establish(4000, { from: 3 });
    site.lab.advance(2);
    assert.deepEqual([site.lab.flows().length, site.lab.templates().length], [1, 3]);
    cull(site, LONG);
    const clients = site.lab.templates().map((line) => line.split(' ')[1]);
    assert.deepEqual([site.lab.flows().length, clients], [1, ['10.7.0.1:0', '10.7.0.3:0']]);
  });

  test('the forced end of its last connection takes an unproved one along, not a proved one', () => {
    const site = new Site({ persistence: FOREVER, weights: [1] });
    site.lab.tune(site.service, { timeouts: { tcp: { SYN_RECV: FOREVER, CLOSE: 1 } } });
    for (let from = 1; from <= 300; from++) {
      site.send(1000, { from });
      if (from % 2 === 0) for (const flags of ['S', 'A', 'R']) site.send(2000, { from, flags });
    }
    site.lab.advance(2);
    assert.deepEqual([site.lab.flows().length, site.lab.templates().length], [300, 300]);
    cull(site, 60);
    const clientsOf = (lines: readonly string[]): Set<string> =>
      new Set(lines.map((line) => line.split(' ')[1].split(':')[0]));
    const connected = clientsOf(site.lab.flows());
    const templates = clientsOf(site.lab.templates());
    assert.ok(connected.size > 20 && connected.size < 200, `${connected.size} connections are left`);
    for (let from = 1; from <= 300; from++) {
      const client = site.clientAddress(from);
      assert.equal(templates.has(client), from % 2 === 0 || connected.has(client), client);
    }
    assert.equal(site.server(1).persistentConnections, templates.size);
  });

  test('one that goes with a connection of its own bucket is not ended twice', () => {
    const site = lastingSite({ persistence: FOREVER });
    const { table } = site.lab.director.connections;
    const [client, virtual] = [0x0a070001, 0x0a000001];
    const bucketOf = (kind: number, ports: number): number =>
      table.hashIpv4(kind, client, virtual, ports) & (MIN_BUCKETS - 1);
    const kind = (6 << 8) | 4;
    let sport = 1024;
    while (bucketOf(kind, (sport << 16) | 80) !== bucketOf(kind | KIND_TEMPLATE, 80)) sport++;
    assert.equal(site.send(sport), '1');
    cull(site, LONG);
    assert.deepEqual([site.counts(1), table.count], [[0, 0, 0], 0]);
    for (let i = 0; i < 3; i++) site.send(4000 + i);
    assert.deepEqual([site.lab.flows().length, site.lab.templates().length], [3, 1]);
  });

  test('one of a one-packet service goes as a connection does: idle, after up to eight packets of the client', () => {
    const site = lastingSite({ service: 'udp:10.0.0.1:53', persistence: FOREVER, onePacket: true });
    for (let packets = 1; packets <= 10; packets++) {
      for (let i = 0; i < packets; i++) site.send(4000 + i, { from: packets });
    }
    cull(site, 59);
    assert.equal(site.lab.templates().length, 10);
    cull(site, 2 * LONG);
    assert.deepEqual(
      site.lab.templates().map((line) => line.split(' ')[1]),
      ['10.7.0.9:0', '10.7.0.10:0'],
    );
  });

  test('what a one-packet server sends by itself is no packet of the client', () => {
    const persistence = { timeoutSeconds: FOREVER, prefixLength: 32, engine: 'sip' };
    const site = lastingSite({ service: 'udp:10.0.0.1:5060', persistence, onePacket: true });
    const payload = 'INVITE sip:bob SIP/2.0\r\nCall-ID: a\r\n';
    for (let i = 0; i < 3; i++) site.answer(1, 4000, { payload });
    assert.equal(site.lab.templates().length, 1);
    cull(site, LONG);
    assert.equal(site.lab.templates().length, 1, 'without a packet of the client it is not meant');
    site.send(4000, { payload });
    cull(site, LONG);
    assert.deepEqual(site.lab.templates(), []);
  });
});

test('a second’s work is done in slices, and a tick says when more of it is left', () => {
  const lab = new TestDirector({ maxConnections: 20_000 });
  const site = new Site({ lab, weights: [1], method: 'dr' });
  for (let i = 0; i < 20_000; i++) site.send(1024 + (i % 1000), { from: 1 + Math.floor(i / 1000) });
  const { director } = lab;
  const { table } = director.connections;
  assert.equal(table.bucketCount, 40_000, 'of which 1250 are drawn each second, 512 in a call');
  lab.sysctl('drop_entry', 3);
  const counts: number[] = [];
  const isBusy = Array.from({ length: 4 }, () => {
    const before = table.count;
    const busy = director.tick(100);
    counts.push(before - table.count);
    return busy;
  });
  assert.deepEqual(isBusy, [true, true, false, false]);
  // Half an entry a bucket: 256, 256 and 113 on average.
  assert.ok(counts[0] > 150 && counts[0] < 400 && counts[1] > 150 && counts[1] < 400, `${counts}`);
  assert.ok(counts[2] > 50 && counts[2] < 200 && counts[3] === 0, `${counts}`);
  lab.sysctl('drop_entry', 0);
  assert.equal(director.tick(300), false);
});
