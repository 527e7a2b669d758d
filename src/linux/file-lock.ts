// SPDX-License-Identifier: Apache-2.0
// Locks of open files and folders (flock(2)). A lock belongs to the open file: it ends when that is closed, so a process
// that dies leaves none behind. They are advisory, between those that ask for them.

import { constants } from 'node:os';
import { SysError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

const { EINTR, EWOULDBLOCK } = constants.errno;

const $flock = libc.func('int flock(int fd, int operation)');

/** Locks the open file, waiting for whoever has it. Never wait for a lock of this same thread. */
export function waitForLock(fd: number, context: string): void {
  flock(fd, LOCK_EX, context);
}

/** Locks the open file; false when somebody else has it. */
export function tryLock(fd: number, context: string): boolean {
  return flock(fd, LOCK_EX | LOCK_NB, context);
}

function flock(fd: number, operation: number, context: string): boolean {
  while ($flock(fd, operation) !== 0) {
    const errno = lastErrno();
    if (errno === EWOULDBLOCK) return false;
    if (errno !== EINTR) throw new SysError('flock', errno, context);
  }
  return true;
}
