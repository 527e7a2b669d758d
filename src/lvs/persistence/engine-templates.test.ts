// SPDX-License-Identifier: Apache-2.0
// Persistence by what a packet says: messages of one SIP call stay on one server, whatever port they come from. Calls that
// servers begin: server-requests.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site, type SiteOptions } from '../../../test/support/site.ts';

const PERSISTENCE = { timeoutSeconds: 300, prefixLength: 32, engine: 'sip' };

const call = (id: string): string => `INVITE sip:bob@example.com SIP/2.0\r\nCall-ID: ${id}\r\n\r\n`;

function sipSite(more: SiteOptions = {}): Site {
  return new Site({ service: 'udp:10.0.0.1:5060', persistence: PERSISTENCE, ...more });
}

/** Engine and Call-ID of each template, with the last octet of its server. */
function calls({ lab }: Site): string[] {
  return lab
    .connections()
    .filter(({ persistenceEngine }) => persistenceEngine !== undefined)
    .map(
      ({ persistenceEngine: pe, destination }) => `${pe?.name} ${pe?.data} ${destination.address.split('.').at(-1)}`,
    );
}

test('messages of one call go to one server from every port of the client, those of another are scheduled', () => {
  const site = sipSite();
  const servers = ['a', 'b', 'a', 'b', 'a'].map((id, i) => site.send(4000 + i, { payload: call(id) }));
  assert.deepEqual(servers, ['2', '1', '2', '1', '2']);
  assert.deepEqual(calls(site), ['sip a 2', 'sip b 1']);
  assert.deepEqual(site.lab.templates(), [
    'udp 10.7.0.1:0 10.0.0.1:5060 192.168.1.2:5060 NONE 300',
    'udp 10.7.0.1:0 10.0.0.1:5060 192.168.1.1:5060 NONE 300',
  ]);
  assert.deepEqual(site.counts(2), [0, 3, 1]);
});

test('Call-IDs that differ in case only are two', () => {
  const site = sipSite();
  assert.deepEqual([site.send(1, { payload: call('Abc') }), site.send(2, { payload: call('abc') })], ['2', '1']);
});

test('the same Call-ID of clients in two networks is two calls, in one network one', () => {
  const site = sipSite({ persistence: { ...PERSISTENCE, prefixLength: 24 } });
  const servers = [1, 2, 256, 257].map((from) => site.send(4000, { from, payload: call('a') }));
  assert.deepEqual(servers, ['2', '2', '1', '1']);
});

test('the same Call-ID at two services is two calls, also when a mark reads like the address of the other', () => {
  const site = sipSite({ service: 'udp:10.0.0.1:0', serverPort: 5060 });
  assert.equal(site.send(4000, { port: 5060, payload: call('a') }), '2');
  for (const service of ['udp:10.0.0.2:0', 'fwm:167772161']) {
    const other = sipSite({ lab: site.lab, service });
    const contents = { protocol: 'udp', port: 5060 } as const;
    assert.equal(other.send(4001, { ...contents, from: 9, payload: call('z') }), '2');
    assert.equal(other.send(4002, { ...contents, payload: call('a') }), '1');
  }
  assert.equal(calls(site).length, 5);
});

test('what has no Call-ID opens nothing; a connection that is there takes every packet', () => {
  const site = sipSite();
  assert.equal(site.send(4000, { payload: 'OPTIONS sip:bob SIP/2.0\r\n' }), 'drop-no-identity');
  assert.equal(site.send(4000), 'drop-no-identity');
  assert.deepEqual(site.lab.connections(), []);
  assert.equal(site.send(4000, { payload: call('a') }), '2');
  assert.equal(site.send(4000, { payload: 'more of it' }), '2');
  assert.equal(site.lab.dataplane.snapshotNow().verdicts['drop-no-identity'], 2);
});

test('only UDP has Call-IDs: TCP and SCTP of such a service open nothing', () => {
  const site = sipSite({ service: 'fwm:7' });
  for (const protocol of ['tcp', 'sctp'] as const) {
    assert.equal(site.send(4000, { protocol, payload: call('a') }), 'drop-no-identity');
  }
  assert.equal(site.send(4000, { protocol: 'udp', payload: call('a') }), '2');
  assert.deepEqual(site.lab.templates(), ['ip 10.7.0.1:0 0.0.0.7:0 192.168.1.2:0 NONE 300']);
});

test('an answer of the server proves the call, a new message renews it, and then it ends as any template', () => {
  const site = sipSite();
  site.establish(4000, { payload: call('a') });
  site.lab.advance(200);
  site.send(4001, { payload: call('a') });
  assert.equal(site.lab.templates()[0].split(' ').slice(4).join(' '), 'ASSURED 300');
  site.lab.advance(299);
  assert.equal(site.send(4002, { payload: call('a') }), '2');
  site.lab.advance(302);
  assert.deepEqual(calls(site), []);
  const plain = new Site({ lab: site.lab, service: 'udp:10.0.0.1:53' });
  plain.send(4000);
  assert.deepEqual([site.lab.flows().length, calls(site)], [1, []], 'who gets its record has no Call-ID');
  assert.equal(site.send(4003, { payload: call('a') }), '1');
});

test('a call whose server went while there was no other does not find it when it comes back', () => {
  const site = sipSite({ weights: [1] });
  site.send(4000, { payload: call('a') });
  site.delete(1);
  assert.equal(site.send(4001, { payload: call('a') }), 'answer-icmp');
  site.add(1);
  assert.equal(site.send(4002, { payload: call('a') }), '1');
  assert.deepEqual(calls(site), ['sip a 1', 'sip a 1']);
});

test('a call of a removed server is scheduled anew; its old template keeps its Call-ID and is not found again', () => {
  const site = sipSite();
  site.send(4000, { payload: call('a') });
  site.delete(2);
  assert.equal(site.send(4001, { payload: call('a') }), '1');
  site.add(2);
  assert.deepEqual([site.send(4002, { payload: call('a') }), site.send(4003, { payload: call('a') })], ['1', '1']);
  assert.deepEqual(calls(site), ['sip a 2', 'sip a 1']);
  assert.equal(site.lab.templates()[0].split(' ')[2], '10.0.0.1:65535');
  site.lab.advance(299);
  site.send(4004, { payload: call('a') });
  site.lab.advance(2);
  assert.deepEqual(calls(site), ['sip a 1'], 'the end of the old one leaves the new one alone');
  assert.equal(site.send(4005, { payload: call('a') }), '1');
});

test('without the engine, edited in mid-stream, templates go by addresses and those of calls are not found', () => {
  const site = sipSite();
  assert.equal(site.send(4000, { payload: call('a') }), '2');
  const persistence = { timeoutSeconds: 300, prefixLength: 32 };
  site.lab.editService(site.service, 'rr', { persistence });
  assert.deepEqual([site.send(4001), site.send(4002, { payload: call('a') })], ['1', '1']);
  site.lab.editService(site.service, 'rr', { persistence: { ...persistence, engine: 'sip' } });
  assert.equal(site.send(4003, { payload: call('a') }), '2');
});

test('calls work over IPv6', () => {
  const site = sipSite({
    service: 'udp:[2001:db8::1]:5060',
    persistence: { ...PERSISTENCE, prefixLength: 64 },
  });
  const servers = ['a', 'b', 'a'].map((id, i) => site.send(4000 + i, { from: 1 + i, payload: call(id) }));
  assert.deepEqual(servers, ['2', '1', '2']);
});
