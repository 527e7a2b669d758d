// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4 } from '../../packet/address.ts';
import { leadingNumber, parseInetAton, parseNumber } from './numbers.ts';

test('numbers are decimal, may have blanks and a sign in front and nothing behind', () => {
  const read = (text: string): number | undefined => parseNumber(text, 0, 100);
  assert.deepEqual(['5', ' +5', '010', '-0', '100'].map(read), [5, 5, 10, 0, 100]);
  for (const text of ['', 'x', '5x', '5 ', '0x10', '-1', '101', '99999999999999999999']) {
    assert.equal(read(text), undefined, text);
  }
});

test('a leading number is found as by atoi', () => {
  assert.deepEqual(['64', '64x', ' -3', 'x', ''].map(leadingNumber), [64, 64, -3, 0, 0]);
});

test('addresses are read in every form of inet_aton', () => {
  for (const [text, expected] of [
    ['10.0.0.1', '10.0.0.1'],
    ['10.1', '10.0.0.1'],
    ['1.2.3', '1.2.0.3'],
    ['1.65536', '1.1.0.0'],
    ['0xffffffff', '255.255.255.255'],
    ['0x0A.010.0.1 and more', '10.8.0.1'],
  ] as const) {
    assert.equal(formatIpv4(parseInetAton(text)!), expected, text);
  }
  for (const text of ['', '1.2.3.4.5', '1..2', '1.2.3.', '256.0.0.1', '08.0.0.1', '0x', '1.16777216', 'host']) {
    assert.equal(parseInetAton(text), undefined, text);
  }
});
