// SPDX-License-Identifier: Apache-2.0
// A packet's way through the director: what a real kernel's IPVS leaves on the wire, lives of connections, counters. What it
// picks and which states it goes through: test/golden.

import assert from 'node:assert/strict';
import test from 'node:test';
import { checksumFault, fromHex, hex, tcp, udp } from '../../test/support/frames.ts';
import { TestDirector } from '../../test/support/test-director.ts';
import type { ServiceKey } from './model.ts';

const CLIENT = '10.7.0.1';
const VIP = '10.0.0.1';

function withServers(weights: readonly number[]): [TestDirector, ServiceKey] {
  const lab = new TestDirector();
  const service = lab.addService(`tcp:${VIP}:80`, 'rr');
  for (const [i, weight] of weights.entries()) lab.addServer(service, `192.168.1.${i + 1}:80`, weight);
  return [lab, service];
}

test('IPv4 NAT leaves the bytes that the kernel leaves, both ways', () => {
  const lab = new TestDirector();
  const service = lab.addService(`tcp:${VIP}:2101`);
  lab.addServer(service, '192.168.1.1:880');
  const request = lab.packet(
    fromHex('4500002800014000400626c70a0700010a0000010fa00835000003e8000000005002ffff801d0000'),
  );
  assert.equal(
    hex(request.packet!),
    '45000028000140003f06701e0a070001c0a801010fa00370000003e8000000005002ffffcd390000',
  );
  const reply = lab.packet(fromHex('450000280001400040066f1ec0a801010a07000103700fa0000003e8000000005012ffffcd290000'));
  assert.equal(hex(reply.packet!), '45000028000140003f0627c70a0000010a07000108350fa0000003e8000000005012ffff800d0000');
});

test('IPv6 NAT leaves the bytes that the kernel leaves, both ways', () => {
  const lab = new TestDirector();
  const service = lab.addService('tcp:[2001:db8::1]:3001');
  lab.addServer(service, '[2001:db8:1::10]:8080');
  const request = lab.packet(
    fromHex(
      '6b9123450014064020010db800000000000000000000000c20010db80000000000000000000000010fa00bb9000003e8000000005002ffff35230000',
    ),
  );
  assert.equal(
    hex(request.packet!),
    '6b9123450014063f20010db800000000000000000000000c20010db80001000000000000000000100fa01f90000003e8000000005002ffff213c0000',
  );
  const reply = lab.packet(
    fromHex(
      '600000000014064020010db800010000000000000000001020010db800000000000000000000000c1f900fa0000003e8000000005012ffff212c0000',
    ),
  );
  assert.equal(
    hex(reply.packet!),
    '600000000014063f20010db800000000000000000000000120010db800000000000000000000000c0bb90fa0000003e8000000005012ffff35130000',
  );
});

test('a UDP datagram without a checksum leaves with one, as in the kernel', () => {
  const lab = new TestDirector();
  const service = lab.addService(`udp:${VIP}:3100`);
  lab.addServer(service, '192.168.1.1:3200');
  const { packet } = lab.packet(fromHex('4500002000014000401126c40a0700010a00000117700c1c000c00007a65726f'));
  assert.equal(hex(packet!), '45000020000140003f11701b0a070001c0a8010117700c80000c23607a65726f');
});

test('without a server the client gets ICMP port unreachable from the VIP', () => {
  const lab = new TestDirector();
  lab.addService(`tcp:${VIP}:6167`);
  const { verdict, packet } = lab.packet(
    fromHex('4500002800014000400626c70a0700010a0000014e201817000003e8000000005002ffff35db0000'),
  );
  assert.equal(verdict, 'answer-icmp');
  // Captured: 45c00044 ID 0000 4001 CSUM 0a000001 0a070001 0303 CSUM 00000000, then the whole packet.
  const text = hex(packet!);
  assert.equal(text.slice(0, 8), '45c00044');
  assert.equal(text.slice(12, 20), '00004001');
  assert.equal(text.slice(24, 44), '0a0000010a0700010303');
  assert.equal(text.slice(48, 56), '00000000');
  assert.equal(text.slice(56), '4500002800014000400626c70a0700010a0000014e201817000003e8000000005002ffff35db0000');
  assert.equal(checksumFault(packet!), undefined);
});

test('without a server an IPv6 client gets ICMPv6 port unreachable as the kernel sends it', () => {
  const lab = new TestDirector();
  lab.addService('tcp:[2001:db8::1]:3999');
  const syn =
    '600000000014064020010db800000000000000000000000c20010db80000000000000000000000010fa00f9f000003e8000000005002ffff313d0000';
  const { packet } = lab.packet(fromHex(syn));
  // The kernel also fills in a flow label of its own (0ddae1 in the capture); ours is 0.
  assert.equal(
    hex(packet!),
    `6000000000443a4020010db800000000000000000000000120010db800000000000000000000000c01043cc400000000${syn}`,
  );
});

test('a request whose TTL runs out is answered with time exceeded from the VIP', () => {
  const [lab] = withServers([1]);
  const { verdict, packet } = lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'S', ttl: 1 }));
  assert.equal(verdict, 'answer-icmp');
  assert.equal(packet![20], 11);
  assert.equal(checksumFault(packet!), undefined);
});

test('what belongs to nobody goes back to the kernel', () => {
  const [lab] = withServers([1]);
  const verdict = (packet: Uint8Array): string => lab.packet(packet).verdict;
  assert.equal(verdict(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 81, flags: 'S' })), 'pass');
  assert.equal(verdict(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'A' })), 'pass');
  assert.equal(verdict(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'SR' })), 'pass');
  assert.equal(verdict(tcp({ src: CLIENT, dst: VIP, sport: 20, dport: 80, flags: 'S' })), 'pass');
  assert.equal(verdict(udp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80 })), 'pass');
  assert.equal(verdict(tcp({ src: '192.168.1.1', dst: CLIENT, sport: 80, dport: 4001, flags: 'A' })), 'pass');
  assert.equal(lab.connections().length, 0);
});

test('a connection is gone from the table when its time is over, and prolonged by each packet', () => {
  const [lab] = withServers([1]);
  const send = (flags: string): void => {
    lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags }));
  };
  send('S');
  lab.advance(59);
  send('A');
  lab.advance(899);
  assert.equal(lab.connections()[0].state, 'ESTABLISHED');
  assert.equal(lab.connections()[0].expiresSeconds, 1);
  send('A');
  lab.advance(2);
  assert.equal(lab.connections().length, 1);
  lab.advance(899);
  assert.deepEqual(lab.connections(), []);
  const [server] = lab.director.services.snapshot()[0].servers;
  assert.equal(server.activeConnections + server.inactiveConnections, 0);
});

test('packets to a server that was taken out are dropped, and pass again when it is back', () => {
  const [lab, service] = withServers([1]);
  const ack = tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'A' });
  lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'S' }));
  lab.deleteServer(service, '192.168.1.1:80');
  assert.equal(lab.packet(ack).verdict, 'drop-server-gone');
  assert.equal(lab.connections().length, 1);
  lab.addServer(service, '192.168.1.1:80');
  assert.equal(lab.packet(ack).verdict, 'forward');
  const [server] = lab.director.services.snapshot()[0].servers;
  assert.deepEqual([server.counters.connections, server.counters.inPackets], [1, 2]);
});

test('a SYN on a closed connection starts a new one on the next server', () => {
  const [lab] = withServers([1, 1]);
  const send = (flags: string): number =>
    lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags })).packet![19];
  assert.equal(send('S'), 2);
  send('A');
  send('R');
  assert.equal(send('S'), 1);
  assert.equal(lab.connections().length, 1);
});

test('counters and the rates of the kernel come out of the packets of two seconds', () => {
  const [lab] = withServers([1]);
  const ack = tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'A', payload: new Uint8Array(1000) });
  lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 80, flags: 'S' }));
  for (let i = 0; i < 50; i++) lab.packet(ack);
  lab.advance(2);
  const [{ counters, rates, servers }] = lab.director.services.snapshot();
  assert.deepEqual(counters, { connections: 1, inPackets: 51, outPackets: 0, inBytes: 40 + 50 * 1040, outBytes: 0 });
  assert.deepEqual(counters, servers[0].counters);
  // rate = delta / 2 per second; the average moves by a quarter of it in the first step.
  assert.deepEqual(rates, { connections: 0, inPackets: 6, outPackets: 0, inBytes: 6505, outBytes: 0 });
  lab.director.services.zero();
  assert.equal(lab.director.services.snapshot()[0].counters.inPackets, 0);
});
