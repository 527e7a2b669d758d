// SPDX-License-Identifier: Apache-2.0
// Ways to servers: too long packets, hops, routes that are not there, servers that are the machine itself; for every method.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumFault, hex } from '../../../test/support/frames.ts';
import { machine, TestMachine } from '../../../test/support/machine.ts';
import { Site, type SiteOptions } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import type { ForwardingMethod } from '../model.ts';

const METHODS: readonly ForwardingMethod[] = ['nat', 'dr', 'tun'];
const SERVICES = ['tcp:10.0.0.1:80', 'tcp:[2001:db8::1]:80'];

function place(options: SiteOptions, mtu = 1500): { site: Site; host: TestMachine } {
  const host = new TestMachine(['192.168.1.254', '2001:db8:1::254', '10.0.0.1', '2001:db8::1']);
  host.mtu = mtu;
  return { site: new Site({ lab: new TestDirector({ host }), weights: [1], ...options }), host };
}

/** A packet that carries `length` bytes, headers included. */
function long(site: Site, length: number, more: { df?: boolean; ttl?: number } = {}): Uint8Array {
  const bare = site.request(4000, { flags: 'A', ...(more.ttl !== undefined && { ttl: more.ttl }) });
  const packet = site.request(4000, { flags: 'A', payload: 'x'.repeat(length - bare.length), ...more });
  if (site.isIpv6) return packet;
  packet[6] = more.df === false ? 0 : 0x40;
  packet.set([0, 0], 10);
  const sum = ipSum(packet);
  packet.set([sum >>> 8, sum & 255], 10);
  return packet;
}

function ipSum(packet: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (packet[i] << 8) | packet[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Type, code and MTU of an ICMP error, and the packet it is about. */
function readError(packet: Uint8Array): { type: number; code: number; mtu: number; about: Uint8Array } {
  const at = packet[0] >>> 4 === 4 ? 20 : 40;
  const view = new DataView(packet.buffer, packet.byteOffset);
  return { type: packet[at], code: packet[at + 1], mtu: view.getUint32(at + 4), about: packet.slice(at + 8) };
}

for (const service of SERVICES) {
  const header = service.includes('[') ? 40 : 20;
  const [tooBig, code] = header === 40 ? [2, 0] : [3, 4];
  for (const method of METHODS) {
    const room = method === 'tun' ? 1400 - header : 1400;

    test(`${method} of ${service}: what is as long as the way is sent, a byte more is answered with its MTU`, () => {
      const { site } = place({ service, method }, 1400);
      site.send(4000);
      assert.equal(site.lab.packet(long(site, room)).verdict, 'forward');
      assert.equal(site.lab.director.departure.fragmentMtu, 0);
      const packet = long(site, room + 1);
      const { verdict, packet: answer } = site.lab.packet(packet);
      assert.equal(verdict, 'answer-icmp');
      const error = readError(answer!);
      assert.deepEqual([error.type, error.code, error.mtu], [tooBig, code, room]);
      assert.equal(site.lab.director.departure.nextHop, undefined, 'it goes to the client');
      assert.equal(checksumFault(answer!), undefined);
      // The kernel has counted the hop when it finds out.
      assert.equal(error.about[header === 40 ? 7 : 8], 63);
    });

    test(`${method} of ${service}: errors about the MTU are not limited, those about hops are`, () => {
      const { site } = place({ service, method }, 1400);
      site.send(4000);
      const tooLong = Array.from({ length: 200 }, () => site.lab.packet(long(site, 1401)).verdict);
      assert.deepEqual(new Set(tooLong), new Set(['answer-icmp']));
      const tooOld = Array.from({ length: 60 }, () => site.send(4000, { flags: 'A', ttl: 1 }));
      assert.deepEqual(new Set(tooOld.slice(50)), new Set(['drop-ttl-exceeded']));
    });

    test(`${method} of ${service}: no route to the server is told to the client, and packets go when there is one`, () => {
      const { site, host } = place({ service, method });
      host.cut(site.serverAddress(1));
      site.lab.advance(0.1);
      const { verdict, packet } = site.lab.packet(site.request(4000));
      assert.equal(verdict, 'answer-icmp');
      assert.deepEqual([readError(packet!).type, readError(packet!).code], header === 40 ? [1, 3] : [3, 1]);
      assert.equal(readError(packet!).about[header === 40 ? 7 : 8], 64, 'no hop was passed');
      assert.equal(site.lab.flows().length, 1, 'the connection is there all the same');
      for (let i = 0; i < 60; i++) site.send(4000);
      assert.equal(site.send(4000), 'drop-no-route');
    });

    test(`${method} of ${service}: for a server on the machine itself the packet is the kernel's, no hop older`, () => {
      const { site, host } = place({ service, method, serverPort: method === 'nat' ? 8080 : 80, weights: [] });
      const own = header === 40 ? '2001:db8:1::1' : '192.168.1.1';
      const here = new TestMachine([own, '10.0.0.1', '2001:db8::1']);
      host.pathTo = (family, words) => here.pathTo(family, words);
      site.add(1);
      const packet = site.request(4000, { ttl: 1 });
      const { verdict, packet: delivered } = site.lab.packet(packet);
      assert.equal(verdict, 'local');
      const port = method === 'nat' ? 8080 : 80;
      assert.equal((delivered![header + 2] << 8) | delivered![header + 3], port);
      assert.equal(delivered![header === 40 ? 7 : 8], 1);
      assert.equal(checksumFault(delivered!), undefined);
      if (method !== 'nat') assert.deepEqual(delivered, packet);
    });
  }
}

for (const method of ['nat', 'dr'] as const) {
  test(`${method}: a packet without DF is sent to be cut`, () => {
    const { site } = place({ method }, 1000);
    site.send(4000);
    const packet = long(site, 1240, { df: false });
    assert.equal(site.lab.packet(packet).verdict, 'forward');
    assert.equal(site.lab.director.departure.fragmentMtu, 1000);
  });
}

test('tunnel: without DF the outer packet is cut, and with pmtu_disc 0 always', () => {
  const { site } = place({ method: 'tun' }, 1000);
  site.send(4000);
  assert.equal(site.lab.packet(long(site, 1240, { df: false })).verdict, 'forward');
  assert.equal(site.lab.director.departure.fragmentMtu, 1000);
  assert.equal(site.lab.packet(long(site, 1240)).verdict, 'answer-icmp');
  site.lab.sysctl('pmtu_disc', 0);
  const { verdict, packet } = site.lab.packet(long(site, 1010));
  assert.equal(verdict, 'forward');
  assert.equal(site.lab.director.departure.fragmentMtu, 1000);
  assert.equal(packet![6] & 0x40, 0, 'the outer packet may be cut');
  assert.equal(packet![26] & 0x40, 0x40, 'the inner one still not');
  assert.notEqual((packet![4] << 8) | packet![5], 0, 'fragments need an identification');
});

test('a tunnel in IPv6 over too short a way takes nothing', () => {
  const { site } = place({ service: 'tcp:[2001:db8::1]:80', method: 'tun' }, 1300);
  assert.equal(site.send(4000), 'drop-too-big');
});

test('congestion that was experienced inside is not told outside (RFC 3168 §9.1.1)', () => {
  const { site } = place({ method: 'tun' });
  const bits = [0, 1, 2, 3].map((ecn) => {
    const packet = site.request(4000);
    packet[1] = 0xb8 | ecn;
    packet.set([0, 0], 10);
    const sum = ipSum(packet);
    packet.set([sum >>> 8, sum & 255], 10);
    return site.lab.packet(packet).packet![1];
  });
  assert.deepEqual(bits, [0xb8, 0xb9, 0xba, 0xba]);
});

test('a flow keeps its source port of GUE, others have others', () => {
  const { site } = place({ method: 'tun', weights: [] });
  site.add(1, 1, { tunnel: { type: 'gue', port: 6080, checksum: 'none' } });
  const port = (sport: number): number => {
    const { packet } = site.lab.packet(site.request(sport));
    return (packet![20] << 8) | packet![21];
  };
  const ports = Array.from({ length: 200 }, (_, i) => port(4000 + i));
  assert.deepEqual(
    ports,
    Array.from({ length: 200 }, (_, i) => port(4000 + i)),
  );
  assert.ok(new Set(ports).size > 190, `${new Set(ports).size} of 200`);
  assert.ok(ports.every((each) => each >= 32768 && each < 61000));
});

test('an edit changes how packets of connections that are there are tunnelled', () => {
  const { site } = place({ method: 'tun' });
  assert.equal(site.lab.packet(site.request(4000)).packet![9], 4);
  site.edit(1, 1, { tunnel: { type: 'gre', checksum: 'none' } });
  assert.equal(site.lab.packet(site.request(4000)).packet![9], 47);
});

test('replies longer than the way to the client are answered from the machine’s own address', () => {
  const { site } = place({ weights: [1] }, 1400);
  site.establish(4000);
  const reply = site.response(1, 4000, { flags: 'A', payload: 'x'.repeat(1361) });
  reply[6] = 0x40;
  reply.set([0, 0], 10);
  const sum = ipSum(reply);
  reply.set([sum >>> 8, sum & 255], 10);
  const { verdict, packet } = site.lab.packet(reply);
  assert.equal(verdict, 'answer-icmp');
  assert.deepEqual([readError(packet!).type, readError(packet!).code, readError(packet!).mtu], [3, 4, 1400]);
  assert.equal(hex(packet!.subarray(12, 20)), 'c0a801fec0a80101', 'from the director to the server');
});

test('a machine without an address towards the server cannot tunnel', () => {
  const lab = new TestDirector({ host: machine() });
  const site = new Site({ lab, method: 'tun', weights: [1] });
  assert.equal(site.send(4000), 'drop-no-route');
});
