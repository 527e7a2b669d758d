// SPDX-License-Identifier: Apache-2.0
// HalfSipHash-1-3 (SipHash of Aumasson and Bernstein on 32-bit words) of connection keys, without the last block, which
// would hold the length: all keys of a family are equally long. Keyed with a seed from outside, so that nobody who
// cannot see the table can aim packets at one chain of it.
// hot path

/** Hash of the first `count` words under the key `k0`, `k1`, as a signed 32-bit integer. */
export function hashWords(k0: number, k1: number, words: Int32Array, count: number): number {
  let v0 = k0;
  let v1 = k1;
  let v2 = 0x6c796765 ^ k0;
  let v3 = 0x74656462 ^ k1;
  const rounds = count + 3;
  for (let i = 0; i < rounds; i++) {
    let word = 0;
    if (i < count) word = words[i];
    else if (i === count) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}
