// SPDX-License-Identifier: Apache-2.0
// Capabilities as the kernel prints them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effectiveCapabilities, missingCapabilities } from './capabilities.ts';

const status = (capabilities: string): string => `Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t${capabilities}\n`;

test('a full set lacks nothing and needs no remedy', () => {
  assert.deepEqual(missingCapabilities(['CAP_NET_ADMIN', 'CAP_BPF'], status('000001ffffffffff')), {
    names: [],
    remedy: '',
  });
});

test('an empty set lacks everything, and the remedy names it all', () => {
  const missing = missingCapabilities(['CAP_NET_ADMIN', 'CAP_NET_RAW'], status('0000000000000000'));
  assert.deepEqual(missing.names, ['CAP_NET_ADMIN', 'CAP_NET_RAW']);
  assert.equal(
    missing.remedy,
    'run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)',
  );
});

test('each capability is looked up by its own bit', () => {
  const onlyNetAdmin = status((1n << 12n).toString(16).padStart(16, '0'));
  assert.deepEqual(missingCapabilities(['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF'], onlyNetAdmin).names, [
    'CAP_NET_RAW',
    'CAP_BPF',
  ]);
});

test('CAP_SYS_ADMIN stands in for CAP_BPF', () => {
  const onlySysAdmin = status((1n << 21n).toString(16).padStart(16, '0'));
  assert.deepEqual(missingCapabilities(['CAP_BPF', 'CAP_NET_ADMIN'], onlySysAdmin).names, ['CAP_NET_ADMIN']);
});

test('a status without the line, or with nonsense in it, grants nothing', () => {
  assert.equal(effectiveCapabilities(''), 0n);
  assert.equal(effectiveCapabilities('CapEff:\tzz\n'), 0n);
});

test("the running process's own status can be read", () => {
  assert.equal(missingCapabilities([]).remedy, '');
  const missing = missingCapabilities(['CAP_NET_ADMIN']).names.length;
  if (process.getuid?.() !== 0) assert.equal(missing, 1);
});
