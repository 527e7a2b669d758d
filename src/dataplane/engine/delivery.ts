// SPDX-License-Identifier: Apache-2.0
// Whether packets with a firewall mark are delivered to the machine itself: because their destination is its own address, or
// because policy routing makes it so. The kernel is asked, its answers are kept until routes or rules change.
// hot path: delivers

import type { AddressWords, Family } from '../../packet/address.ts';

const CACHE_SIZE = 4096;
/** Address, mark and device: what an answer is kept under. */
const KEY_WORDS = 6;
/**
 * Most questions to the kernel in a second: each takes the engine thread 11 µs (measured), and who makes up destinations
 * must not keep it busy with them.
 */
const MAX_ASKED = 512;

const UNKNOWN = 0;
const DELIVERED = 4;
const ELSEWHERE = 1;

/** Undefined when the kernel has no answer that would hold for the next packet too. */
export type AskDelivery = (
  family: Family,
  source: AddressWords,
  destination: AddressWords,
  mark: number,
  interfaceIndex: number,
) => boolean | undefined;

export class Delivery {
  readonly #isLocal: (family: Family, destination: Int32Array) => boolean;
  readonly #ask: AskDelivery;
  readonly #keys = new Int32Array(CACHE_SIZE * KEY_WORDS);
  /** DELIVERED or ELSEWHERE, plus the family's number. */
  readonly #answers = new Uint8Array(CACHE_SIZE);
  #asked = 0;

  /** @param isLocal - whether a destination is the machine's own whatever the mark, which costs no question. */
  constructor(isLocal: (family: Family, destination: Int32Array) => boolean, ask: AskDelivery) {
    this.#isLocal = isLocal;
    this.#ask = ask;
  }

  /**
   * The answer for a packet. The source is only what the kernel is asked with: answers are kept for all of them.
   * False also when too much was asked in this second.
   */
  delivers(family: Family, source: Int32Array, destination: Int32Array, mark: number, device: number): boolean {
    const folded = destination[0] ^ destination[1] ^ destination[2] ^ destination[3] ^ (mark << 7) ^ (device << 19);
    const place = Math.imul(folded, 0x61c88647) >>> 20;
    const keys = this.#keys;
    const key = place * KEY_WORDS;
    const kept = this.#answers[place];
    if (
      (kept === DELIVERED + family || kept === ELSEWHERE + family) &&
      keys[key] === destination[0] &&
      keys[key + 1] === destination[1] &&
      keys[key + 2] === destination[2] &&
      keys[key + 3] === destination[3] &&
      keys[key + 4] === (mark | 0) &&
      keys[key + 5] === device
    ) {
      return kept === DELIVERED + family;
    }
    const answer = this.#isLocal(family, destination) || this.#question(family, source, destination, mark, device);
    // No answer is one about the source, which anybody can make up.
    if (answer === undefined) return false;
    keys.set(destination, key);
    keys[key + 4] = mark | 0;
    keys[key + 5] = device;
    this.#answers[place] = (answer ? DELIVERED : ELSEWHERE) + family;
    return answer;
  }

  #question(
    family: Family,
    source: Int32Array,
    destination: Int32Array,
    mark: number,
    device: number,
  ): boolean | undefined {
    if (this.#asked === MAX_ASKED) return undefined;
    this.#asked++;
    return this.#ask(family, wordsOf(source), wordsOf(destination), mark, device);
  }

  /** Routes or rules have changed. */
  forget(): void {
    this.#answers.fill(UNKNOWN);
  }

  /** Allows new questions. Once a second. */
  renew(): void {
    this.#asked = 0;
  }
}

function wordsOf(words: Int32Array): AddressWords {
  return [words[0], words[1], words[2], words[3]];
}
