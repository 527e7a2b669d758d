// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LabUsageError, parseLabOptions } from './options.ts';

test('without options a lab has two servers', () => {
  const expected = {
    name: 'nat',
    servers: 2,
    seconds: 12,
    rate: 200,
    megabytes: 100,
    json: false,
    keep: false,
    down: false,
  };
  assert.deepEqual(parseLabOptions(['nat']), expected);
  for (const name of ['dr', 'tun', 'fullnat', 'fwmark', 'persistence'])
    assert.deepEqual(parseLabOptions([name]), { ...expected, name });
});

test('options are taken in any place', () => {
  const options = parseLabOptions(['--servers', '5', 'nat', '--seconds=3', '--rate', '10', '--json', '--keep']);
  assert.deepEqual(options, {
    name: 'nat',
    servers: 5,
    seconds: 3,
    rate: 10,
    megabytes: 100,
    json: true,
    keep: true,
    down: false,
  });
  assert.equal(parseLabOptions(['--help']), 'help');
  assert.equal(parseLabOptions(['nat', '-h']), 'help');
});

test('what makes no sense is refused by name', () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [[], /which lab/],
    [['dr2'], /no lab 'dr2'/],
    [['nat', 'more'], /'more'/],
    [['nat', '--servers', '1'], /--servers takes a whole number from 2 to 64, not '1'/],
    [['nat', '--servers', '65'], /'65'/],
    [['nat', '--rate', '-5'], /rate/],
    [['nat', '--rate', '1e3'], /'1e3'/],
    [['nat', '--seconds', ''], /''/],
    [['nat', '--unknown'], /unknown/],
    [['nat', '--keep', '--down'], /exclude/],
    [['fwmark', '--rate', '5'], /--rate is for the lab nat/],
    [['nat', '--megabytes', '5'], /--megabytes is for the lab ftp/],
    [['ftp', '--megabytes', '0'], /--megabytes/],
    [['persistence', '--seconds', '5'], /--seconds is for the lab nat/],
  ];
  for (const [args, message] of cases) {
    assert.throws(
      () => parseLabOptions(args),
      (error) => error instanceof LabUsageError && message.test(error.message),
    );
  }
});
