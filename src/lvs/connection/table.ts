// SPDX-License-Identifier: Apache-2.0
// The connection table: records found by the packet's own addresses and ports in either direction. Chains hang off a
// bucket array that grows by a few buckets and shrinks by one (linear hashing, Litwin 1980), so that no packet ever
// pays for a whole resize. A chain entry is record << 1 | direction; 0 ends it.
//
// Any number of records may have one key. Such as nobody looks up (of requests from port 0, of calls) are spread over the
// buckets instead. The replies to port 0 of one client all have one key and are looked up: there a record knows the entry
// before it, so that it leaves a long chain as fast as a short one.
// hot path

import { hashWords } from './hash.ts';
import {
  CLIENT,
  CLIENT_6,
  CONN_F_REPLY_KEY,
  type ConnectionMemory,
  DESTINATION,
  DESTINATION_6,
  FLAGS,
  KIND,
  KIND_ENGINE,
  KIND_EXPECTED,
  KIND_TEMPLATE,
  LOCAL,
  LOCAL_6,
  MIN_BUCKETS,
  NEXT_REPLY,
  NEXT_REQUEST,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  RECORD_WORDS,
  REPLY,
  REQUEST,
  VIRTUAL,
  VIRTUAL_6,
} from './layout.ts';

/** Seed of the hash: two words that nobody outside can guess. */
export interface HashSeed {
  readonly k0: number;
  readonly k1: number;
}

/** Words of the longest key, an IPv6 one: ports and two addresses. */
const KEY_WORDS = 9;
/** Buckets are added this many at a time, so that the waits for their records overlap. */
const SPLIT_GROUP = 32;
/** Word of a record with one link that names the chain entry before it. */
const PREDECESSOR: number = NEXT_REQUEST;
/** No chain entry's word: record 0 is none. */
const NOWHERE = 0;

export class ConnectionTable {
  readonly records: Int32Array;
  readonly maxConnections: number;
  /** Connections in the table. */
  count = 0;

  readonly #buckets: Int32Array;
  readonly #k0: number;
  readonly #k1: number;
  readonly #key: Int32Array = new Int32Array(KEY_WORDS);
  readonly #heads: Int32Array = new Int32Array(SPLIT_GROUP);
  /** Result of loads that only warm the cache, which would be optimized away without one. */
  touched = 0;
  /** Buckets in use; a hash is taken modulo `#high + 1`, and modulo `#low + 1` where that bucket is not there yet. */
  #size = MIN_BUCKETS;
  #low = MIN_BUCKETS - 1;
  #high = 2 * MIN_BUCKETS - 1;
  /** Chain entries, one or two a connection. */
  #entries = 0;
  /** Records that were ever used are 1 … #used; freed ones hang in a list through NEXT_REQUEST. */
  #used = 0;
  #free = 0;

  constructor(memory: ConnectionMemory, seed: HashSeed) {
    this.records = memory.records;
    this.maxConnections = memory.maxConnections;
    this.#buckets = memory.buckets;
    this.#k0 = seed.k0 | 0;
    this.#k1 = seed.k1 | 0;
  }

  /** Buckets in use now. */
  get bucketCount(): number {
    return this.#size;
  }

  /** Every record with an id of at most this may be live (KIND is not 0 then); for walks. */
  get highestId(): number {
    return this.#used;
  }

  /**
   * Finds the connection of an IPv4 packet: `kind` is protocol << 8 | 4, `ports` source << 16 | destination, `hash`
   * what {@link hashIpv4} says of them. Returns record << 1 | direction, or 0.
   */
  lookupIpv4(kind: number, source: number, destination: number, ports: number, hash: number): number {
    const records = this.records;
    let entry = this.#buckets[this.#bucketOf(hash)];
    while (entry !== 0) {
      const base = (entry >> 1) << RECORD_SHIFT;
      if ((entry & 1) === REQUEST) {
        if (
          records[base + PORTS_REQUEST] === ports &&
          records[base + CLIENT] === source &&
          records[base + VIRTUAL] === destination &&
          records[base + KIND] === kind
        ) {
          return entry;
        }
        entry = records[base + NEXT_REQUEST];
      } else {
        if (
          records[base + PORTS_REPLY] === ports &&
          records[base + DESTINATION] === source &&
          records[base + LOCAL] === destination &&
          records[base + KIND] === kind
        ) {
          return entry;
        }
        entry = records[base + NEXT_REPLY];
      }
    }
    return 0;
  }

  /** As {@link lookupIpv4} for an IPv6 packet whose source address is at `source` of `view`, its destination behind. */
  lookupIpv6(kind: number, view: DataView, source: number, ports: number): number {
    const key = this.#key;
    key[0] = ports;
    for (let i = 0; i < 8; i++) key[1 + i] = view.getInt32(source + (i << 2));
    return this.#lookupIpv6(kind);
  }

  /** As the lookups above for a key that is no packet's own, a template's. Addresses are four words each. */
  lookupWords(kind: number, source: Int32Array, destination: Int32Array, ports: number): number {
    if ((kind & 0xff) === 4) {
      const hash = this.hashIpv4(kind, source[0], destination[0], ports);
      return this.lookupIpv4(kind, source[0], destination[0], ports, hash);
    }
    const key = this.#key;
    key[0] = ports;
    for (let i = 0; i < 4; i++) {
      key[1 + i] = source[i];
      key[5 + i] = destination[i];
    }
    return this.#lookupIpv6(kind);
  }

  #lookupIpv6(kind: number): number {
    const key = this.#key;
    let entry = this.#buckets[this.#bucketOf(hashWords(this.#k0, this.#k1 ^ kind, key, KEY_WORDS))];
    while (entry !== 0) {
      const base = (entry >> 1) << RECORD_SHIFT;
      if ((entry & 1) === REQUEST) {
        if (this.#matchesIpv6(base, kind, PORTS_REQUEST, CLIENT, CLIENT_6, VIRTUAL, VIRTUAL_6)) return entry;
        entry = this.records[base + NEXT_REQUEST];
      } else {
        if (this.#matchesIpv6(base, kind, PORTS_REPLY, DESTINATION, DESTINATION_6, LOCAL, LOCAL_6)) return entry;
        entry = this.records[base + NEXT_REPLY];
      }
    }
    return 0;
  }

  /** Hash of an IPv4 packet's key. The kind goes in with the secret key, which saves a round. */
  hashIpv4(kind: number, source: number, destination: number, ports: number): number {
    const key = this.#key;
    key[0] = ports;
    key[1] = source;
    key[2] = destination;
    return hashWords(this.#k0, this.#k1 ^ kind, key, 3);
  }

  /** Entry at the head of the chain for a hash, 0 for an empty one. */
  head(hash: number): number {
    return this.#buckets[this.#bucketOf(hash)];
  }

  /** Whether {@link allocate} would fail. */
  get isFull(): boolean {
    return this.#free === 0 && this.#used === this.maxConnections;
  }

  /**
   * Writes the ids of the records that are `bucket`'s (0 … {@link bucketCount} - 1) to `ids`, as many as fit, and returns
   * how many. Each record is one bucket's.
   */
  collect(bucket: number, ids: Int32Array): number {
    const records = this.records;
    let count = 0;
    let entry = this.#buckets[bucket];
    while (entry !== 0 && count < ids.length) {
      if ((entry & 1) === REQUEST || this.#hasOneLink((entry >> 1) << RECORD_SHIFT)) ids[count++] = entry >> 1;
      entry = records[linkOf(entry)];
    }
    return count;
  }

  /** Gives the inserted record another request key. */
  rekey(id: number, kind: number, ports: number): void {
    const base = id << RECORD_SHIFT;
    this.#unlink(id, REQUEST);
    this.records[base + KIND] = kind;
    this.records[base + PORTS_REQUEST] = ports;
    this.#link(id, REQUEST);
  }

  /** Makes the inserted record known by its reply key too. Its client port must not be 0. */
  addReplyKey(id: number): void {
    this.records[(id << RECORD_SHIFT) + FLAGS] |= CONN_F_REPLY_KEY;
    this.#link(id, REPLY);
  }

  /** A zeroed record, or 0 when the table is full. It is found by nobody until {@link insert}. */
  allocate(): number {
    let id = this.#free;
    if (id !== 0) {
      this.#free = this.records[(id << RECORD_SHIFT) + NEXT_REQUEST];
    } else {
      if (this.#used === this.maxConnections) return 0;
      id = ++this.#used;
    }
    const base = id << RECORD_SHIFT;
    for (let i = 0; i < RECORD_WORDS; i++) this.records[base + i] = 0;
    return id;
  }

  /** Makes a filled record known by its request key and, with CONN_F_REPLY_KEY, by its reply key. */
  insert(id: number): void {
    const base = id << RECORD_SHIFT;
    if (!this.#hasOneLink(base)) this.#link(id, REQUEST);
    if ((this.records[base + FLAGS] & CONN_F_REPLY_KEY) !== 0) this.#link(id, REPLY);
    this.count++;
    if (2 * this.#entries - this.#size >= SPLIT_GROUP && this.#size < this.#buckets.length) this.#grow();
  }

  /** Forgets an inserted record and frees it. */
  remove(id: number): void {
    const base = id << RECORD_SHIFT;
    if (!this.#hasOneLink(base)) this.#unlink(id, REQUEST);
    if ((this.records[base + FLAGS] & CONN_F_REPLY_KEY) !== 0) this.#unlink(id, REPLY);
    this.count--;
    this.discard(id);
    if (this.#entries < this.#size >> 2 && this.#size > MIN_BUCKETS) this.#merge();
  }

  /** Frees an allocated record that was never inserted. */
  discard(id: number): void {
    const base = id << RECORD_SHIFT;
    this.records[base + KIND] = 0;
    this.records[base + NEXT_REQUEST] = this.#free;
    this.#free = id;
  }

  #matchesIpv6(base: number, kind: number, ports: number, a: number, a6: number, b: number, b6: number): boolean {
    const records = this.records;
    const key = this.#key;
    return (
      records[base + ports] === key[0] &&
      records[base + a] === key[1] &&
      records[base + b] === key[5] &&
      records[base + KIND] === kind &&
      records[base + a6] === key[2] &&
      records[base + a6 + 1] === key[3] &&
      records[base + a6 + 2] === key[4] &&
      records[base + b6] === key[6] &&
      records[base + b6 + 1] === key[7] &&
      records[base + b6 + 2] === key[8]
    );
  }

  /** Hash of a record's own key in one direction. */
  #hashRecord(base: number, direction: number): number {
    const records = this.records;
    const kind = records[base + KIND];
    let ports = records[base + (direction === REQUEST ? PORTS_REQUEST : PORTS_REPLY)];
    if (direction === REQUEST && isUnsought(kind, ports)) ports ^= base;
    const a = base + (direction === REQUEST ? CLIENT : DESTINATION);
    const b = base + (direction === REQUEST ? VIRTUAL : LOCAL);
    if ((kind & 0xff) === 4) return this.hashIpv4(kind, records[a], records[b], ports);
    const a6 = base + (direction === REQUEST ? CLIENT_6 : DESTINATION_6);
    const b6 = base + (direction === REQUEST ? VIRTUAL_6 : LOCAL_6);
    const key = this.#key;
    key[0] = ports;
    key[1] = records[a];
    key[5] = records[b];
    for (let i = 0; i < 3; i++) {
      key[2 + i] = records[a6 + i];
      key[6 + i] = records[b6 + i];
    }
    return hashWords(this.#k0, this.#k1 ^ kind, key, KEY_WORDS);
  }

  #bucketOf(hash: number): number {
    const bucket = hash & this.#high;
    return bucket < this.#size ? bucket : hash & this.#low;
  }

  #link(id: number, direction: number): void {
    const base = id << RECORD_SHIFT;
    const bucket = this.#bucketOf(this.#hashRecord(base, direction));
    const entry = (id << 1) | direction;
    const head = this.#buckets[bucket];
    this.records[base + direction] = head;
    this.#buckets[bucket] = entry;
    if (direction === REPLY && this.#hasOneLink(base)) this.#setPredecessor(head, entry);
    this.#entries++;
  }

  #unlink(id: number, direction: number): void {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    const bucket = this.#bucketOf(this.#hashRecord(base, direction));
    const entry = (id << 1) | direction;
    const next = records[base + direction];
    const knowsPredecessor = direction === REPLY && this.#hasOneLink(base);
    let before = knowsPredecessor ? records[base + PREDECESSOR] : 0;
    if (this.#buckets[bucket] === entry) {
      this.#buckets[bucket] = next;
      before = 0;
    } else {
      if (!this.#precedes(before, entry)) before = this.#predecessorOf(entry, this.#buckets[bucket]);
      if (before !== 0) records[linkOf(before)] = next;
    }
    if (knowsPredecessor) this.#setPredecessor(next, before);
    this.#entries--;
  }

  /** Whether a record is known by its reply key only: requests from port 0 are never looked up. */
  #hasOneLink(base: number): boolean {
    return this.records[base + PORTS_REQUEST] >>> 16 === 0 && (this.records[base + FLAGS] & CONN_F_REPLY_KEY) !== 0;
  }

  /** Notes for an entry of a record with one link which one is before it. */
  #setPredecessor(entry: number, before: number): void {
    const base = (entry >> 1) << RECORD_SHIFT;
    if ((entry & 1) === REPLY && this.#hasOneLink(base)) this.records[base + PREDECESSOR] = before;
  }

  /** Whether a noted predecessor still is one: others may have come between, or it has gone. */
  #precedes(before: number, entry: number): boolean {
    return (
      before !== 0 &&
      this.records[((before >> 1) << RECORD_SHIFT) + KIND] !== 0 &&
      this.records[linkOf(before)] === entry
    );
  }

  /** The entry before one in the chain from `head` on, 0 for none. */
  #predecessorOf(entry: number, head: number): number {
    let at = head;
    while (at !== 0 && this.records[linkOf(at)] !== entry) at = this.records[linkOf(at)];
    return at;
  }

  /** Adds a group of buckets, after bringing into the cache what that will look at. */
  #grow(): void {
    const buckets = this.#buckets;
    const heads = this.#heads;
    let touched = 0;
    for (let i = 0; i < SPLIT_GROUP; i++) heads[i] = buckets[(this.#size + i) & this.#low];
    for (let i = 0; i < SPLIT_GROUP; i++) touched ^= this.records[(heads[i] >> 1) << RECORD_SHIFT];
    this.touched = touched;
    for (let i = 0; i < SPLIT_GROUP && this.#size < buckets.length; i++) this.#split();
  }

  /**
   * Adds one bucket and moves to it what belongs there out of the one bucket that held it until now. Of entries with the
   * same key the newest has to be found first, so the order is kept.
   */
  #split(): void {
    const records = this.records;
    const added = this.#size;
    const home = added & this.#low;
    let entry = this.#buckets[home];
    this.#size++;
    this.#buckets[home] = 0;
    let keptTail = NOWHERE;
    let movedTail = NOWHERE;
    while (entry !== 0) {
      const base = (entry >> 1) << RECORD_SHIFT;
      const link = base + (entry & 1);
      const next = records[link];
      records[link] = 0;
      if ((this.#hashRecord(base, entry & 1) & this.#high) === added) {
        if (movedTail === NOWHERE) this.#buckets[added] = entry;
        else records[movedTail] = entry;
        movedTail = link;
      } else {
        if (keptTail === NOWHERE) this.#buckets[home] = entry;
        else records[keptTail] = entry;
        keptTail = link;
      }
      entry = next;
    }
    if (this.#size > this.#high) {
      this.#low = this.#high;
      this.#high = 2 * this.#high + 1;
    }
  }

  /** Takes the last bucket away and gives its chain back to the bucket that it was split from. */
  #merge(): void {
    if (this.#size - 1 === this.#low) {
      this.#high = this.#low;
      this.#low >>>= 1;
    }
    const records = this.records;
    const last = --this.#size;
    const first = this.#buckets[last];
    if (first === 0) return;
    this.#buckets[last] = 0;
    const home = last & this.#low;
    let tail = linkOf(first);
    while (records[tail] !== 0) tail = linkOf(records[tail]);
    records[tail] = this.#buckets[home];
    this.#buckets[home] = first;
  }
}

/** Whether nobody looks a request key up: of a connection from port 0, or of a template whose key is its engine's data. */
function isUnsought(kind: number, ports: number): boolean {
  return (kind & KIND_ENGINE) !== 0 || (ports >>> 16 === 0 && (kind & (KIND_TEMPLATE | KIND_EXPECTED)) === 0);
}

/** Index of the word that leads on from a chain entry. */
function linkOf(entry: number): number {
  return ((entry >> 1) << RECORD_SHIFT) + (entry & 1);
}
