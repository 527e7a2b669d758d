// SPDX-License-Identifier: Apache-2.0
// Hashes of addresses as the kernel's hash schedulers make them.
// hot path

/** An address in one word (signed): IPv4 as it is, the four words of IPv6 folded. */
export function foldAddress(words: Int32Array | readonly number[]): number {
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}

/** The upper `bits` of a multiplicative hash (hash_32 of linux/hash.h). */
export function hash32(value: number, bits: number): number {
  return Math.imul(value, 0x61c88647) >>> (32 - bits);
}
