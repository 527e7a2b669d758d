// SPDX-License-Identifier: Apache-2.0
// Connections that servers of a SIP service open, and what keeps one from being opened (ip_vs_new_conn_out).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumFault } from '../../../test/support/frames.ts';
import { machine } from '../../../test/support/machine.ts';
import { Site, type SiteOptions } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';

const PERSISTENCE = { timeoutSeconds: 300, prefixLength: 32, engine: 'sip' };

const call = (id: string): string => `INVITE sip:alice@example.com SIP/2.0\r\nCall-ID: ${id}\r\n\r\n`;

function sipSite(more: SiteOptions = {}): Site {
  return new Site({ service: 'udp:10.0.0.1:5060', persistence: PERSISTENCE, ...more });
}

/** A request of server 2 to port 4000 of client 1. */
const ring = (site: Site, id = 'a'): string => site.answer(2, 4000, { payload: call(id) });

test('a server’s request leaves from the virtual address, and the client’s answers come to that server', () => {
  const site = sipSite({ serverPort: 5070 });
  const { packet } = site.lab.packet(site.response(1, 4000, { payload: call('a') }));
  assert.deepEqual(
    [...packet!.subarray(12, 24)],
    [10, 0, 0, 1, 10, 7, 0, 1, 5060 >> 8, 5060 & 255, 4000 >> 8, 4000 & 255],
  );
  assert.equal(checksumFault(packet!), undefined);
  assert.deepEqual(site.lab.flows(), ['udp 10.7.0.1:4000 10.0.0.1:5060 192.168.1.1:5070 UDP 300']);
  assert.deepEqual(site.lab.templates(), ['udp 10.7.0.1:0 10.0.0.1:5060 192.168.1.1:5070 ASSURED 300']);
  assert.equal(site.send(4000, { payload: 'no Call-ID' }), '1');
  const { connections, inPackets, outPackets } = site.server(1).counters;
  assert.deepEqual([connections, inPackets, outPackets], [1, 1, 1]);
});

test('messages of the client in that call, from whatever port, come to the server that began it', () => {
  const site = sipSite();
  assert.equal(site.answer(1, 4000, { payload: call('a') }), 'forward');
  assert.deepEqual([site.send(4001, { payload: call('a') }), site.send(4002, { payload: call('b') })], ['1', '2']);
});

test('a call that the server takes part in already keeps its template', () => {
  const site = sipSite();
  assert.equal(site.send(4001, { payload: call('a') }), '2');
  site.lab.advance(100);
  assert.equal(ring(site), 'forward');
  assert.deepEqual(site.lab.templates(), ['udp 10.7.0.1:0 10.0.0.1:5060 192.168.1.2:5060 ASSURED 300']);
});

test('a call of another server becomes this one’s, and the old template is not good any more', () => {
  const site = sipSite();
  assert.equal(site.send(4001, { payload: call('a') }), '2');
  assert.equal(site.answer(1, 4000, { payload: call('a') }), 'forward');
  assert.deepEqual(
    site.lab.templates().map((line) => line.split(' ').slice(2, 4).join(' ')),
    ['10.0.0.1:65535 192.168.1.2:65535', '10.0.0.1:5060 192.168.1.1:5060'],
  );
  assert.equal(site.send(4002, { payload: call('a') }), '1');
});

test('of one-packet services nothing is remembered of the connection, only the call', () => {
  const site = sipSite({ onePacket: true });
  assert.equal(ring(site), 'forward');
  assert.equal(site.lab.director.departure.egressWord, 0, 'there is no record to keep a way in');
  assert.deepEqual([site.lab.flows(), site.lab.templates().length], [[], 1]);
  assert.deepEqual(site.counts(2), [0, 0, 1]);
  assert.equal(site.send(4001, { payload: call('a') }), '2');
});

test('the call is that of the client’s network, as the service has it', () => {
  const site = sipSite({ persistence: { ...PERSISTENCE, prefixLength: 24 } });
  assert.equal(site.answer(1, 4000, { payload: call('a') }), 'forward');
  assert.deepEqual(
    [site.send(4000, { from: 2, payload: call('a') }), site.send(4000, { from: 256, payload: call('a') })],
    ['1', '2'],
  );
});

test('it works over IPv6', () => {
  const site = sipSite({ service: 'udp:[2001:db8::1]:5060', persistence: { ...PERSISTENCE, prefixLength: 128 } });
  assert.equal(ring(site), 'forward');
  assert.equal(site.send(4000), '2');
  assert.deepEqual(site.lab.templates(), ['udp [2001:db8:7::1]:0 [2001:db8::1]:5060 [2001:db8:1::2]:5060 ASSURED 300']);
});

const NOTHING: readonly [name: string, site: () => Site, send: (site: Site) => string][] = [
  ['without a Call-ID', sipSite, (site) => site.answer(2, 4000, { payload: 'OPTIONS sip:bob SIP/2.0\r\n' })],
  ['from another port of the server', sipSite, (site) => site.answer(2, 4000, { port: 5061, payload: call('a') })],
  ['from a host that is no server', sipSite, (site) => site.answer(3, 4000, { payload: call('a') })],
  [
    'of a service without the engine, beside one with it',
    () => sipSite({ persistence: 300, lab: sipSite({ service: 'udp:10.0.0.2:5060', weights: [] }).lab }),
    ring,
  ],
  ['with direct routing', () => sipSite({ method: 'dr' }), ring],
  ['of a service of all ports', () => sipSite({ service: 'udp:10.0.0.1:0', serverPort: 5060 }), ring],
  ['of a server without a port of its own', () => sipSite({ serverPort: 0 }), ring],
  [
    'of a firewall mark’s service',
    () => sipSite({ service: 'fwm:7', serverPort: 5060 }),
    (site) => site.answer(2, 4000, { protocol: 'udp', payload: call('a') }),
  ],
  ['whose hops are used up', sipSite, (site) => site.answer(2, 4000, { ttl: 1, payload: call('a') })],
  [
    'to the director itself',
    () => sipSite({ lab: new TestDirector({ host: machine('192.168.1.254') }) }),
    (site) => site.answer(2, 4000, { to: '192.168.1.254', payload: call('a') }),
  ],
];
for (const [name, make, send] of NOTHING) {
  test(`a server’s request ${name} opens nothing and is the kernel’s`, () => {
    const site = make();
    assert.equal(send(site), 'pass');
    assert.deepEqual(site.lab.connections(), []);
  });
}

test('a server that is taken out opens nothing more, one that is put back or gets NAT does', () => {
  const site = sipSite();
  site.delete(2);
  assert.equal(ring(site), 'pass');
  site.add(2);
  assert.equal(ring(site), 'forward');
  const routed = sipSite({ method: 'dr' });
  routed.edit(2, 1, { method: 'nat' });
  assert.equal(ring(routed), 'forward');
  routed.edit(2, 1, { method: 'dr' });
  assert.equal(ring(routed, 'b'), 'forward', 'its connection is there');
  assert.equal(routed.answer(2, 4001, { payload: call('b') }), 'pass');
});

test('servers may from the edit that gives their service the engine on, to the one that takes it', () => {
  const site = sipSite({ persistence: 300 });
  assert.equal(ring(site), 'pass');
  site.lab.editService(site.service, 'rr', { persistence: PERSISTENCE });
  assert.equal(ring(site), 'forward');
  site.lab.editService(site.service, 'rr', { persistence: { timeoutSeconds: 300, prefixLength: 32 } });
  assert.equal(site.answer(2, 4001, { payload: call('b') }), 'pass');
});

test('a server of two services opens connections in the one that it came to last', () => {
  const site = sipSite();
  const later = sipSite({ lab: site.lab, service: 'udp:10.0.0.2:5060' });
  assert.equal(ring(site), 'forward');
  assert.match(site.lab.flows()[0], / 10\.0\.0\.2:5060 /);
  later.delete(2);
  assert.equal(site.answer(2, 4001, { payload: call('b') }), 'forward');
  assert.match(site.lab.flows()[1], / 10\.0\.0\.1:5060 /);
});

test('a table without room for both the call and the connection opens none, and the packet is the kernel’s', () => {
  for (const maxConnections of [1, 2, 3]) {
    const site = sipSite({ lab: new TestDirector({ maxConnections }) });
    site.send(4001, { from: 9, payload: call('z') });
    assert.equal(ring(site), 'pass');
    assert.deepEqual(site.lab.flows().length, Math.min(1, maxConnections - 1));
  }
});
