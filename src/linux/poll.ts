// SPDX-License-Identifier: Apache-2.0
// Waits for input on several descriptors at once. The engine thread blocks here between batches, so that a wait
// allocates nothing.
// hot path

import { constants } from 'node:os';
import { SysError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

//  0 fd(4)  4 events(2)  6 revents(2)                                   struct pollfd, poll(2)
const POLLFD_SIZE = 8;
const POLLFD_WORDS = POLLFD_SIZE / 4;

export const POLLIN = 0x1;
export const POLLERR = 0x8;
const REVENTS_SHIFT = 16;

const { EINTR } = constants.errno;

const $poll = libc.func('int poll(void *fds, unsigned long count, int timeoutMs)');

/** A fixed number of places for descriptors to wait on. A place keeps its index until it is removed. */
export class PollSet {
  readonly #words: Int32Array;
  readonly #capacity: number;
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#words = new Int32Array(capacity * POLLFD_WORDS);
    for (let i = 0; i < capacity; i++) this.#words[i * POLLFD_WORDS] = -1;
  }

  /** Takes a descriptor in and returns its index. `events` is what to wait for, input by default. */
  add(fd: number, events = POLLIN): number {
    for (let i = 0; i < this.#capacity; i++) {
      if (this.#words[i * POLLFD_WORDS] !== -1) continue;
      this.#words[i * POLLFD_WORDS] = fd;
      this.#words[i * POLLFD_WORDS + 1] = events;
      if (i >= this.#count) this.#count = i + 1;
      return i;
    }
    throw new RangeError(`a poll set of ${this.#capacity} descriptors is full`);
  }

  /** Forgets the descriptor at `index`; the others keep theirs. */
  remove(index: number): void {
    this.#words[index * POLLFD_WORDS] = -1;
    this.#words[index * POLLFD_WORDS + 1] = 0;
    while (this.#count > 0 && this.#words[(this.#count - 1) * POLLFD_WORDS] === -1) this.#count--;
  }

  /**
   * Waits until a descriptor is ready and returns how many are; 0 when the time is over or a signal came in between.
   * A timeout of 0 looks once, -1 waits for ever.
   */
  wait(timeoutMs: number): number {
    const ready = $poll(this.#words, this.#count, timeoutMs);
    if (ready >= 0) return ready;
    const errno = lastErrno();
    // The array holds answers of an earlier wait after an error: none of them is true now.
    for (let i = 0; i < this.#count; i++) this.#words[i * POLLFD_WORDS + 1] &= 0xffff;
    if (errno === EINTR) return 0;
    throw new SysError('poll', errno, `${this.#count} descriptors`);
  }

  /** Whether anything was reported for `index` in the last wait, errors and hang-ups included. */
  isReady(index: number): boolean {
    return this.#words[index * POLLFD_WORDS + 1] >> REVENTS_SHIFT !== 0;
  }

  /** What was reported for `index` in the last wait: POLLIN, POLLERR … as bits. */
  events(index: number): number {
    return this.#words[index * POLLFD_WORDS + 1] >>> REVENTS_SHIFT;
  }
}
