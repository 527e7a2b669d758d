// SPDX-License-Identifier: Apache-2.0
// Many connections of one key in the table: replies to port 0, of which the newest is found, and keys that nobody looks up.
// None of them makes a chain that has to be walked when its connections end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Key, type Keys, ModelledTable, randomKeys } from '../../../test/support/modelled-table.ts';
import { Random } from '../../../test/support/random.ts';
import { KIND_ENGINE, KIND_TEMPLATE, MIN_BUCKETS } from './layout.ts';
import type { ConnectionTable } from './table.ts';

const UDP4 = (17 << 8) | 4;
/** Replies of one server to port 0 of one client: any number of connections have this key. */
const TO_PORT_0: Keys = {
  request: { kind: UDP4, source: [1], destination: [2], ports: 53 },
  reply: { kind: UDP4, source: [3], destination: [1], ports: 53 << 16 },
};

test('hundreds of thousands of connections from port 0 of one client leave in any order, the oldest first too', () => {
  // Walked through, their chain would take 8 · 10¹⁰ steps.
  const count = 400_000;
  const pair = new ModelledTable(count, 10);
  const random = new Random(11);
  const found = (): number => pair.lookup(TO_PORT_0.reply) >> 1;
  for (let i = 0; i < count; i++) pair.insert(TO_PORT_0, true);
  const ids = pair.live.map(({ id }) => id);
  const newest = ids[count - 1];
  for (const id of ids.splice(0, count / 2)) pair.table.remove(id);
  assert.equal(found(), newest);
  while (ids.length > 0) {
    const at = random.below(ids.length);
    const [id, last] = [ids[at], ids.pop() ?? 0];
    if (at < ids.length) ids[at] = last;
    pair.table.remove(id);
  }
  assert.deepEqual([pair.table.count, found()], [0, 0]);
});

/** Keys whose replies lie in the bucket of {@link TO_PORT_0}'s, while there are as few buckets as can be. */
function neighbours(table: ConnectionTable, count: number): Keys[] {
  const bucketOf = ({ kind, source, destination, ports }: Key): number =>
    table.hashIpv4(kind, source[0], destination[0], ports) & (MIN_BUCKETS - 1);
  const home = bucketOf(TO_PORT_0.reply);
  const found: Keys[] = [];
  for (let client = 10; found.length < count; client++) {
    const request: Key = { kind: UDP4, source: [client], destination: [2], ports: (7 << 16) | 53 };
    const reply: Key = { kind: UDP4, source: [3], destination: [client], ports: (53 << 16) | 7 };
    if (bucketOf(reply) === home) found.push({ request, reply });
  }
  return found;
}

test('replies to port 0 are found whatever else comes and goes in their bucket, and however buckets split and merge', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const pair = new ModelledTable(20_000, 13);
      const others = neighbours(pair.table, 6);
      for (let step = 0; step < 400; step++) {
        const dice = random.below(10);
        if (dice < 4) pair.insert(TO_PORT_0, true);
        else if (dice < 6) pair.insert(random.pick(others), true);
        else if (dice < 9 && pair.live.length > 0) pair.remove(random.below(pair.live.length));
        else if (pair.live.length > 4000) while (pair.live.length > 20) pair.remove(random.below(pair.live.length));
        else if (random.chance(0.05)) for (let i = 0; i < 5000; i++) pair.insert(randomKeys(random), true);
        for (const { request, reply } of [TO_PORT_0, ...others]) {
          pair.check(request);
          pair.check(reply);
        }
      }
      pair.checkAll();
      while (pair.live.length > 0) pair.remove(random.below(pair.live.length));
      pair.checkAll();
    }),
    { numRuns: 15 },
  );
});

test('a key that nobody looks up does not fill one bucket: requests from port 0, calls of one client', () => {
  const pair = new ModelledTable(4096, 12);
  const { request } = TO_PORT_0;
  const call: Key = { ...request, kind: request.kind | KIND_TEMPLATE | KIND_ENGINE };
  for (const key of [request, call]) for (let i = 0; i < 1000; i++) pair.insert({ request: key, reply: key }, false);
  const ids = new Int32Array(4096);
  const buckets = Array.from({ length: pair.table.bucketCount }, (_, bucket) => pair.table.collect(bucket, ids));
  assert.ok(Math.max(...buckets) < 10, `${Math.max(...buckets)} in one`);
  while (pair.live.length > 0) pair.remove(pair.live.length - 1);
  assert.equal(pair.table.count, 0);
});
