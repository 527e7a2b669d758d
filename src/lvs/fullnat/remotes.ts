// SPDX-License-Identifier: Apache-2.0
// The servers to which a pool's local addresses have ports in use, or had of late: records found by pool, protocol, address
// and port. Those without ports in use stand in a line from which the longest idle one is forgotten when somebody needs the
// room. Used by LocalAddresses alone, which gives each record a ring at least, so that there are never more than rings.
// hot path

import { hashWords } from '../connection/hash.ts';
import type { HashSeed } from '../connection/table.ts';

// Words of a record; the key comes first.
const KEY_WORDS = 7;
export const POOL = 0;
/** protocol << 8 | family. */
export const KIND = 1;
const CHAIN = 7;
/** A ring with free ports, from which the next one leads to all others of the record. 0 for none. */
export const AVAILABLE = 8;
/** So many of the pool's addresses, from the first on, have been given a ring. */
export const OPENED = 9;
/** Rings, whether they have free ports or not. */
export const RINGS = 10;
/** Ports in use. */
export const LIVE = 11;
const IDLE_PREVIOUS = 12;
const IDLE_NEXT = 13;
const BUCKET = 14;
export const REMOTE_SHIFT = 4;

export class Remotes {
  /** Word `remote << REMOTE_SHIFT | field`; remote 0 is none, and the ends of the line of idle ones. */
  readonly records: Int32Array;
  readonly capacity: number;
  /** Steps of all searches since the start. */
  steps = 0;
  readonly #buckets: Int32Array;
  readonly #mask: number;
  readonly #k0: number;
  readonly #k1: number;
  readonly #key: Int32Array = new Int32Array(KEY_WORDS);
  #bucket = 0;
  #free = 0;

  constructor(capacity: number, seed: HashSeed) {
    this.capacity = capacity;
    this.records = new Int32Array((capacity + 1) << REMOTE_SHIFT);
    let buckets = 64;
    while (buckets < capacity) buckets <<= 1;
    this.#buckets = new Int32Array(buckets);
    this.#mask = buckets - 1;
    this.#k0 = seed.k0 | 0;
    this.#k1 = seed.k1 | 0;
    for (let remote = capacity; remote > 0; remote--) {
      this.records[(remote << REMOTE_SHIFT) | CHAIN] = this.#free;
      this.#free = remote;
    }
  }

  /** The record of a server, or 0. */
  find(pool: number, kind: number, words: ArrayLike<number>, port: number): number {
    const key = this.#key;
    key[0] = pool;
    key[1] = kind;
    key[2] = port;
    for (let i = 0; i < 4; i++) key[3 + i] = (kind & 0xff) === 4 && i > 0 ? 0 : words[i];
    this.#bucket = hashWords(this.#k0, this.#k1, key, KEY_WORDS) & this.#mask;
    let remote = this.#buckets[this.#bucket];
    this.steps++;
    while (remote !== 0 && !this.#matches(remote << REMOTE_SHIFT)) {
      remote = this.records[(remote << REMOTE_SHIFT) | CHAIN];
      this.steps++;
    }
    return remote;
  }

  /** A record for the server that {@link find} did not find at its last call; its ring is on the way, so one is left. */
  open(): number {
    const records = this.records;
    const remote = this.#free;
    const base = remote << REMOTE_SHIFT;
    this.#free = records[base | CHAIN];
    records.fill(0, base, base + (1 << REMOTE_SHIFT));
    for (let i = 0; i < KEY_WORDS; i++) records[base | i] = this.#key[i];
    records[base | BUCKET] = this.#bucket;
    records[base | CHAIN] = this.#buckets[this.#bucket];
    this.#buckets[this.#bucket] = remote;
    return remote;
  }

  /** Forgets a server that stands in no line and has no ring. */
  close(remote: number): void {
    const records = this.records;
    const base = remote << REMOTE_SHIFT;
    const bucket = records[base | BUCKET];
    const next = records[base | CHAIN];
    let at = this.#buckets[bucket];
    this.steps++;
    if (at === remote) {
      this.#buckets[bucket] = next;
    } else {
      for (; records[(at << REMOTE_SHIFT) | CHAIN] !== remote; this.steps++) at = records[(at << REMOTE_SHIFT) | CHAIN];
      records[(at << REMOTE_SHIFT) | CHAIN] = next;
    }
    records[base | POOL] = 0;
    records[base | CHAIN] = this.#free;
    this.#free = remote;
  }

  /** The server that has been idle longest, or 0. */
  get longestIdle(): number {
    return this.records[IDLE_NEXT];
  }

  /** To the end of the line. */
  setIdle(remote: number): void {
    const records = this.records;
    const base = remote << REMOTE_SHIFT;
    const last = records[IDLE_PREVIOUS];
    records[base | IDLE_PREVIOUS] = last;
    records[base | IDLE_NEXT] = 0;
    records[(last << REMOTE_SHIFT) | IDLE_NEXT] = remote;
    records[IDLE_PREVIOUS] = remote;
  }

  /** Out of the line. */
  setBusy(remote: number): void {
    const records = this.records;
    const base = remote << REMOTE_SHIFT;
    const previous = records[base | IDLE_PREVIOUS];
    const next = records[base | IDLE_NEXT];
    records[(previous << REMOTE_SHIFT) | IDLE_NEXT] = next;
    records[(next << REMOTE_SHIFT) | IDLE_PREVIOUS] = previous;
  }

  #matches(base: number): boolean {
    for (let i = 0; i < KEY_WORDS; i++) if (this.records[base | i] !== this.#key[i]) return false;
    return true;
  }
}
