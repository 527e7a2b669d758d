// SPDX-License-Identifier: Apache-2.0
// Keys as text: examples, what is refused, and that printing and parsing are each other's inverse.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAddress } from '../packet/address.ts';
import type { Protocol, ServiceKey } from './model.ts';
import { formatServiceKey, parseServerKey, parseServiceKey } from './service-key.ts';

test('a service key is read from its text', () => {
  const cases: readonly [string, object][] = [
    ['tcp:10.0.0.1:80', { kind: 'address', protocol: 'tcp', address: '10.0.0.1', port: 80 }],
    ['sctp:10.0.0.1:0', { kind: 'address', protocol: 'sctp', address: '10.0.0.1', port: 0 }],
    ['udp:[2001:db8::1]:53', { kind: 'address', protocol: 'udp', address: '2001:db8::1', port: 53 }],
    ['udp:[2001:DB8:0::1]:53', { kind: 'address', protocol: 'udp', address: '2001:db8::1', port: 53 }],
    ['fwm:7', { kind: 'fwmark', mark: 7, family: 4 }],
    ['fwm:4294967295:6', { kind: 'fwmark', mark: 4294967295, family: 6 }],
  ];
  for (const [text, key] of cases) assert.deepEqual(parseServiceKey(text), key, text);
});

test('text that is not a service key is refused', () => {
  const cases = [
    ...[
      '',
      'tcp',
      'tcp:',
      'tcp:10.0.0.1',
      'tcp:10.0.0.1:',
      'tcp:10.0.0.1:65536',
      'tcp:10.0.0.1:080',
      'tcp:10.0.0.1:-1',
    ],
    ...['tcp:10.0.0:80', 'tcp:[10.0.0.1]:80', 'tcp:2001:db8::1:80', 'tcp:[2001:db8::1]', 'tcp:[2001:db8::1%eth0]:80'],
    ...['icmp:10.0.0.1:80', 'TCP:10.0.0.1:80', 'fwm:0', 'fwm:', 'fwm:4294967296', 'fwm:7:4', 'fwm:7:6:6', 'fwm:1e3'],
  ];
  for (const text of cases) assert.equal(parseServiceKey(text), undefined, text);
});

test('a server key is an address and a port', () => {
  assert.deepEqual(parseServerKey('10.0.0.2:8080'), { address: '10.0.0.2', port: 8080 });
  assert.deepEqual(parseServerKey('[::1]:0'), { address: '::1', port: 0 });
  assert.equal(parseServerKey('10.0.0.2'), undefined);
  assert.equal(parseServerKey(':80'), undefined);
});

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const address = fc.oneof(
  word.map((w) => formatAddress(4, [w])),
  fc.tuple(word, word, word, word).map((words) => formatAddress(6, words)),
);
const key: fc.Arbitrary<ServiceKey> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('address' as const),
      protocol: fc.constantFrom<Protocol>('tcp', 'udp', 'sctp'),
      address,
      port: fc.integer({ min: 0, max: 65535 }),
    },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constant('fwmark' as const),
      mark: fc.integer({ min: 1, max: 0xffffffff }),
      family: fc.constantFrom(4 as const, 6 as const),
    },
    { noNullPrototype: true },
  ),
);

test('a key that is printed parses back to itself', () => {
  fc.assert(fc.property(key, (k) => assert.deepEqual(parseServiceKey(formatServiceKey(k)), k)));
});
