// SPDX-License-Identifier: Apache-2.0
// Pseudo-random numbers from a seed that came from outside (xorshift32, Marsaglia 2003): for choices that need no more
// than not to be the same every time. Nothing that an attacker gains by guessing hangs on it.

/** A generator of 32 random bits, unsigned, from any seed. */
export function randomBits(seed: number): () => number {
  let state = seed | 0 || 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
