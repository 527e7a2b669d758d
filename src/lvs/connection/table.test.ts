// SPDX-License-Identifier: Apache-2.0
// The connection table against a plain Map: thousands of records come and go, so that buckets split and merge and
// records are used again. Addresses are drawn from few, so that keys collide too.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Random } from '../../../test/support/random.ts';
import {
  CLIENT,
  CLIENT_6,
  CONN_F_REPLY_KEY,
  connectionMemoryBytes,
  DESTINATION,
  DESTINATION_6,
  FLAGS,
  KIND,
  LOCAL,
  LOCAL_6,
  layConnectionMemory,
  MAX_CONNECTIONS,
  MIN_BUCKETS,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  RECORD_WORDS,
  REPLY,
  REQUEST,
  VIRTUAL,
  VIRTUAL_6,
} from './layout.ts';
import { ConnectionTable } from './table.ts';

interface Key {
  readonly kind: number;
  readonly source: readonly number[];
  readonly destination: readonly number[];
  readonly ports: number;
}

interface Keys {
  readonly request: Key;
  readonly reply: Key;
}

interface Connection {
  readonly id: number;
  readonly request: Key;
  /** Absent when the connection is not found by its replies. */
  readonly reply: Key | undefined;
}

const nameOf = ({ kind, source, destination, ports }: Key): string => `${kind} ${source} ${destination} ${ports}`;

/** A table and, beside it, what should be in it. */
class Pair {
  readonly table: ConnectionTable;
  readonly live: Connection[] = [];
  readonly #buckets: Int32Array;
  /** Entries (id << 1 | direction) by key. */
  readonly #entries = new Map<string, Set<number>>();
  readonly #view = new DataView(new ArrayBuffer(32));

  constructor(maxConnections: number, seed: number) {
    const memory = layConnectionMemory(new ArrayBuffer(connectionMemoryBytes(maxConnections)), maxConnections);
    this.#buckets = memory.buckets;
    this.table = new ConnectionTable(memory, { k0: seed, k1: ~seed });
  }

  insert({ request, reply }: Keys, isRepliedTo: boolean): void {
    const id = this.table.allocate();
    assert.ok(id > 0 && id <= this.table.maxConnections);
    const { records } = this.table;
    const base = id << RECORD_SHIFT;
    assert.ok(
      records.subarray(base, base + RECORD_WORDS).every((word) => word === 0),
      'record is not zeroed',
    );
    const write = (word: number, rest: number, address: readonly number[]): void => {
      records[base + word] = address[0];
      for (let i = 1; i < address.length; i++) records[base + rest + i - 1] = address[i];
    };
    records[base + KIND] = request.kind;
    records[base + PORTS_REQUEST] = request.ports;
    records[base + PORTS_REPLY] = reply.ports;
    write(CLIENT, CLIENT_6, request.source);
    write(VIRTUAL, VIRTUAL_6, request.destination);
    write(DESTINATION, DESTINATION_6, reply.source);
    write(LOCAL, LOCAL_6, reply.destination);
    records[base + FLAGS] = isRepliedTo ? CONN_F_REPLY_KEY : 0;
    this.table.insert(id);
    this.live.push({ id, request, reply: isRepliedTo ? reply : undefined });
    this.#note(request, (id << 1) | REQUEST);
    if (isRepliedTo) this.#note(reply, (id << 1) | REPLY);
  }

  remove(index: number): void {
    const { id, request, reply } = this.live[index];
    this.live[index] = this.live[this.live.length - 1];
    this.live.pop();
    this.table.remove(id);
    this.#entries.get(nameOf(request))?.delete((id << 1) | REQUEST);
    if (reply !== undefined) this.#entries.get(nameOf(reply))?.delete((id << 1) | REPLY);
  }

  lookup(key: Key): number {
    const { kind, source, destination, ports } = key;
    if (source.length === 1) {
      const hash = this.table.hashIpv4(kind, source[0], destination[0], ports);
      return this.table.lookupIpv4(kind, source[0], destination[0], ports, hash);
    }
    for (const [i, word] of [...source, ...destination].entries()) this.#view.setInt32(i * 4, word);
    return this.table.lookupIpv6(kind, this.#view, 0, ports);
  }

  /** The table finds one of the entries of a key, or none where there is none. */
  check(key: Key): void {
    const entries = this.#entries.get(nameOf(key));
    const found = this.lookup(key);
    if (entries === undefined || entries.size === 0) assert.equal(found, 0, nameOf(key));
    else assert.ok(entries.has(found), `${nameOf(key)}: found ${found}`);
  }

  checkAll(): void {
    assert.equal(this.table.count, this.live.length);
    assert.equal(new Set(this.live.map(({ id }) => id)).size, this.live.length);
    for (const { request, reply } of this.live) {
      this.check(request);
      if (reply !== undefined) this.check(reply);
    }
    assert.ok(this.#buckets.subarray(this.table.bucketCount).every((head) => head === 0));
    const { records, highestId } = this.table;
    let used = 0;
    for (let id = 1; id <= highestId; id++) if (records[(id << RECORD_SHIFT) + KIND] !== 0) used++;
    assert.equal(used, this.live.length);
  }

  #note(key: Key, entry: number): void {
    const name = nameOf(key);
    const entries = this.#entries.get(name);
    if (entries === undefined) this.#entries.set(name, new Set([entry]));
    else entries.add(entry);
  }
}

/** Keys of a connection among few clients, virtual services and servers. */
function randomKeys(random: Random): Keys {
  const isIpv6 = random.chance(0.4);
  const kind = (random.pick([6, 17]) << 8) | (isIpv6 ? 6 : 4);
  const address = (net: number, count: number): number[] => {
    const host = random.below(count);
    return isIpv6 ? [0x20010db8, net, random.below(2), host] : [((net << 24) | host) >> 0];
  };
  const client = address(10, 64);
  const clientPort = 1024 + random.below(400);
  const [virtual, server] = [address(172, 3), address(192, 8)];
  const [virtualPort, serverPort] = [random.pick([80, 443]), random.pick([8080, 80])];
  return {
    request: { kind, source: client, destination: virtual, ports: (clientPort << 16) | virtualPort },
    reply: { kind, source: server, destination: client, ports: (serverPort << 16) | clientPort },
  };
}

/** A stretch of insertions, of removals, or of both mixed. */
const phase = fc.record({
  steps: fc.integer({ min: 0, max: 5000 }),
  insertions: fc.constantFrom(0, 0.2, 0.5, 0.8, 1),
});
const GROW = { steps: 6000, insertions: 1 };
const SHRINK = { steps: 20_000, insertions: 0 };

test('the table holds what a Map holds while buckets split and merge and records are used again', () => {
  let mostBuckets = 0;
  let merges = 0;
  fc.assert(
    fc.property(fc.integer(), fc.array(phase, { maxLength: 5 }), (seed, phases) => {
      const random = new Random(seed);
      const pair = new Pair(32_000, seed);
      for (const { steps, insertions } of [...phases, GROW, SHRINK]) {
        for (let i = 0; i < steps; i++) {
          const buckets = pair.table.bucketCount;
          if (random.chance(insertions)) pair.insert(randomKeys(random), random.chance(0.8));
          else if (pair.live.length > 0) pair.remove(random.below(pair.live.length));
          if (pair.table.bucketCount < buckets) merges++;
          mostBuckets = Math.max(mostBuckets, pair.table.bucketCount);
          if (i % 16 === 0) pair.check(randomKeys(random).request);
          if (i % 16 === 8) pair.check(randomKeys(random).reply);
        }
        pair.checkAll();
      }
      assert.equal(pair.table.count, 0);
    }),
    { numRuns: 4 },
  );
  assert.ok(mostBuckets > 2 * MIN_BUCKETS, `at most ${mostBuckets} buckets: the run was too small`);
  assert.ok(merges > 1000, `${merges} merges: the run was too small`);
});

test('buckets follow the entries up and down again, never below the least', () => {
  const pair = new Pair(40_000, 1);
  const random = new Random(2);
  assert.equal(pair.table.bucketCount, MIN_BUCKETS);
  const fill = (count: number): void => {
    while (pair.live.length < count) pair.insert(randomKeys(random), true);
  };
  fill(20_000);
  assert.equal(pair.table.bucketCount, 80_000);
  pair.checkAll();
  for (let round = 0; round < 200_000 && pair.table.bucketCount > MIN_BUCKETS; round++) {
    if (pair.live.length === 0) fill(10);
    pair.remove(random.below(pair.live.length));
  }
  assert.equal(pair.table.bucketCount, MIN_BUCKETS);
  fill(1000);
  pair.checkAll();
  fill(20_000);
  assert.equal(pair.table.bucketCount, 80_000);
  pair.checkAll();
});

test('a full table gives no record until one is removed, and gives that one', () => {
  const pair = new Pair(1000, 3);
  const random = new Random(4);
  for (let i = 0; i < 1000; i++) pair.insert(randomKeys(random), true);
  assert.equal(pair.table.allocate(), 0);
  pair.checkAll();
  const { id } = pair.live[500];
  pair.remove(500);
  assert.equal(pair.table.allocate(), id);
  assert.equal(pair.table.allocate(), 0);
});

test('a key that differs in one word only is another key, in the same bucket too', () => {
  for (const words of [1, 4]) {
    const pair = new Pair(10, 5);
    const source = new Array<number>(words).fill(1);
    const destination = new Array<number>(words).fill(2);
    const request: Key = { kind: words === 1 ? 0x604 : 0x606, source, destination, ports: (1 << 16) | 2 };
    const reply: Key = { kind: request.kind, source: destination.map((w) => w + 1), destination: source, ports: 3 };
    pair.insert({ request, reply }, true);
    for (const key of [request, reply]) {
      assert.notEqual(pair.lookup(key), 0);
      assert.equal(pair.lookup({ ...key, source: key.destination, destination: key.source }), 0);
      // So many values of each word that some fall into the bucket of the key itself.
      for (let value = 10; value < 20_010; value++) {
        const put = (address: readonly number[], at: number): number[] => address.map((w, i) => (i === at ? value : w));
        assert.equal(pair.lookup({ ...key, kind: (value << 8) | (key.kind & 0xff) }), 0);
        assert.equal(pair.lookup({ ...key, ports: value }), 0);
        for (let i = 0; i < words; i++) {
          assert.equal(pair.lookup({ ...key, source: put(key.source, i) }), 0);
          assert.equal(pair.lookup({ ...key, destination: put(key.destination, i) }), 0);
        }
      }
    }
  }
});

test('memory is cut for 1 to MAX_CONNECTIONS connections, its parts side by side', () => {
  for (const maximum of [0, -1, 0.5, Number.NaN, MAX_CONNECTIONS + 1]) {
    assert.throws(() => layConnectionMemory(new ArrayBuffer(1024), maximum), RangeError, `${maximum}`);
  }
  for (const maximum of [1, 2048, 2049, 5000]) {
    const bytes = connectionMemoryBytes(maximum);
    const { buckets, timers, records } = layConnectionMemory(new ArrayBuffer(bytes), maximum);
    assert.ok(buckets.length >= 2 * maximum && buckets.length >= MIN_BUCKETS);
    assert.equal(buckets.length & (buckets.length - 1), 0);
    assert.equal(timers.byteOffset, buckets.byteOffset + buckets.byteLength);
    assert.equal(records.byteOffset, timers.byteOffset + timers.byteLength);
    assert.equal(records.byteOffset % 64, 0);
    assert.equal(records.length, (maximum + 1) * RECORD_WORDS);
    assert.equal(records.byteOffset + records.byteLength, bytes);
  }
});
