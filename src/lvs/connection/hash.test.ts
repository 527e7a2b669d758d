// SPDX-License-Identifier: Apache-2.0
// The hash against HalfSipHash written out from its paper, which is itself held against published values; and how
// evenly it fills buckets with keys as clients make them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hashWords } from './hash.ts';

type State = [number, number, number, number];

function rotate(value: number, bits: number): number {
  return ((value << bits) | (value >>> (32 - bits))) >>> 0;
}

function sipRound([v0, v1, v2, v3]: State): State {
  const a0 = (v0 + v1) >>> 0;
  const a1 = (rotate(v1, 5) ^ a0) >>> 0;
  const b0 = rotate(a0, 16);
  const a2 = (v2 + v3) >>> 0;
  const a3 = (rotate(v3, 8) ^ a2) >>> 0;
  const c0 = (b0 + a3) >>> 0;
  const c3 = (rotate(a3, 7) ^ c0) >>> 0;
  const c2 = (a2 + a1) >>> 0;
  const c1 = (rotate(a1, 13) ^ c2) >>> 0;
  return [c0, c1, rotate(c2, 16), c3];
}

/** HalfSipHash-1-3 with 32 bits of output over whole words that have been padded already. */
function halfSipHash(k0: number, k1: number, words: readonly number[]): number {
  let state: State = [k0 >>> 0, k1 >>> 0, (k0 ^ 0x6c796765) >>> 0, (k1 ^ 0x74656462) >>> 0];
  for (const word of words) {
    state[3] = (state[3] ^ word) >>> 0;
    state = sipRound(state);
    state[0] = (state[0] ^ word) >>> 0;
  }
  state[2] = (state[2] ^ 0xff) >>> 0;
  for (let i = 0; i < 3; i++) state = sipRound(state);
  return (state[1] ^ state[3]) >>> 0;
}

test('the model gives the values of HalfSipHash-1-3 that Linux tests itself with', () => {
  // lib/test_siphash.c: key 00 … 07, messages 00 01 02 … of 0, 4 and 8 bytes; the last word holds the length on top.
  const key: [number, number] = [0x03020100, 0x07060504];
  assert.equal(halfSipHash(...key, [0]), 0x5814c896);
  assert.equal(halfSipHash(...key, [0x03020100, 0x04000000]), 0x7e059ea6);
  assert.equal(halfSipHash(...key, [0x03020100, 0x07060504, 0x08000000]), 0x577999b1);
});

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });

test('the hash is HalfSipHash-1-3 without the length, which is the same for all keys of a family', () => {
  fc.assert(
    fc.property(word, word, fc.array(word, { maxLength: 12 }), word, (k0, k1, words, behind) => {
      const memory = Int32Array.from([...words, behind]);
      assert.equal(hashWords(k0, k1, memory, words.length), halfSipHash(k0, k1, words) | 0);
      assert.deepEqual([...memory], [...words, behind]);
    }),
    { numRuns: 1000 },
  );
});

/** Chi-squared of the buckets' fills against an even spread. */
function unevenness(buckets: number, hashes: Iterable<number>): number {
  const fills = new Float64Array(buckets);
  let count = 0;
  for (const hash of hashes) {
    fills[hash & (buckets - 1)]++;
    count++;
  }
  const expected = count / buckets;
  return fills.reduce((sum, fill) => sum + (fill - expected) ** 2 / expected, 0);
}

function* keys(count: number, portOf: (i: number) => number, clientOf: (i: number) => number): Iterable<number> {
  const key = new Int32Array(4);
  for (let i = 0; i < count; i++) {
    key.set([(portOf(i) << 16) | 80, (6 << 8) | 4, clientOf(i), 0x0a000001]);
    yield hashWords(0x12345678, 0x0badcafe, key, 4);
  }
}

// With 1023 degrees of freedom chi-squared has mean 1023 and deviation 45: 1023 ± 6 · 45 holds for any fair hash, and
// the key is fixed, so that the outcome is always the same.
const CLIENTS: readonly [string, (i: number) => number, (i: number) => number][] = [
  ['one client with ports in sequence', (i) => 1024 + i, () => 0x0a070001],
  ['clients in sequence with one port', () => 40000, (i) => 0x0a070001 + i],
  ['clients of one /16 step by step', () => 40000, (i) => 0x0a000000 + (i << 8)],
  ['clients and ports together', (i) => 1024 + (i % 64), (i) => 0x0a070001 + (i >> 6)],
];
for (const [name, portOf, clientOf] of CLIENTS) {
  test(`buckets fill evenly from ${name}`, () => {
    const value = unevenness(1024, keys(50_000, portOf, clientOf));
    assert.ok(value > 750 && value < 1300, `chi-squared ${value}`);
  });
}

test('another seed gives another order', () => {
  const key = Int32Array.of(1, 2, 3, 4);
  const seeds = Array.from({ length: 100 }, (_, i) => [i, 0] as const);
  const hashes = [...seeds, ...seeds.map(([a, b]) => [b, a + 1] as const)].map(([a, b]) => hashWords(a, b, key, 4));
  assert.equal(new Set(hashes).size, hashes.length);
});
