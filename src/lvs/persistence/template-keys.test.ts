// SPDX-License-Identifier: Apache-2.0
// Who shares a template: clients by the netmask, destinations by what their service is for (a port, all ports, FTP, a
// firewall mark), as in ip_vs_sched_persist.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressBytes, tcp } from '../../../test/support/frames.ts';
import { Site } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';

/** Templates without state and time. */
function templates(lab: TestDirector): string[] {
  return lab.templates().map((line) => line.split(' ').slice(0, 4).join(' '));
}

/** The address with one bit changed; the first counts 0. */
function withBit(address: string, bit: number): string {
  const bytes = addressBytes(address);
  bytes[bit >>> 3] ^= 0x80 >>> (bit & 7);
  if (bytes.length === 4) return bytes.join('.');
  return bytes.map((byte, i) => byte.toString(16).padStart(2, '0') + (i % 2 === 1 && i < 15 ? ':' : '')).join('');
}

for (const [service, virtual, client, prefixes] of [
  ['tcp:10.0.0.1:80', '10.0.0.1', '10.7.0.1', [0, 1, 8, 23, 31, 32]],
  ['tcp:[2001:db8::1]:80', '2001:db8::1', '2001:db8:7:5::a', [1, 31, 32, 33, 64, 65, 96, 100, 127, 128]],
] as const) {
  for (const prefixLength of prefixes) {
    test(`clients of ${service} with prefix ${prefixLength} share a template when those bits are the same`, () => {
      const site = new Site({ service, persistence: { timeoutSeconds: 300, prefixLength }, weights: [1] });
      const send = (src: string): void => {
        assert.equal(site.lab.target(tcp({ src, dst: virtual, sport: 1000, dport: 80, flags: 'S' })), '1');
      };
      send(client);
      for (let bit = 0; bit < (site.isIpv6 ? 128 : 32); bit++) {
        send(withBit(client, bit));
        assert.equal(site.server(1).persistentConnections, 1 + Math.min(bit + 1, prefixLength), `bit ${bit}`);
      }
    });
  }
}

test('a template of a port names the client’s network, the port, and the server’s own port', () => {
  const site = new Site({ persistence: { timeoutSeconds: 300, prefixLength: 24 }, serverPort: 8080 });
  assert.deepEqual(
    [site.send(1000, { from: 1 }), site.send(1000, { from: 77 }), site.send(1000, { from: 256 })],
    [...['2', '2', '1']],
  );
  assert.deepEqual(templates(site.lab), [
    'tcp 10.7.0.0:0 10.0.0.1:80 192.168.1.2:8080',
    'tcp 10.7.1.0:0 10.0.0.1:80 192.168.1.1:8080',
  ]);
});

test('two ports of an address are two services with templates of their own', () => {
  const site = new Site({ persistence: 300 });
  const other = new Site({ lab: site.lab, service: 'tcp:10.0.0.1:443', persistence: 300, weights: [1, 1] });
  assert.deepEqual([site.send(1000), other.send(1001, { from: 2 }), other.send(1000)], ['2', '2', '1']);
  assert.equal(templates(site.lab).length, 3);
});

test('a service of all ports has one template for all of them, and servers keep the port that was asked for', () => {
  const site = new Site({ service: 'tcp:10.0.0.1:0', persistence: 300, serverPort: 8080 });
  const [http, https] = [80, 443].map((port) => site.lab.packet(site.request(1000 + port, { port })).packet);
  assert.deepEqual([http?.[19], https?.[19], http?.[23], https?.[23]], [2, 2, 80, 443 & 255]);
  assert.deepEqual(templates(site.lab), ['tcp 10.7.0.1:0 10.0.0.1:0 192.168.1.2:0']);
  assert.equal(site.send(1000, { from: 2, port: 80 }), '1');
});

test('an FTP service has one template for control and data, and its servers get control at their own port', () => {
  const site = new Site({ service: 'tcp:10.0.0.1:21', persistence: 300, serverPort: 2121 });
  const control = site.lab.packet(site.request(1000, { port: 21 })).packet;
  const passive = site.lab.packet(site.request(1001, { port: 1024 })).packet;
  assert.deepEqual([control?.[19], passive?.[19]], [2, 2]);
  assert.deepEqual(
    [control, passive].map((packet) => ((packet?.[22] ?? 0) << 8) | (packet?.[23] ?? 0)),
    [2121, 1024],
  );
  assert.deepEqual(templates(site.lab), ['tcp 10.7.0.1:0 10.0.0.1:0 192.168.1.2:0']);
});

test('a service of a mark has one template for every protocol and port, which names the mark for an address', () => {
  const site = new Site({ service: 'fwm:258', persistence: 300 });
  assert.deepEqual([site.send(1000), site.send(1000, { protocol: 'udp', port: 53 })], ['2', '2']);
  assert.equal(site.send(1000, { protocol: 'sctp', port: 9 }), '2');
  assert.deepEqual(templates(site.lab), ['ip 10.7.0.1:0 0.0.1.2:0 192.168.1.2:0']);
  assert.deepEqual(site.counts(2), [1, 2, 1]);
});

test('a mark above 2³¹, and marks of IPv6, name themselves in the first four octets', () => {
  const high = new Site({ service: 'fwm:4294967295', persistence: 300 });
  high.send(1000);
  assert.deepEqual(templates(high.lab), ['ip 10.7.0.1:0 255.255.255.255:0 192.168.1.2:0']);
  const six = new Site({ service: 'fwm:258:6', persistence: { timeoutSeconds: 300, prefixLength: 64 } });
  assert.deepEqual([six.send(1000), six.send(1000, { from: 2 })], ['2', '2']);
  assert.deepEqual(templates(six.lab), ['ip [2001:db8:7::]:0 [0:102::]:0 [2001:db8:1::2]:0']);
});

test('templates of two marks are two, though client and destination are the same', () => {
  const lab = new TestDirector();
  const web = new Site({ lab, service: 'fwm:1', persistence: 300 });
  web.send(1000);
  web.send(1000, { from: 2 });
  lab.dataplane.applyNow({ type: 'delete-mark', rule: 1 });
  const other = new Site({ lab, service: 'fwm:2', persistence: 300 });
  assert.deepEqual([other.send(1001, { from: 2 }), other.send(1001)], ['2', '1']);
  assert.equal(templates(lab).length, 4);
});

test('port 0 of a marked packet counts as the service’s own: its template is of protocol and address', () => {
  const site = new Site({ service: 'fwm:7', persistence: 300 });
  assert.deepEqual([site.send(1000, { port: 0 }), site.send(1001)], ['2', '1']);
  assert.deepEqual(templates(site.lab), [
    'tcp 10.7.0.1:0 10.0.0.1:0 192.168.1.2:0',
    'ip 10.7.0.1:0 0.0.0.7:0 192.168.1.1:0',
  ]);
});

test('FTP and all other ports of one address share templates; who took a connection counts it, the server its packets', () => {
  const lab = new TestDirector();
  const ftp = new Site({ lab, service: 'tcp:10.0.0.1:21', persistence: 300, weights: [1] });
  const rest = new Site({ lab, service: 'tcp:10.0.0.1:0', persistence: 300, weights: [], serverPort: 0 });
  rest.add(2);
  assert.deepEqual([ftp.send(1000), rest.send(1001, { port: 80 })], ['1', '1'], 'by the template of FTP');
  assert.deepEqual(templates(lab), ['tcp 10.7.0.1:0 10.0.0.1:0 192.168.1.1:0']);
  assert.deepEqual([rest.send(1000, { from: 2, port: 80 }), ftp.send(1001, { from: 2 })], ['2', '2']);
  assert.deepEqual([rest.send(1002, { port: 80 }), rest.send(1003, { port: 443 })], ['1', '1']);
  for (let i = 0; i < 3; i++) rest.send(1001, { port: 80, flags: 'A' });

  const [ofFtp, ofRest] = lab.dataplane.snapshotNow().services.map(({ counters }) => counters);
  assert.deepEqual([ofFtp.connections, ofRest.connections], [2, 4]);
  assert.deepEqual([ftp.server(1).counters.connections, rest.server(2).counters.connections], [4, 2]);
  assert.deepEqual([ofFtp.inPackets, ofRest.inPackets], [7, 2]);
  assert.deepEqual(
    [ftp.counts(1), rest.counts(2)],
    [
      [4, 0, 1],
      [2, 0, 1],
    ],
  );
  const { connections, inPackets } = lab.dataplane.snapshotNow().totals.counters;
  assert.deepEqual([connections, inPackets], [6, 9]);
});
