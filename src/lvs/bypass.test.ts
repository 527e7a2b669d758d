// SPDX-License-Identifier: Apache-2.0
// cache_bypass: packets of a firewall mark's service that has no server for them go where they are addressed to, as a
// connection without a server (ip_vs_leave, ip_vs_bypass_xmit).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumFault } from '../../test/support/frames.ts';
import { machine } from '../../test/support/machine.ts';
import { Site, type SiteOptions } from '../../test/support/site.ts';
import { TestDirector } from '../../test/support/test-director.ts';

/** A mark's service that bypasses, whose only server is quiesced. */
function cacheSite(more: SiteOptions = {}): Site {
  const site = new Site({ service: 'fwm:7', weights: [0], ...more });
  site.lab.sysctl('cache_bypass', 1);
  return site;
}

/** The packet one hop older, with its IPv4 header checksum blanked out. */
function aged(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  const isIpv6 = copy[0] >>> 4 === 6;
  copy[isIpv6 ? 7 : 8]--;
  if (!isIpv6) copy.fill(0, 10, 12);
  return copy;
}

for (const service of ['fwm:7', 'fwm:7:6']) {
  for (const protocol of ['tcp', 'udp'] as const) {
    test(`a ${protocol} packet of ${service} leaves as it came, one hop older`, () => {
      const site = cacheSite({ service });
      const packet = site.request(4000, { protocol, payload: 'hello' });
      const left = site.lab.packet(packet);
      assert.equal(left.verdict, 'forward');
      assert.equal(checksumFault(left.packet!), undefined);
      if (!site.isIpv6) left.packet!.fill(0, 10, 12);
      assert.deepEqual(left.packet, aged(packet));
      assert.equal(site.lab.director.departure.nextHop, undefined, 'its destination says where it goes');
    });
  }
}

test('its connection has no server, lives as others do, and stays when servers come', () => {
  const site = cacheSite();
  assert.equal(site.send(4000), '1', 'to 10.0.0.1');
  assert.deepEqual(site.lab.flows(), ['tcp 10.7.0.1:4000 10.0.0.1:80 0.0.0.0:0 SYN_RECV 60']);
  site.edit(1, 1);
  const { packet } = site.lab.packet(site.request(4000, { flags: 'A' }));
  assert.deepEqual([...packet!.subarray(16, 20)], [10, 0, 0, 1]);
  assert.match(site.lab.flows()[0], /ESTABLISHED 900$/);
  assert.deepEqual(site.counts(1), [0, 0, 0]);
  site.lab.advance(901);
  assert.deepEqual(site.lab.flows(), []);
  assert.equal(site.lab.dataplane.snapshotNow().totals.counters.inPackets, 0, 'no server, nothing to count on');
});

test('a SYN on it, when it is closed, is scheduled anew', () => {
  const site = cacheSite();
  for (const flags of ['S', 'A', 'R']) site.send(4000, { flags });
  site.add(2);
  const { packet } = site.lab.packet(site.request(4000));
  assert.deepEqual([...packet!.subarray(16, 20)], [192, 168, 1, 2]);
  assert.equal(site.lab.flows().length, 1);
});

test('the connections of removed servers are no concern of it', () => {
  const site = cacheSite();
  site.send(4000);
  site.lab.sysctl('expire_nodest_conn', 1);
  site.delete(1);
  site.lab.advance(1);
  assert.equal(site.send(4000, { flags: 'A' }), '1');
  assert.equal(site.lab.flows().length, 1);
});

test('one-packet services forget its datagrams', () => {
  const site = cacheSite({ onePacket: true });
  assert.equal(site.send(4000, { protocol: 'udp' }), '1');
  assert.deepEqual(site.lab.connections(), []);
  assert.equal(site.send(4000), '1');
  assert.equal(site.lab.flows().length, 1, 'only UDP is one-packet');
});

test('a persistent client gets no template by it', () => {
  const site = cacheSite({ persistence: 300 });
  assert.equal(site.send(4000), '1');
  assert.deepEqual([site.lab.templates(), site.lab.flows().length], [[], 1]);
});

test('without the setting, and to services of addresses, the client gets an error', () => {
  const site = cacheSite();
  const web = new Site({ lab: site.lab, service: 'tcp:10.0.0.9:80', weights: [] });
  assert.equal(web.send(4000), 'answer-icmp');
  site.lab.sysctl('cache_bypass', 0);
  assert.equal(site.send(4000), 'answer-icmp');
  assert.deepEqual(site.lab.flows(), []);
});

test('a packet for an address of the machine does not bypass: IPv4 gets an error, IPv6 is dropped when it would leave', () => {
  const site = cacheSite({ lab: new TestDirector({ host: machine('10.0.0.1') }) });
  assert.equal(site.send(4000), 'answer-icmp');
  assert.deepEqual(site.lab.flows(), []);
  const six = cacheSite({ service: 'fwm:7:6', lab: new TestDirector({ host: machine('2001:db8::1') }) });
  assert.deepEqual([six.send(4000), six.send(4000, { flags: 'A' })], ['drop-local-bypass', 'drop-local-bypass']);
  assert.deepEqual(six.lab.flows(), ['tcp [2001:db8:7::1]:4000 [2001:db8::1]:80 [::]:0 ESTABLISHED 900']);
  assert.equal(six.send(4000, { flags: 'A', ttl: 1 }), 'drop-local-bypass', 'whatever its hops');
});

test('hops that are used up are answered, and a full table drops', () => {
  const site = cacheSite({ lab: new TestDirector({ maxConnections: 1 }) });
  const { verdict, packet } = site.lab.packet(site.request(4000, { ttl: 1 }));
  assert.deepEqual([verdict, packet?.[20]], ['answer-icmp', 11]);
  assert.equal(site.send(4001), 'drop-table-full');
});
