// SPDX-License-Identifier: Apache-2.0
// Which service a first packet is for and whether it may open a connection: services of all ports, FTP's data, source port
// 0, SCTP without a chunk, families without a service. Persistence: persistence/. No server: bypass.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNKS, tcp, udp } from '../../test/support/frames.ts';
import { machine } from '../../test/support/machine.ts';
import { Site } from '../../test/support/site.ts';
import { TestDirector } from '../../test/support/test-director.ts';

test('a service of all ports serves none without persistence: its clients get an error, as in the kernel', () => {
  const site = new Site({ service: 'tcp:10.0.0.1:0' });
  for (const port of [1, 21, 80, 65535]) assert.equal(site.send(4000, { port }), 'answer-icmp');
  assert.equal(site.send(4000, { port: 0 }), '2', 'port 0 itself is its own');
});

test('a service of a port comes before the one of all ports, which has the others', () => {
  const site = new Site({ persistence: 300 });
  const rest = new Site({ lab: site.lab, service: 'tcp:10.0.0.1:0', persistence: 300, weights: [], serverPort: 0 });
  rest.add(9);
  assert.deepEqual(
    [rest.send(1, { port: 80 }), rest.send(2, { port: 81 }), rest.send(3, { port: 443 })],
    ['2', '9', '9'],
  );
  assert.equal(rest.send(4, { port: 80, protocol: 'udp' }), 'pass', 'of its own protocol only');
  site.lab.deleteService(site.service);
  assert.equal(rest.send(5, { port: 80 }), '9');
  site.lab.deleteService(rest.service);
  assert.equal(rest.send(6, { port: 81 }), 'pass');
});

test('an FTP service has port 20 and unprivileged ports with persistence, and never the rest', () => {
  const site = new Site({ service: 'tcp:10.0.0.1:21', persistence: 300 });
  const ports = [21, 20, 1024, 65535, 22, 80, 1023];
  assert.deepEqual(
    ports.map((port) => site.send(5000 + port, { port })),
    ['2', '2', '2', '2', 'pass', 'pass', 'pass'],
  );
  assert.equal(site.send(4000, { port: 2000, protocol: 'udp' }), 'pass');
  assert.equal(site.send(4000, { port: 2000, to: '10.0.0.2' }), 'pass');
});

test('without persistence, or without a server, FTP’s data ports are the kernel’s and its own port gets an error', () => {
  const plain = new Site({ service: 'tcp:10.0.0.1:21' });
  assert.deepEqual([plain.send(1, { port: 2000 }), plain.send(2, { port: 20 }), plain.send(3)], ['pass', 'pass', '2']);
  const empty = new Site({ service: 'tcp:10.0.0.1:21', persistence: 300, weights: [0] });
  assert.deepEqual([empty.send(1, { port: 2000 }), empty.send(2)], ['pass', 'answer-icmp']);
});

test('a UDP service of port 21 has no data ports, but lends them to no TCP service either', () => {
  const site = new Site({ service: 'udp:10.0.0.1:21', persistence: 300 });
  assert.deepEqual([site.send(1), site.send(2, { port: 2000 })], ['2', 'pass']);
  assert.equal(
    site.lab.packet(tcp({ src: '10.7.0.1', dst: '10.0.0.1', sport: 9, dport: 2000, flags: 'S' })).verdict,
    'pass',
  );
});

test('what comes from port 20 opens nothing, whatever the service; on a connection that is there it passes', () => {
  for (const service of ['tcp:10.0.0.1:80', 'udp:10.0.0.1:80', 'sctp:10.0.0.1:80', 'fwm:7']) {
    for (const persistence of [undefined, 300]) {
      const site = new Site({ service, ...(persistence && { persistence }) });
      assert.equal(site.send(20), 'pass', service);
      assert.equal(site.send(21), '2');
    }
  }
});

test('a client’s packets from port 0 belong to no connection: each SYN and datagram opens one', () => {
  const web = new Site();
  assert.deepEqual([web.send(0), web.send(0), web.send(0, { flags: 'A' })], ['2', '1', 'pass']);
  assert.equal(web.lab.flows().length, 2);
  const dns = new Site({ service: 'udp:10.0.0.1:53' });
  assert.deepEqual([dns.send(0), dns.send(0), dns.send(0)], ['2', '1', '2']);
  assert.deepEqual(dns.counts(2), [0, 2, 0]);
});

test('answers to port 0 are a connection’s, the newest of the client to that server', () => {
  const site = new Site({ service: 'udp:10.0.0.1:53' });
  site.send(0);
  site.send(0);
  assert.equal(site.answer(2, 0), 'forward');
  assert.equal(site.answer(1, 0), 'forward');
  const other = new Site({ lab: site.lab, service: 'udp:10.0.0.2:53', weights: [1] });
  assert.equal(other.send(0), '1');
  const { packet } = site.lab.packet(site.response(1, 0));
  assert.deepEqual([...packet!.subarray(12, 16)], [10, 0, 0, 2]);
  assert.deepEqual(site.lab.packet(site.response(2, 0)).packet?.[15], 1);
});

test('a persistent client with port 0 has one template and as many connections as packets', () => {
  const site = new Site({ persistence: 300 });
  assert.deepEqual([site.send(0), site.send(0), site.send(1)], ['2', '2', '2']);
  assert.deepEqual(site.counts(2), [3, 0, 1]);
});

test('SCTP without a chunk is dropped when it is for the machine itself, and else the kernel’s', () => {
  const site = new Site({ service: 'sctp:10.0.0.1:80', lab: new TestDirector({ host: machine('10.0.0.1') }) });
  const mute = { chunks: [] };
  assert.equal(site.send(4000, mute), 'malformed-truncated-transport');
  assert.equal(site.send(4000, { ...mute, port: 81 }), 'malformed-truncated-transport', 'also without a service');
  assert.equal(site.send(4000, { ...mute, to: '10.9.9.9' }), 'pass');
  site.lab.sysctl('sloppy_sctp', 1);
  assert.equal(site.send(4000, mute), 'malformed-truncated-transport');
  assert.equal(site.send(4000, { chunks: [CHUNKS.ABORT] }), 'pass');
  assert.equal(site.send(4000, { chunks: [CHUNKS.DATA] }), '2');
});

test('SCTP without a chunk passes on its association and changes neither state nor time', () => {
  const site = new Site({ service: 'sctp:10.0.0.1:80' });
  site.send(4000);
  site.answer(2, 4000, { chunks: [CHUNKS['INIT ACK']] });
  site.lab.advance(20);
  assert.deepEqual([site.send(4000, { chunks: [] }), site.answer(2, 4000, { chunks: [] })], ['2', 'forward']);
  assert.match(site.lab.flows()[0], /C-SENT 61$/);
});

test('without a service of its family nothing is looked at, not even connections that are there', () => {
  const site = new Site({ service: 'udp:[2001:db8::1]:53', lab: new TestDirector({ host: machine('2001:db8::1') }) });
  const web = new Site({ lab: site.lab });
  site.send(4000);
  site.lab.deleteService(site.service);
  assert.equal(site.send(4000), 'pass');
  assert.equal(site.answer(2, 4000), 'pass');
  assert.equal(site.send(4000, { protocol: 'sctp', chunks: [] }), 'pass');
  assert.equal(web.send(4000), '2');
  site.lab.addService('tcp:[2001:db8::9]:80');
  assert.equal(site.send(4000), 'drop-server-gone');
  assert.equal(site.answer(2, 4000), 'forward');
  assert.equal(site.send(4000, { protocol: 'sctp', chunks: [] }), 'malformed-truncated-transport');
});

test('what comes in from outside with an IPv4 address of the machine itself opens nothing', () => {
  const lab = new TestDirector({ host: machine('10.0.0.1', '10.200.0.1', '2001:db8:f::1') });
  lab.addServer(lab.addService('udp:10.0.0.1:53'), '192.168.1.1:53');
  lab.addServer(lab.addService('udp:[2001:db8::1]:53'), '[2001:db8:1::1]:53');
  const verdict = (src: string, dst: string): string => lab.packet(udp({ src, dst, sport: 1, dport: 53 })).verdict;
  assert.equal(verdict('10.200.0.1', '10.0.0.1'), 'pass');
  assert.equal(verdict('10.200.0.2', '10.0.0.1'), 'forward');
  assert.equal(verdict('2001:db8:f::1', '2001:db8::1'), 'forward', 'IPv6 knows no martians');
});
