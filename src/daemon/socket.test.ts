// SPDX-License-Identifier: Apache-2.0
// The socket's place in the file system: modes, stale and live predecessors, and what is no socket.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratchFolder } from '../../test/support/scratch.ts';
import { isAnswering, listenAt, SocketError } from './socket.ts';

function server(t: TestContext): Server {
  const made = createServer((connection) => connection.destroy());
  t.after(() => made.close());
  return made;
}

/** A socket as a killed daemon leaves it. */
function makeStale(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  assert.equal(spawnSync(process.execPath, ['-e', script]).signal, 'SIGKILL');
  assert.ok(existsSync(path));
}

test('the socket is for its owner only, in a folder that is made for it', async (t) => {
  const folder = join(scratchFolder(t), 'run', 'ballast');
  const path = join(folder, 'a.sock');
  const umask = process.umask();
  await listenAt(server(t), path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(folder).mode & 0o777, 0o755);
  assert.equal(process.umask(), umask);
});

test('the socket of a dead daemon is replaced', async (t) => {
  const folder = scratchFolder(t);
  const path = join(folder, 'a.sock');
  makeStale(path);
  assert.equal(await isAnswering(path), false);
  await listenAt(server(t), path);
  assert.equal(await isAnswering(path), true);
  assert.deepEqual(readdirSync(folder), ['a.sock']);
});

test('a socket that answers is left alone and named', async (t) => {
  const path = join(scratchFolder(t), 'a.sock');
  await listenAt(server(t), path);
  await assert.rejects(listenAt(server(t), path), (error: Error) => {
    assert.ok(error instanceof SocketError);
    assert.equal(error.message, `a Ballast daemon already answers at ${path}: stop it, or choose another --socket`);
    return true;
  });
  assert.equal(await isAnswering(path), true);
});

test('of many that start at once over a stale socket, one gets it', async (t) => {
  const path = join(scratchFolder(t), 'a.sock');
  makeStale(path);
  const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => listenAt(server(t), path)));
  assert.equal(attempts.filter((attempt) => attempt.status === 'fulfilled').length, 1);
  for (const attempt of attempts) {
    if (attempt.status === 'rejected') assert.ok(attempt.reason instanceof SocketError, String(attempt.reason));
  }
  assert.equal(await isAnswering(path), true);
});

test('a file that is no socket is never removed', async (t) => {
  const path = join(scratchFolder(t), 'a.sock');
  writeFileSync(path, 'precious');
  await assert.rejects(listenAt(server(t), path), /exists and is not a socket: remove it$/);
  assert.ok(existsSync(path));
});

test('a path that is too long for a socket is refused by its length', async (t) => {
  const path = join(scratchFolder(t), 'x'.repeat(108));
  await assert.rejects(listenAt(server(t), path), /longer than 107 bytes/);
});
