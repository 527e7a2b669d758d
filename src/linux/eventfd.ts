// SPDX-License-Identifier: Apache-2.0
// Wakes a thread that is blocked in poll(2). The waiting thread polls the number and calls `clear`; any thread of the
// process calls `signal`. `Atomics.wait` does not serve here: it cannot wait for descriptors as well.

import { Fd, readFd, writeFd } from './fd.ts';
import { check, libc } from './libc.ts';

const EFD_CLOEXEC = 0x80000;
const EFD_NONBLOCK = 0x800;

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

const $eventfd = libc.func('int eventfd(unsigned int initial, int flags)');

/** A wake-up: signalled any number of times, seen as one. */
export class EventFd {
  readonly #fd: Fd;
  readonly #count = new Uint8Array(8);

  constructor() {
    this.#fd = new Fd(check($eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd', 'wake-up'));
  }

  /** Readable while a signal waits. Pass it to another thread, which signals with {@link signalEventFd}. */
  get number(): number {
    return this.#fd.number;
  }

  signal(): void {
    signalEventFd(this.#fd.number);
  }

  /** Takes back what was signalled; true when there was something. */
  clear(): boolean {
    return readFd(this.#fd.number, this.#count, 'wake-up') > 0;
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Signals an eventfd that another thread owns. */
export function signalEventFd(number: number): void {
  writeFd(number, ONE, 'wake-up');
}
