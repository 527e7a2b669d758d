// SPDX-License-Identifier: Apache-2.0
// SipHash-1-3 of one 32-bit word, cut to 32 bits: what hsiphash() of a 64-bit kernel gives. 64-bit words are pairs of 32-bit
// halves. The key is one word, used twice.
// hot path

/** Unsigned 32-bit hash of `value` under the 128-bit key {key, key}, each half below 2^32. */
export function sipHash(value: number, key: number): number {
  let h0 = 0x736f6d65;
  let l0 = 0x70736575 ^ key;
  let h1 = 0x646f7261;
  let l1 = 0x6e646f6d ^ key;
  let h2 = 0x6c796765;
  let l2 = 0x6e657261 ^ key;
  let h3 = 0x74656462;
  let l3 = 0x79746573 ^ key;
  // The only block: the length, 4, in the top byte and the word below.
  h3 ^= 4 << 24;
  l3 ^= value;
  for (let round = 0; round < 4; round++) {
    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    let low = (l0 >>> 0) + (l1 >>> 0);
    h0 = (h0 + h1 + (low > 0xffffffff ? 1 : 0)) | 0;
    l0 = low | 0;
    let high = (h1 << 13) | (l1 >>> 19);
    l1 = ((l1 << 13) | (h1 >>> 19)) ^ l0;
    h1 = high ^ h0;
    high = h0;
    h0 = l0;
    l0 = high;
    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    low = (l2 >>> 0) + (l3 >>> 0);
    h2 = (h2 + h3 + (low > 0xffffffff ? 1 : 0)) | 0;
    l2 = low | 0;
    high = (h3 << 16) | (l3 >>> 16);
    l3 = ((l3 << 16) | (h3 >>> 16)) ^ l2;
    h3 = high ^ h2;
    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    low = (l0 >>> 0) + (l3 >>> 0);
    h0 = (h0 + h3 + (low > 0xffffffff ? 1 : 0)) | 0;
    l0 = low | 0;
    high = (h3 << 21) | (l3 >>> 11);
    l3 = ((l3 << 21) | (h3 >>> 11)) ^ l0;
    h3 = high ^ h0;
    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    low = (l2 >>> 0) + (l1 >>> 0);
    h2 = (h2 + h1 + (low > 0xffffffff ? 1 : 0)) | 0;
    l2 = low | 0;
    high = (h1 << 17) | (l1 >>> 15);
    l1 = ((l1 << 17) | (h1 >>> 15)) ^ l2;
    h1 = high ^ h2;
    high = h2;
    h2 = l2;
    l2 = high;
    if (round === 0) {
      h0 ^= 4 << 24;
      l0 ^= value;
      l2 ^= 0xff;
    }
  }
  return (l0 ^ l1 ^ l2 ^ l3) >>> 0;
}
