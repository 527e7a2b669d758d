// SPDX-License-Identifier: Apache-2.0
// File descriptors that somebody owns. The owner closes; everybody else borrows the number. Reads and writes here are
// synchronous system calls for sockets, TUN devices and eventfds; ordinary files belong to `node:fs`.

import { constants } from 'node:os';
import { SysError } from './errno.ts';
import { check, lastErrno, libc, type Remedy } from './libc.ts';

const O_CLOEXEC = 0x80000;

const { EAGAIN, EINTR, EACCES, EPERM, EMFILE, ENFILE } = constants.errno;

const $open = libc.func('int open(const char *path, int flags, unsigned int mode)');
const $close = libc.func('int close(int fd)');
const $read = libc.func('intptr_t read(int fd, void *buffer, size_t length)');
const $write = libc.func('intptr_t write(int fd, const void *buffer, size_t length)');

/** An owned descriptor. After `close()` its number is -1, so that a late use fails with EBADF instead of hitting another file. */
export class Fd {
  #number: number;

  constructor(number: number) {
    this.#number = number;
  }

  get number(): number {
    return this.#number;
  }

  /** Closing twice is harmless. */
  close(): void {
    if (this.#number === -1) return;
    const number = this.#number;
    this.#number = -1;
    // Linux frees the descriptor even when close reports an error (close(2), "Dealing with error returns").
    $close(number);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens `path` with the O_ flags of `node:fs`; the descriptor never reaches a child process. */
export function openFd(path: string, flags: number, mode = 0): Fd {
  return new Fd(check($open(path, flags | O_CLOEXEC, mode), 'open', `'${path}'`, openRemedy));
}

/** Bytes read into `buffer`, 0 at the end, -1 when a non-blocking descriptor has nothing now. */
export function readFd(fd: number, buffer: Uint8Array, context: string): number {
  for (;;) {
    const count = Number($read(fd, buffer, buffer.byteLength));
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EAGAIN) return -1;
    if (errno !== EINTR) throw new SysError('read', errno, context);
  }
}

/** Bytes of `buffer` that were taken, -1 when a non-blocking descriptor takes none now. */
export function writeFd(fd: number, buffer: Uint8Array, context: string): number {
  for (;;) {
    const count = Number($write(fd, buffer, buffer.byteLength));
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EAGAIN) return -1;
    if (errno !== EINTR) throw new SysError('write', errno, context);
  }
}

const openRemedy: Remedy = (errno) => {
  if (errno === EACCES || errno === EPERM) return 'run as root';
  if (errno === EMFILE) return 'raise the limit of open files (ulimit -n)';
  if (errno === ENFILE) return 'raise fs.file-max';
  return undefined;
};
