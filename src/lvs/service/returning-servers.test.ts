// SPDX-License-Identifier: Apache-2.0
// Servers that are taken out and come back: as themselves while connections refer to them and two minutes more, looked at
// once a minute; as new ones later (ip_vs_trash_get_dest, ip_vs_dest_trash_expire).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../../../test/support/site.ts';

/** A site whose server 2 was used and is taken out. */
function withoutSecond(): Site {
  const site = new Site();
  assert.equal(site.establish(4000), '2');
  site.delete(2);
  return site;
}

/** The first look, a minute later, finds it unused; two minutes after that one it is forgotten. */
for (const [seconds, isKnown] of [
  [1, true],
  [60, true],
  [179, true],
  [181, false],
  [10_000, false],
] as const) {
  test(`without connections a server that comes back after ${seconds} s is ${isKnown ? 'itself' : 'a new one'}`, () => {
    const site = withoutSecond();
    site.lab.director.connections.close(1);
    site.lab.advance(seconds);
    site.add(2);
    const { connections, inPackets, outPackets } = site.server(2).counters;
    assert.deepEqual([connections, inPackets, outPackets], isKnown ? [1, 2, 1] : [0, 0, 0]);
  });
}

test('its connections go on with it after any time, and are counted as before', () => {
  const site = withoutSecond();
  for (let i = 0; i < 4; i++) {
    site.lab.advance(800);
    assert.equal(site.answer(2, 4000, { flags: 'A' }), 'forward');
  }
  assert.equal(site.send(4000, { flags: 'A' }), 'drop-server-gone');
  site.add(2);
  assert.equal(site.send(4000, { flags: 'A' }), '2');
  assert.deepEqual(site.counts(2), [1, 0, 0]);
  const { connections, inPackets, outPackets } = site.server(2).counters;
  assert.deepEqual([connections, inPackets, outPackets], [1, 3, 1], 'nothing is counted while it is away');
});

test('two minutes count from the first look that finds it unused, not from its removal', () => {
  const site = withoutSecond();
  site.lab.advance(900);
  assert.deepEqual(site.lab.flows().length, 1);
  site.lab.advance(1);
  assert.deepEqual(site.lab.flows(), []);
  // Looks are at each full minute: 960 finds it, 1080 forgets it.
  site.lab.advance(178);
  site.add(2);
  assert.equal(site.server(2).counters.connections, 1);
  site.delete(2);
  site.lab.advance(181);
  site.add(2);
  assert.equal(site.server(2).counters.connections, 0);
});

test('a template holds a server as a connection does', () => {
  const site = new Site({ persistence: 1000 });
  site.send(4000);
  site.delete(2);
  site.lab.advance(900);
  assert.deepEqual([site.lab.flows(), site.lab.templates().length], [[], 1]);
  site.add(2);
  assert.deepEqual([site.counts(2), site.send(4001)], [[0, 0, 1], '2']);
});

test('it comes back at the head of the list, with the options that it is given', () => {
  const site = new Site({ weights: [1, 1, 1] });
  site.delete(1);
  site.add(1, 7, { upperThreshold: 100, method: 'dr' });
  const { weight, upperThreshold, method } = site.server(1);
  assert.deepEqual([weight, upperThreshold, method], [7, 100, 'dr']);
  assert.deepEqual([site.send(1), site.send(2), site.send(3)], ['1', '3', '2']);
});

test('connections keep the way of forwarding that they were opened with', () => {
  const site = withoutSecond();
  site.add(2, 1, { method: 'dr' });
  const { packet } = site.lab.packet(site.request(4000, { flags: 'A' }));
  assert.deepEqual([...packet!.subarray(16, 20)], [192, 168, 1, 2]);
  site.edit(1, 0);
  assert.equal(site.send(5000), '2');
  assert.notEqual(site.lab.director.departure.nextHop, undefined, 'a new one is routed directly');
});

test('a service that is made again finds its servers and their connections, with counters from zero', () => {
  const site = new Site();
  assert.deepEqual([site.establish(4000), site.establish(4001)], ['2', '1']);
  site.lab.deleteService(site.service);
  const again = new Site({ lab: site.lab, weights: [] });
  assert.equal(again.send(4000, { flags: 'A' }), 'drop-server-gone');
  again.add(2);
  assert.equal(again.send(4000, { flags: 'A' }), '2');
  const { counters, servers } = site.lab.dataplane.snapshotNow().services[0];
  assert.deepEqual([counters.connections, counters.inPackets], [0, 1]);
  assert.deepEqual([servers[0].counters, again.counts(2)], [counters, [1, 0, 0]]);
  assert.equal(again.send(4001, { flags: 'A' }), 'drop-server-gone', 'the other one is still away');
});

test('an endpoint of another service is another server, and its connections stay where they were', () => {
  const site = withoutSecond();
  const other = new Site({ lab: site.lab, service: 'tcp:10.0.0.2:80', weights: [] });
  other.add(2);
  assert.equal(other.server(2).counters.connections, 0);
  assert.equal(site.send(4000, { flags: 'A' }), 'drop-server-gone');
  assert.equal(other.send(4001), '2');
  site.add(2);
  assert.equal(site.send(4000, { flags: 'A' }), '2');
  assert.deepEqual([site.counts(2)[0], other.counts(2)[0]], [1, 1]);
});

test('several servers are looked at together, from the removal of the first', () => {
  const site = new Site();
  for (const sport of [1, 2]) site.send(sport);
  for (const id of [1, 2]) site.lab.director.connections.close(id);
  site.delete(1);
  site.lab.advance(50);
  site.delete(2);
  // Both are found unused after 60 s and forgotten after 180.
  site.lab.advance(129);
  site.add(2);
  assert.equal(site.server(2).counters.connections, 1);
  site.lab.advance(2);
  site.add(1);
  assert.equal(site.server(1).counters.connections, 0);
});
