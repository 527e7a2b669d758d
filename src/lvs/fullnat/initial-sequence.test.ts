// SPDX-License-Identifier: Apache-2.0
// Initial sequence numbers: they rise with the clock for each pair of ends, and say nothing about other pairs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Address, addressWords } from '../../packet/address.ts';
import { InitialSequence } from './initial-sequence.ts';

const words = (text: string) => addressWords(text as Address);
const LOCAL = words('10.0.0.9');
const SERVER = words('192.168.1.1');

for (const clock of [0, 2 ** 31 - 10, 2 ** 32 - 10]) {
  test(`a local port that is used again has a higher number, by the time that went by from ${clock} on`, () => {
    const sequence = new InitialSequence({ k0: 1, k1: 2 });
    const before = sequence.of(4, LOCAL, 4000, SERVER, 80, clock | 0);
    const after = sequence.of(4, LOCAL, 4000, SERVER, 80, (clock + 250_000) | 0);
    assert.equal((after - before) | 0, 250_000);
    assert.equal(before | 0, before);
  });
}

test('every part of both ends, and the seed, gives another number', () => {
  const sequence = new InitialSequence({ k0: 1, k1: 2 });
  const six = [words('2001:db8::9'), words('2001:db8::1')];
  const numbers = [
    sequence.of(4, LOCAL, 4000, SERVER, 80, 0),
    sequence.of(4, words('10.0.0.8'), 4000, SERVER, 80, 0),
    sequence.of(4, LOCAL, 4001, SERVER, 80, 0),
    sequence.of(4, LOCAL, 4000, words('192.168.1.2'), 80, 0),
    sequence.of(4, LOCAL, 4000, SERVER, 81, 0),
    sequence.of(4, SERVER, 4000, LOCAL, 80, 0),
    sequence.of(6, six[0], 4000, six[1], 80, 0),
    sequence.of(6, six[1], 4000, six[0], 80, 0),
    sequence.of(6, six[0], 4000, words('2001:db9::1'), 80, 0),
    new InitialSequence({ k0: 1, k1: 3 }).of(4, LOCAL, 4000, SERVER, 80, 0),
    new InitialSequence({ k0: 2, k1: 2 }).of(4, LOCAL, 4000, SERVER, 80, 0),
  ];
  assert.equal(new Set(numbers).size, numbers.length);
});

test('numbers of neighbouring ports are spread over all that there are', () => {
  const sequence = new InitialSequence({ k0: 1, k1: 2 });
  const quarters = [0, 0, 0, 0];
  for (let port = 1; port <= 4000; port++) quarters[sequence.of(4, LOCAL, port, SERVER, 80, 0) >>> 30]++;
  for (const count of quarters) assert.ok(count > 850 && count < 1150, `${quarters}`);
});
