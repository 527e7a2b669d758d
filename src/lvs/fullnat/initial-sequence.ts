// SPDX-License-Identifier: Apache-2.0
// Initial sequence numbers for connections to servers (RFC 6528): M + F(both ends, secret). A server that still has the last
// connection from a local port in TIME-WAIT then takes a new one for new (RFC 9293 §3.6.1, RFC 6191), although it comes from
// another client; and nobody can tell the numbers of one connection from those of another. The clock comes in.
// hot path

import { hashWords } from '../connection/hash.ts';
import type { HashSeed } from '../connection/table.ts';

/** Words of the longest key: ports and two IPv6 addresses. */
const KEY_WORDS = 9;

export class InitialSequence {
  readonly #k0: number;
  readonly #k1: number;
  readonly #key: Int32Array = new Int32Array(KEY_WORDS);

  /** @param seed - random words from outside, not those of a hash whose values can be seen. */
  constructor(seed: HashSeed) {
    this.#k0 = seed.k0 | 0;
    this.#k1 = seed.k1 | 0;
  }

  /**
   * The number, as a signed 32-bit integer, for a SYN from a local end to a server; addresses are four words each. `clock`
   * counts units of 4 µs modulo 2^32, which must not stand still between two connections of one local end, nor go back.
   */
  of(
    family: number,
    local: ArrayLike<number>,
    localPort: number,
    server: ArrayLike<number>,
    serverPort: number,
    clock: number,
  ): number {
    const key = this.#key;
    const words = family === 4 ? 1 : 4;
    key[0] = (localPort << 16) | serverPort;
    for (let i = 0; i < words; i++) {
      key[1 + i] = local[i];
      key[1 + words + i] = server[i];
    }
    return (hashWords(this.#k0, this.#k1, key, 1 + 2 * words) + clock) | 0;
  }
}
