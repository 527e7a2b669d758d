// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { endChild, identify, isAlive } from './processes.ts';

test('a process is known by number and start time, so that a reused number is not taken for it', () => {
  const own = identify(process.pid);
  assert.ok(own);
  assert.ok(isAlive(own));
  assert.equal(isAlive({ pid: own.pid, startTicks: '1' }), false);
});

test('a child that ignores SIGTERM is ended all the same', { timeout: 60_000 }, async () => {
  const script = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')";
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((up) => child.stdout.once('data', up));
  const id = identify(child.pid ?? 0);
  assert.ok(id);
  await endChild(child);
  assert.equal(isAlive(id), false);
  await endChild(child);
});
