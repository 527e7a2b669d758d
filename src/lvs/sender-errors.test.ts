// SPDX-License-Identifier: Apache-2.0
// What the director says to real servers: nat_icmp_send tells those that send outside of any connection, and those whose
// answers have no hops left are told so. From the machine's own address, not from a virtual one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNKS, checksumFault } from '../../test/support/frames.ts';
import { machine } from '../../test/support/machine.ts';
import { Site, type SiteOptions } from '../../test/support/site.ts';
import { TestDirector } from '../../test/support/test-director.ts';

const OWN = ['192.168.1.254', '2001:db8:1::fe'];

function site(more: SiteOptions = {}): Site {
  const lab = more.lab ?? new TestDirector({ host: machine(...OWN) });
  const made = new Site({ ...more, lab });
  made.lab.sysctl('nat_icmp_send', 1);
  return made;
}

test('a server that sends outside of any connection gets a port unreachable from the machine’s address', () => {
  const web = site();
  const packet = web.response(2, 4000, { flags: 'A' });
  const { verdict, packet: error } = web.lab.packet(packet);
  assert.equal(verdict, 'answer-icmp');
  assert.equal(checksumFault(error!), undefined);
  assert.deepEqual([...error!.subarray(12, 22)], [192, 168, 1, 254, 192, 168, 1, 2, 3, 3]);
  // It tells of the packet as it was when the kernel looked at it: one hop older.
  const about = error!.subarray(28);
  assert.equal(about[8], 63);
  assert.deepEqual(about.subarray(12), packet.subarray(12));
  assert.equal(checksumFault(about), undefined);
});

test('an IPv6 server gets an ICMPv6 error', () => {
  const web = site({ service: 'tcp:[2001:db8::1]:80' });
  const { verdict, packet: error } = web.lab.packet(web.response(2, 4000, { flags: 'A' }));
  assert.equal(verdict, 'answer-icmp');
  assert.equal(checksumFault(error!), undefined);
  assert.deepEqual([...error!.subarray(8, 24)], [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe]);
  assert.deepEqual([error![40], error![41], error![48 + 7]], [1, 4, 63]);
});

test('what it sends to the machine itself has its hops as they were', () => {
  const web = site();
  const { packet } = web.lab.packet(web.response(2, 4000, { to: '192.168.1.254', flags: 'A', ttl: 1 }));
  assert.equal(packet?.[28 + 8], 1);
});

test('TCP, UDP and SCTP servers are told, but not of what ends a connection at once', () => {
  const web = site();
  for (const flags of ['S', 'A', 'SA', 'FA', '']) assert.equal(web.answer(1, 4000, { flags }), 'answer-icmp', flags);
  for (const flags of ['R', 'RA']) assert.equal(web.answer(1, 4000, { flags }), 'pass', flags);
  assert.equal(site({ service: 'udp:10.0.0.1:53' }).answer(1, 4000), 'answer-icmp');
  const sctp = site({ service: 'sctp:10.0.0.1:80' });
  for (const chunks of [[CHUNKS.INIT], [CHUNKS.DATA], [CHUNKS.ERROR, CHUNKS.ABORT], []]) {
    assert.equal(sctp.answer(1, 4000, { chunks }), 'answer-icmp', `${chunks}`);
  }
  assert.equal(sctp.answer(1, 4000, { chunks: [CHUNKS.ABORT] }), 'pass');
});

test('a server of a mark’s service is told whatever protocol it speaks, from its own port', () => {
  const marked = site({ service: 'fwm:7', serverPort: 80 });
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
    assert.equal(marked.answer(1, 4000, { protocol, flags: 'A' }), 'answer-icmp');
    assert.equal(marked.answer(1, 4000, { protocol, flags: 'A', port: 81 }), 'pass');
  }
});

test('who is no such server is not told', () => {
  const web = site();
  assert.equal(web.answer(3, 4000), 'pass', 'another host');
  assert.equal(web.answer(2, 4000, { port: 81 }), 'pass', 'another port');
  assert.equal(web.answer(2, 4000, { protocol: 'udp' }), 'pass', 'another protocol');
  web.delete(2);
  assert.equal(web.answer(2, 4000), 'pass', 'not a server any more');
  web.add(2);
  assert.equal(web.answer(2, 4000), 'answer-icmp', 'a server again');
  assert.equal(site({ method: 'dr' }).answer(2, 4000), 'pass', 'direct routing');
  assert.equal(site({ serverPort: 0 }).answer(2, 4000, { port: 80 }), 'pass', 'no port of its own');
});

test('an answer that belongs to a connection is forwarded', () => {
  const web = site();
  web.send(4000);
  assert.deepEqual(
    [web.answer(2, 4000, { flags: 'SA' }), web.answer(1, 4000, { flags: 'SA' })],
    ['forward', 'answer-icmp'],
  );
});

test('a packet without hops is the kernel’s, which tells the server so itself', () => {
  const web = site();
  assert.deepEqual([web.answer(2, 4000, { ttl: 1 }), web.answer(2, 4000, { ttl: 2 })], ['pass', 'answer-icmp']);
});

test('without the setting packets outside of connections are the kernel’s', () => {
  const web = site();
  web.lab.sysctl('nat_icmp_send', 0);
  assert.equal(web.answer(2, 4000), 'pass');
});

test('a server that the machine has no way to, or more than the limit of errors, is dropped and counted', () => {
  const lost = site({ lab: new TestDirector({ host: machine('2001:db8:1::fe') }) });
  assert.equal(lost.answer(2, 4000), 'drop-no-server');
  assert.equal(site({ lab: new TestDirector() }).answer(2, 4000), 'drop-no-server');
  const web = site();
  const verdicts = Array.from({ length: 60 }, () => web.answer(2, 4000));
  assert.deepEqual(verdicts, [...new Array(50).fill('answer-icmp'), ...new Array(10).fill('drop-no-server')]);
});

test('an answer whose hops are used up is told to its server, and is no packet of the connection', () => {
  const web = site();
  web.send(4000);
  const { verdict, packet } = web.lab.packet(web.response(2, 4000, { flags: 'SA', ttl: 1 }));
  assert.equal(verdict, 'answer-icmp');
  assert.deepEqual([...packet!.subarray(12, 22)], [192, 168, 1, 254, 192, 168, 1, 2, 11, 0]);
  assert.deepEqual([packet?.[28 + 8], web.server(2).counters.outPackets], [1, 0]);
});
