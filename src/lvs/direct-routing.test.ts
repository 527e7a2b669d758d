// SPDX-License-Identifier: Apache-2.0
// Direct routing: requests go to the server's MAC as they are, answers are never seen, and what is counted as one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNKS, checksumFault } from '../../test/support/frames.ts';
import { Site } from '../../test/support/site.ts';
import { TestDirector } from '../../test/support/test-director.ts';

for (const service of ['tcp:10.0.0.1:80', 'tcp:[2001:db8::1]:80']) {
  test(`a packet of ${service} leaves as it came, one hop older, to the server and not to its destination`, () => {
    const site = new Site({ service, method: 'dr' });
    const packet = site.request(4000, { payload: 'hello' });
    const left = site.lab.packet(packet);
    assert.equal(left.verdict, 'forward');
    assert.equal(checksumFault(left.packet!), undefined);
    const hops = site.isIpv6 ? 7 : 8;
    assert.equal(left.packet![hops], packet[hops] - 1);
    // Apart from hops and, in IPv4, the checksum over them.
    for (const [at, byte] of packet.entries()) {
      if (at !== hops && (site.isIpv6 || (at !== 10 && at !== 11))) assert.equal(left.packet![at], byte, `byte ${at}`);
    }
    assert.equal(site.lab.director.departure.nextHop?.key.address, site.serverAddress(2));
    assert.equal(site.lab.director.departure.egressWord, 0);
  });
}

test('what the server answers in the virtual address’s name is not the director’s', () => {
  const site = new Site({ method: 'dr' });
  site.send(4000);
  assert.equal(site.answer(2, 4000, { flags: 'SA' }), 'pass');
});

test('an SCTP association is established by what the client says', () => {
  const site = new Site({ service: 'sctp:10.0.0.1:80', method: 'dr' });
  const states = [[CHUNKS.INIT], [CHUNKS['COOKIE ECHO']], [CHUNKS.DATA], [CHUNKS.SHUTDOWN]].map((chunks) => {
    site.send(4000, { chunks });
    return site.lab.flows()[0].split(' ')[4];
  });
  assert.deepEqual(states, ['INIT1', 'ESTABLISHED', 'ESTABLISHED', 'S-RECEIVED']);
});

test('an error to the client about its connection counts as a packet that the server sent, as in the kernel', () => {
  const site = new Site({ method: 'dr', weights: [1] });
  site.send(4000);
  const { verdict, packet } = site.lab.packet(site.request(4000, { flags: 'A', ttl: 1 }));
  assert.equal(verdict, 'answer-icmp');
  const { inPackets, outPackets, outBytes } = site.server(1).counters;
  assert.deepEqual([inPackets, outPackets, outBytes], [2, 1, packet!.length]);
});

test('so does the error that a client gets for a new connection in the place of a closed one', () => {
  const site = new Site({ method: 'dr', weights: [1] });
  for (const flags of ['S', 'A', 'R']) site.send(4000, { flags });
  site.edit(1, 0);
  const { verdict, packet } = site.lab.packet(site.request(4000));
  assert.equal(verdict, 'answer-icmp');
  assert.deepEqual(
    [site.server(1).counters.outPackets, site.server(1).counters.outBytes, site.lab.flows()],
    [1, packet!.length, []],
  );
});

test('errors about NAT, about connections without a server or of one packet, and those that are not sent, are not counted so', () => {
  const nat = new Site({ weights: [1] });
  nat.send(4000);
  nat.send(4000, { flags: 'A', ttl: 1 });
  assert.equal(nat.server(1).counters.outPackets, 0);
  const datagrams = new Site({ service: 'udp:10.0.0.1:53', onePacket: true, method: 'dr', weights: [1] });
  assert.equal(datagrams.send(4000, { ttl: 1 }), 'answer-icmp');
  assert.equal(datagrams.server(1).counters.outPackets, 0);
  const bypass = new Site({ service: 'fwm:7', weights: [0] });
  bypass.lab.sysctl('cache_bypass', 1);
  assert.equal(bypass.send(4000, { ttl: 1 }), 'answer-icmp');
  assert.equal(bypass.lab.dataplane.snapshotNow().totals.counters.outPackets, 0);
  const many = new Site({ method: 'dr', weights: [1] });
  many.send(4000);
  for (let i = 0; i < 60; i++) many.send(4000, { flags: 'A', ttl: 1 });
  assert.equal(many.server(1).counters.outPackets, 50);
});

test('NAT to a loopback address would leave the machine, and is dropped in IPv6 too', () => {
  const lab = new TestDirector();
  lab.addServer(lab.addService('tcp:[2001:db8::1]:80'), '[::1]:80');
  assert.equal(new Site({ lab, service: 'tcp:[2001:db8::2]:80' }).send(4000, { to: '2001:db8::1' }), 'drop-loopback');
});
