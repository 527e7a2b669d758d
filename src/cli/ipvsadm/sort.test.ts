// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatServerKey, formatServiceKey, parseServerKey, parseServiceKey } from '../../lvs/service-key.ts';
import { sortServers, sortServices } from './sort.ts';

const NOTHING = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };

test('servers are sorted by signed difference: 192.168.x before 10.x, numbers by value, IPv4 among IPv6', () => {
  const keys = ['10.0.0.1:443', '[2001:db8::33]:80', '192.168.1.11:80', '192.168.1.9:90', '192.168.1.9:80'];
  const sorted = sortServers(keys.map((key) => parseServerKey(key)!)).map(formatServerKey);
  assert.deepEqual(sorted, [
    '192.168.1.9:80',
    '192.168.1.9:90',
    '192.168.1.11:80',
    '10.0.0.1:443',
    '[2001:db8::33]:80',
  ]);
});

test('services are sorted by mark as a signed number, then family, protocol, address and port', () => {
  const expected = [
    'fwm:4294967295',
    'tcp:10.0.0.1:80',
    'tcp:10.0.0.1:443',
    'tcp:10.0.0.2:22',
    'udp:10.0.0.1:53',
    'sctp:10.0.0.1:1',
    'tcp:[2001:db8::1]:80',
    'fwm:1',
    'fwm:1:6',
  ];
  const services = [...expected].reverse().map((key) => ({
    key: parseServiceKey(key)!,
    scheduler: 'rr',
    schedulerFlags: [],
    onePacket: false,
    counters: NOTHING,
    rates: NOTHING,
    servers: [],
  }));
  assert.deepEqual(
    sortServices(services).map((service) => formatServiceKey(service.key)),
    expected,
  );
});
