// SPDX-License-Identifier: Apache-2.0
// The table of `ballast status`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DaemonStatus } from '../daemon/protocol.ts';
import { formatStatus } from './status.ts';

const STATUS: DaemonStatus = {
  version: '1.2.3',
  pid: 42,
  uptimeSeconds: 7385,
  dataplane: 'engine (af-xdp native)',
  services: 2,
  servers: 1,
  connections: { current: 12, maximum: 1048576 },
  draining: [],
  totals: {
    counters: { connections: 5, inPackets: 1000, outPackets: 900, inBytes: 70000, outBytes: 1400000 },
    rates: { connections: 1.25, inPackets: 19.5, outPackets: 18, inBytes: 1400, outBytes: 28000 },
  },
  verdicts: { pass: 0, forward: 1900, 'drop-no-server': 4, 'malformed-ipv4-checksum': 3 },
  links: [
    { name: 'eth0', mode: 'native', queues: 1, rxPackets: 1007, txPackets: 900 },
    { name: 'enp5s0f1', mode: 'generic', queues: 16, rxPackets: 900, txPackets: 1000 },
  ],
};

test('the table shows what runs, its devices, and the verdicts that happened', () => {
  assert.equal(
    formatStatus(STATUS),
    `Ballast 1.2.3, pid 42, up 2 h 3 min
data plane   engine (af-xdp native)
services     2 with 1 server
connections  12 of at most 1048576
scheduled    5 connections, 1/s
packets      1000 in, 900 out, 20/s in, 18/s out
dropped      7 packets, 3 malformed
bytes        70000 in, 1400000 out, 1400/s in, 28000/s out

link      mode     queues  received  sent
eth0      native        1      1007   900
enp5s0f1  generic      16       900  1000

verdict                  packets
forward                     1900
drop-no-server                 4
malformed-ipv4-checksum        3
`,
  );
});

test('servers that are drained are shown with what is left on them and until when', () => {
  const of = { service: 'tcp:10.0.0.1:80', connections: 12 };
  const draining = [
    { ...of, server: '10.0.0.2:8080', secondsLeft: 28 },
    { ...of, server: '10.0.0.3:8080' },
  ];
  assert.ok(
    formatStatus({ ...STATUS, draining }).includes(`
draining         server         connections  reset in
tcp:10.0.0.1:80  10.0.0.2:8080           12      28 s
tcp:10.0.0.1:80  10.0.0.3:8080           12     never
`),
  );
});

test('without devices and packets the tables are only their headings', () => {
  const table = formatStatus({ ...STATUS, uptimeSeconds: 59, links: [], verdicts: { pass: 0 } });
  assert.match(table, /up 59 s\n/);
  assert.match(table, /\n\nlink {2}mode {2}queues {2}received {2}sent\n\nverdict {2}packets\n$/);
});
