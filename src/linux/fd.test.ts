// SPDX-License-Identifier: Apache-2.0
// Owned descriptors: opening, closing, reading, refusals.

import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { test } from 'node:test';
import { openFd, readFd, writeFd } from './fd.ts';

test('a closed descriptor has the number -1 and may be closed again', () => {
  const fd = openFd('/dev/null', constants.O_RDWR);
  assert.ok(fd.number > 2);
  fd.close();
  fd[Symbol.dispose]();
  assert.equal(fd.number, -1);
  assert.throws(() => readFd(fd.number, new Uint8Array(1), 'closed file'), { message: 'read: EBADF (closed file)' });
});

test('an open descriptor is not inherited by child processes', () => {
  const fd = openFd('/proc/self/status', constants.O_RDONLY);
  const buffer = new Uint8Array(65536);
  const info = openFd(`/proc/self/fdinfo/${fd.number}`, constants.O_RDONLY);
  const text = Buffer.from(buffer.buffer, 0, readFd(info.number, buffer, 'fdinfo')).toString();
  const flags = Number.parseInt(/flags:\s+(\d+)/.exec(text)?.[1] ?? '', 8);
  assert.equal(flags & 0o2000000, 0o2000000);
  info.close();
  fd.close();
});

test('a read returns the count, 0 at the end; a write returns what was taken', () => {
  const zero = openFd('/dev/zero', constants.O_RDWR);
  const buffer = new Uint8Array(16).fill(1);
  assert.equal(readFd(zero.number, buffer, 'zero'), 16);
  assert.deepEqual(buffer, new Uint8Array(16));
  assert.equal(writeFd(zero.number, buffer, 'zero'), 16);
  zero.close();
  const nothing = openFd('/dev/null', constants.O_RDONLY);
  assert.equal(readFd(nothing.number, buffer, 'null'), 0);
  nothing.close();
});

test('a non-blocking descriptor without input answers -1', () => {
  const terminal = openFd('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  assert.equal(readFd(terminal.number, new Uint8Array(1), 'terminal'), -1);
  terminal.close();
});

test('a file that cannot be opened is named with the errno', () => {
  assert.throws(() => openFd('/nonexistent/file', constants.O_RDONLY), {
    name: 'SysError',
    errno: 'ENOENT',
    message: "open: ENOENT ('/nonexistent/file')",
  });
});
