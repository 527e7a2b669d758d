// SPDX-License-Identifier: Apache-2.0
// The datagrams of which fragments have come: records found by what their fragments have in common, and in the order in
// which their time runs out. They need no bound of their own: each holds a block at least, and of those there are so many
// (as the kernel's struct inet_frag_queue, inet_fragment.c). Used by Reassembly alone.
// hot path

import { IPPROTO_UDP, IPV4_ID, IPV4_PROTOCOL, IPV4_SRC } from '../../packet/ipv4.ts';
import { FRAGMENT_HLEN, IPV6_SRC } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import { hashWords } from '../connection/hash.ts';
import type { HashSeed } from '../connection/table.ts';
import { FRAGMENT_ID } from './fragment-headers.ts';

// Words of a record. The key comes first: identification and protocol, then the addresses.
const KEY = 0;
const KEY_WORDS = 10;
/** 4 or 6. */
export const FAMILY = 10;
const HASH_NEXT = 11;
const AGE_PREVIOUS = 12;
const AGE_NEXT = 13;
const DEADLINE = 14;
/** Blocks of the fragments with the lowest and the highest offset. */
export const HEAD = 15;
export const TAIL = 16;
/** Fragmentable bytes up to the highest that is known of, and how many have come. */
export const LENGTH = 17;
export const MEAT = 18;
/** FIRST_IN and LAST_IN. */
export const FLAGS = 19;
/** One bit for each ECN field seen, 1 << field. */
export const ECN = 20;
/** Bytes of the largest fragment, and of the largest one with DF, as IP packets. */
export const MAX_SIZE = 21;
export const MAX_DF_SIZE = 22;
/** Fragments. */
export const COUNT = 23;
const BUCKET = 24;
export const QUEUE_SHIFT = 5;

export const FIRST_IN = 1;
export const LAST_IN = 2;

/** IPv6's fragments are one datagram's whatever their next header says (RFC 8200 §4.5); any number stands for them. */
const NO_PROTOCOL = IPPROTO_UDP;

export class FragmentQueues {
  /** Word `queue << QUEUE_SHIFT | field`; queue 0 is none. */
  readonly records: Int32Array;
  /** Datagrams that wait for fragments. */
  count = 0;
  readonly #buckets: Int32Array;
  readonly #mask: number;
  readonly #k0: number;
  readonly #k1: number;
  readonly #key: Int32Array = new Int32Array(KEY_WORDS);
  /** Oldest and newest of IPv4 and of IPv6: within a family all live equally long. */
  readonly #oldest: Int32Array = new Int32Array(2);
  readonly #newest: Int32Array = new Int32Array(2);
  #bucket = 0;
  #free = 0;

  constructor(capacity: number, seed: HashSeed) {
    this.records = new Int32Array((capacity + 1) << QUEUE_SHIFT);
    let buckets = 64;
    while (buckets < capacity) buckets <<= 1;
    this.#buckets = new Int32Array(buckets);
    this.#mask = buckets - 1;
    this.#k0 = seed.k0 | 0;
    this.#k1 = seed.k1 | 0;
    for (let queue = capacity; queue > 0; queue--) {
      this.records[(queue << QUEUE_SHIFT) | HASH_NEXT] = this.#free;
      this.#free = queue;
    }
  }

  /** The datagram that a fragment belongs to, or 0. */
  find(view: DataView, headers: Headers): number {
    this.#readKey(view, headers);
    const { family } = headers;
    this.#bucket = hashWords(this.#k0, this.#k1 ^ family, this.#key, KEY_WORDS) & this.#mask;
    let queue = this.#buckets[this.#bucket];
    while (queue !== 0 && !this.#matches(queue << QUEUE_SHIFT, family)) {
      queue = this.records[(queue << QUEUE_SHIFT) | HASH_NEXT];
    }
    return queue;
  }

  /** Opens the datagram that {@link find} has just not found; the caller has a block for it. */
  open(family: number, deadline: number): number {
    const records = this.records;
    const queue = this.#free;
    const base = queue << QUEUE_SHIFT;
    this.#free = records[base | HASH_NEXT];
    records.fill(0, base, base + (1 << QUEUE_SHIFT));
    for (let i = 0; i < KEY_WORDS; i++) records[base | (KEY + i)] = this.#key[i];
    records[base | FAMILY] = family;
    records[base | BUCKET] = this.#bucket;
    records[base | HASH_NEXT] = this.#buckets[this.#bucket];
    this.#buckets[this.#bucket] = queue;

    const age = family === 4 ? 0 : 1;
    const newest = this.#newest[age];
    records[base | DEADLINE] = deadline;
    records[base | AGE_PREVIOUS] = newest;
    if (newest === 0) this.#oldest[age] = queue;
    else records[(newest << QUEUE_SHIFT) | AGE_NEXT] = queue;
    this.#newest[age] = queue;
    this.count++;
    return queue;
  }

  /** Forgets a datagram, whose blocks are the caller's. */
  close(queue: number): void {
    const records = this.records;
    const base = queue << QUEUE_SHIFT;
    const bucket = records[base | BUCKET];
    const next = records[base | HASH_NEXT];
    let at = this.#buckets[bucket];
    if (at === queue) {
      this.#buckets[bucket] = next;
    } else {
      while (records[(at << QUEUE_SHIFT) | HASH_NEXT] !== queue) at = records[(at << QUEUE_SHIFT) | HASH_NEXT];
      records[(at << QUEUE_SHIFT) | HASH_NEXT] = next;
    }

    const age = records[base | FAMILY] === 4 ? 0 : 1;
    const older = records[base | AGE_PREVIOUS];
    const newer = records[base | AGE_NEXT];
    if (older === 0) this.#oldest[age] = newer;
    else records[(older << QUEUE_SHIFT) | AGE_NEXT] = newer;
    if (newer === 0) this.#newest[age] = older;
    else records[(newer << QUEUE_SHIFT) | AGE_PREVIOUS] = older;

    records[base | FAMILY] = 0;
    records[base | HASH_NEXT] = this.#free;
    this.#free = queue;
    this.count--;
  }

  /** A datagram whose time has run out, or 0. */
  expired(now: number): number {
    for (let age = 0; age < 2; age++) {
      const queue = this.#oldest[age];
      if (queue !== 0 && ((now - this.records[(queue << QUEUE_SHIFT) | DEADLINE]) | 0) >= 0) return queue;
    }
    return 0;
  }

  /** Identification of an IPv6 datagram. */
  identification(queue: number): number {
    return this.records[(queue << QUEUE_SHIFT) | KEY];
  }

  #readKey(view: DataView, { family, ip, transport }: Headers): void {
    const key = this.#key;
    const isIpv4 = family === 4;
    key[0] = isIpv4 ? view.getUint16(ip + IPV4_ID) : view.getInt32(transport - FRAGMENT_HLEN + FRAGMENT_ID);
    key[1] = isIpv4 ? view.getUint8(ip + IPV4_PROTOCOL) : NO_PROTOCOL;
    const addresses = ip + (isIpv4 ? IPV4_SRC : IPV6_SRC);
    const words = isIpv4 ? 2 : 8;
    for (let i = 0; i < 8; i++) key[2 + i] = i < words ? view.getInt32(addresses + (i << 2)) : 0;
  }

  #matches(base: number, family: number): boolean {
    const records = this.records;
    for (let i = 0; i < KEY_WORDS; i++) if (records[base | (KEY + i)] !== this.#key[i]) return false;
    return records[base | FAMILY] === family;
  }
}
