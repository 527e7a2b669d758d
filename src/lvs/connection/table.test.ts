// SPDX-License-Identifier: Apache-2.0
// The connection table against a plain Map: thousands of records come and go, so that buckets split and merge and
// records are used again. Addresses are drawn from few, so that keys are equal too: then the newest is found, always. Many
// connections of one key: table-shared-keys.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Key, ModelledTable, randomKeys } from '../../../test/support/modelled-table.ts';
import { Random } from '../../../test/support/random.ts';
import { connectionMemoryBytes, layConnectionMemory, MAX_CONNECTIONS, MIN_BUCKETS, RECORD_WORDS } from './layout.ts';

/** A stretch of insertions, of removals, or of both mixed. */
const phase = fc.record({
  steps: fc.integer({ min: 0, max: 5000 }),
  insertions: fc.constantFrom(0, 0.2, 0.5, 0.8, 1),
});
const GROW = { steps: 6000, insertions: 1 };
const SHRINK = { steps: 20_000, insertions: 0 };

for (const [ports, most] of [
  [400, 20],
  [8, 200],
]) {
  test(`the table finds what a Map holds while buckets split and merge, with ${ports} ports a client`, () => {
    let mostBuckets = 0;
    let merges = 0;
    let shared = 0;
    fc.assert(
      fc.property(fc.integer(), fc.array(phase, { maxLength: 5 }), (seed, phases) => {
        const random = new Random(seed);
        const pair = new ModelledTable(32_000, seed);
        for (const { steps, insertions } of [...phases, GROW, SHRINK]) {
          for (let i = 0; i < steps; i++) {
            const buckets = pair.table.bucketCount;
            if (random.chance(insertions)) pair.insert(randomKeys(random, ports), random.chance(0.8));
            else if (pair.live.length > 0 && random.chance(0.9)) pair.remove(random.below(pair.live.length));
            else if (pair.live.length > 0) pair.rekey(random.below(pair.live.length), 0xffff);
            if (pair.table.bucketCount < buckets) merges++;
            mostBuckets = Math.max(mostBuckets, pair.table.bucketCount);
            if (i % 16 === 0) pair.check(randomKeys(random, ports).request);
            if (i % 16 === 8) pair.check(randomKeys(random, ports).reply);
          }
          shared = Math.max(shared, pair.shared);
          pair.checkAll();
        }
        while (pair.live.length > 0) pair.remove(random.below(pair.live.length));
        assert.equal(pair.table.count, 0);
      }),
      { numRuns: 3 },
    );
    assert.ok(mostBuckets > 2 * MIN_BUCKETS, `at most ${mostBuckets} buckets: the run was too small`);
    assert.ok(merges > 1000, `${merges} merges: the run was too small`);
    assert.ok(shared > most, `${shared} keys of several entries`);
  });
}

test('a bucket gives the records whose request key lies in it, each once, and no more than fit', () => {
  const pair = new ModelledTable(6000, 7);
  const random = new Random(8);
  for (let i = 0; i < 6000; i++) pair.insert(randomKeys(random, 3), random.chance(0.8));
  const seen: number[] = [];
  for (let bucket = 0; bucket < pair.table.bucketCount; bucket++) {
    const ids = new Int32Array(6000);
    const whole = [...ids.subarray(0, pair.table.collect(bucket, ids))];
    seen.push(...whole);
    const few = new Int32Array(2);
    const count = pair.table.collect(bucket, few);
    assert.deepEqual([count, ...few.subarray(0, count)], [Math.min(2, whole.length), ...whole.slice(0, 2)]);
  }
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    pair.live.map(({ id }) => id).sort((a, b) => a - b),
  );
});

test('a record that was never inserted is free again when it is discarded, and found by nobody before', () => {
  const pair = new ModelledTable(2, 9);
  const id = pair.table.allocate();
  assert.deepEqual([id, pair.table.isFull], [1, false]);
  pair.insert(randomKeys(new Random(1)), true);
  assert.equal(pair.table.isFull, true);
  pair.table.discard(id);
  assert.deepEqual([pair.table.isFull, pair.table.count], [false, 1]);
  pair.checkAll();
  assert.equal(pair.table.allocate(), id);
});

for (const [what, portless, most] of [
  ['connections', 0, 80_000],
  ['connections from port 0', 1, 40_000],
] as const) {
  test(`buckets follow the entries of ${what} up and down again, never below the least`, () => {
    const pair = new ModelledTable(40_000, 1);
    const random = new Random(2);
    assert.equal(pair.table.bucketCount, MIN_BUCKETS);
    const fill = (count: number): void => {
      while (pair.live.length < count) pair.insert(randomKeys(random, 400, portless), true);
    };
    fill(20_000);
    assert.equal(pair.table.bucketCount, most);
    pair.checkAll();
    for (let round = 0; round < 200_000 && pair.table.bucketCount > MIN_BUCKETS; round++) {
      if (pair.live.length === 0) fill(10);
      pair.remove(random.below(pair.live.length));
    }
    assert.equal(pair.table.bucketCount, MIN_BUCKETS);
    fill(1000);
    pair.checkAll();
    fill(20_000);
    assert.equal(pair.table.bucketCount, most);
    pair.checkAll();
  });
}

test('a full table gives no record until one is removed, and gives that one', () => {
  const pair = new ModelledTable(1000, 3);
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
    const pair = new ModelledTable(10, 5);
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
