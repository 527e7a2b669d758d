// SPDX-License-Identifier: Apache-2.0
// Persistence of every kind on one table, listed by ipvsadm as a real kernel's was: templates, their lives and states, and
// the counters of the packets that made them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runIpvsadm } from '../../../src/cli/ipvsadm/run.ts';
import type { PortList } from '../../../src/lvs/port-list.ts';
import { tcp, udp } from '../../support/frames.ts';
import { TestDirector } from '../../support/test-director.ts';
import { CONNECTIONS, PERSISTENT_CONN, PROVED, SERVICES, STATS } from './listings.ts';

const CLIENT = '10.7.0.1';
const VIP = '10.0.0.1';

async function ipvsadm(lab: TestDirector, line: string, input = ''): Promise<string> {
  let output = '';
  const write = (text: string): void => {
    output += text;
  };
  const io = { stdin: [input], stdout: write, stderr: write };
  assert.equal(await runIpvsadm(line.split(' '), io, lab.dataplane), 0, output);
  return output;
}

async function assertConnections(lab: TestDirector, expected: string): Promise<void> {
  const rows = (text: string): string[] => text.split('\n').sort();
  assert.deepEqual(rows(await ipvsadm(lab, '-Lnc --persistent-conn')), rows(expected));
}

test('templates, connections and counters are listed as by the kernel', async () => {
  const lab = new TestDirector();
  await ipvsadm(lab, '-R', SERVICES);
  // Port 2205 is marked.
  lab.dataplane.applyNow({
    type: 'add-mark',
    rule: { mark: 7, protocol: 'tcp', destinationPorts: '2205' as PortList },
  });
  const syn = (sport: number, dport: number): void => {
    assert.equal(lab.packet(tcp({ src: CLIENT, dst: VIP, sport, dport, flags: 'S' })).verdict, 'forward');
  };
  const datagram = (sport: number, dport: number, text: string): void => {
    const payload = new TextEncoder().encode(text);
    assert.equal(lab.packet(udp({ src: CLIENT, dst: VIP, sport, dport, payload })).verdict, 'forward');
  };
  syn(4000, 2101);
  syn(5001, 2201);
  syn(5002, 2201);
  syn(5003, 7777);
  datagram(5004, 2203, 'xx');
  const head = 'INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.7.0.1:5005\r\n';
  const sip = `${head}Call-ID: abc123@host\r\nCSeq: 1 INVITE\r\n`;
  datagram(5005, 5060, `${sip}${'z'.repeat(181 - 28 - sip.length)}`);
  datagram(5006, 2204, 'one');
  syn(5007, 2205);
  lab.advance(0.1);
  await assertConnections(lab, CONNECTIONS);
  assert.equal(await ipvsadm(lab, '-Ln --persistent-conn'), PERSISTENT_CONN);

  const reply = { src: '192.168.1.2', dst: CLIENT, sport: 2201, dport: 5001 };
  lab.packet(tcp({ ...reply, flags: 'SA' }));
  const segment = { src: CLIENT, dst: VIP, sport: 5001, dport: 2201 };
  lab.packet(tcp({ ...segment, flags: 'A' }));
  lab.packet(udp({ src: '192.168.1.1', dst: CLIENT, sport: 2203, dport: 5004, payload: new Uint8Array(2) }));
  lab.advance(0.1);
  await assertConnections(lab, PROVED);

  for (let i = 0; i < 50; i++) lab.packet(tcp({ ...segment, flags: 'A', payload: new Uint8Array(1000) }));
  assert.equal(await ipvsadm(lab, '-Ln --stats'), STATS);
});

test('a removed server’s connection is kept and its packets dropped; expire_nodest_conn ends it', async () => {
  const lab = new TestDirector();
  await ipvsadm(lab, '-R', SERVICES);
  const packet = (flags: string): string =>
    lab.packet(tcp({ src: CLIENT, dst: VIP, sport: 4000, dport: 2101, flags })).verdict;
  assert.equal(packet('S'), 'forward');
  await ipvsadm(lab, '-d -t 10.0.0.1:2101 -r 192.168.1.1:880');
  assert.equal(packet('A'), 'drop-server-gone');
  assert.match(await ipvsadm(lab, '-Lnc'), /SYN_RECV {4}10\.7\.0\.1:4000 +10\.0\.0\.1:2101/);
  lab.sysctl('expire_nodest_conn', 1);
  // The kernel's own TCP answers this with a reset.
  assert.equal(packet('A'), 'pass');
  assert.doesNotMatch(await ipvsadm(lab, '-Lnc'), /2101/);
});
