// SPDX-License-Identifier: Apache-2.0
// Waiting for descriptors and being woken.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { EventFd, signalEventFd } from './eventfd.ts';
import { POLLIN, PollSet } from './poll.ts';

test('an eventfd counts as ready from its signal until it is cleared', () => {
  const event = new EventFd();
  const set = new PollSet(1);
  const index = set.add(event.number);
  assert.equal(set.wait(0), 0);
  assert.equal(set.isReady(index), false);
  assert.equal(event.clear(), false);
  event.signal();
  signalEventFd(event.number);
  assert.equal(set.wait(-1), 1);
  assert.equal(set.isReady(index), true);
  assert.equal(set.events(index), POLLIN);
  assert.equal(event.clear(), true);
  assert.equal(event.clear(), false);
  assert.equal(set.wait(0), 0);
  assert.equal(set.isReady(index), false);
  event.close();
});

test('removing a descriptor leaves the indices of the others, and its place is used again', () => {
  const events = [new EventFd(), new EventFd(), new EventFd()];
  const set = new PollSet(3);
  const [a, b, c] = events.map((event) => set.add(event.number));
  assert.throws(() => set.add(0), RangeError);
  for (const event of events) event.signal();
  assert.equal(set.wait(0), 3);
  set.remove(b);
  assert.equal(set.wait(0), 2);
  assert.deepEqual([set.isReady(a), set.isReady(b), set.isReady(c)], [true, false, true]);
  assert.equal(set.add(events[1].number), b);
  assert.equal(set.wait(0), 3);
  set.remove(c);
  set.remove(b);
  set.remove(a);
  assert.equal(set.wait(0), 0);
  for (const event of events) event.close();
});

test('a closed descriptor in the set is reported as ready instead of waiting for ever', () => {
  const event = new EventFd();
  const set = new PollSet(1);
  const index = set.add(event.number);
  event.close();
  assert.equal(set.wait(-1), 1);
  assert.equal(set.isReady(index), true);
});

test('a thread that waits for ever is woken by a signal of another thread', async () => {
  const event = new EventFd();
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.module).then(({ PollSet }) => {
      const set = new PollSet(1);
      set.add(workerData.fd);
      parentPort.postMessage('waiting');
      parentPort.postMessage(set.wait(-1));
    });`;
  const module = new URL('./poll.js', import.meta.url).href;
  const worker = new Worker(source, { eval: true, workerData: { module, fd: event.number } });
  try {
    assert.deepEqual(await once(worker, 'message'), ['waiting']);
    const woken = once(worker, 'message');
    event.signal();
    assert.deepEqual(await woken, [1]);
  } finally {
    event.signal();
    await once(worker, 'exit');
    event.close();
  }
});
