// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchFolder } from '../../test/support/scratch.ts';
import { openFd } from './fd.ts';
import { tryLock, waitForLock } from './file-lock.ts';

test('a lock keeps others out until it is closed, also on a folder', (t) => {
  const folder = scratchFolder(t);
  using first = openFd(folder, constants.O_RDONLY);
  using second = openFd(folder, constants.O_RDONLY);
  assert.equal(tryLock(first.number, folder), true);
  assert.equal(tryLock(second.number, folder), false);
  first.close();
  waitForLock(second.number, folder);
  assert.throws(() => tryLock(first.number, folder), /^SysError: flock: EBADF/);
});

test('a process that is killed leaves no lock behind', async (t) => {
  const path = join(scratchFolder(t), 'lock');
  const modules = ['fd', 'file-lock'].map((name) => JSON.stringify(join(import.meta.dirname, `${name}.js`)));
  const script = `const { openFd } = await import(${modules[0]}); const { waitForLock } = await import(${modules[1]});
    globalThis.held = openFd(${JSON.stringify(path)}, ${constants.O_RDWR | constants.O_CREAT}, 0o600);
    waitForLock(held.number, 'held'); console.log('locked'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  using own = openFd(path, constants.O_RDWR);
  assert.equal(tryLock(own.number, path), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(tryLock(own.number, path), true);
});
