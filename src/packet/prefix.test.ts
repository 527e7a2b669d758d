// SPDX-License-Identifier: Apache-2.0
// Prefixes: text there and back, bounds, masks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compare } from '../lvs/classify/ranges.ts';
import { type AddressWords, formatAddress } from './address.ts';
import {
  firstOfPrefix,
  formatPrefix,
  lastOfPrefix,
  parsePrefix,
  prefixFamily,
  prefixLength,
  prefixWords,
} from './prefix.ts';

test('an address alone is a prefix of all its bits, bits behind the length are cleared', () => {
  assert.equal(parsePrefix('10.0.0.1'), '10.0.0.1/32');
  assert.equal(parsePrefix('10.1.2.3/8'), '10.0.0.0/8');
  assert.equal(parsePrefix('10.1.2.3/0'), '0.0.0.0/0');
  assert.equal(parsePrefix('2001:DB8::1'), '2001:db8::1/128');
  assert.equal(parsePrefix('2001:db8:ffff::1/33'), '2001:db8:8000::/33');
});

test('what is no prefix is refused', () => {
  for (const text of [
    '',
    '/',
    '10.0.0.1/',
    '10.0.0.1/33',
    '10.0.0.1/08',
    '10.0.0/8',
    '::/129',
    '::1/64/1',
    '10.0.0.1/-1',
    'a/8',
  ]) {
    assert.equal(parsePrefix(text), undefined, text);
  }
});

test('text is parsed back to the same prefix, and its first and last address hold exactly its own', () => {
  const word = fc.integer();
  fc.assert(
    fc.property(fc.constantFrom(4, 6), word, word, word, word, fc.nat(128), (family, a, b, c, d, bits) => {
      const length = family === 4 ? bits % 33 : bits;
      const words: AddressWords = family === 4 ? [a, 0, 0, 0] : [a, b, c, d];
      const prefix = formatPrefix(family, words, length);
      assert.equal(parsePrefix(prefix), prefix);
      assert.equal(parsePrefix(`${formatAddress(family, words)}/${length}`), prefix);
      assert.deepEqual([prefixFamily(prefix), prefixLength(prefix)], [family, length]);
      const first = firstOfPrefix(words, length);
      const last = lastOfPrefix(family, words, length);
      assert.deepEqual(prefixWords(prefix), first);
      assert.ok(compare(first, words) <= 0 && compare(words, last) <= 0);
      assert.equal(formatPrefix(family, last, length), prefix);
    }),
  );
});
