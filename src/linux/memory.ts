// SPDX-License-Identifier: Apache-2.0
// Memory that the garbage collector does not own: anonymous reservations, files and rings of the kernel. A mapping
// keeps its address for life, so another thread borrows it by address and length. After the owner's `close()` any
// access through a view of it crashes the process: close only when every borrower has stopped.

import { constants } from 'node:os';
import koffi from 'koffi';
import { SysError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const MADV_HUGEPAGE = 14;

/** Node 20 has no larger ArrayBuffer, and its failure to make one would abort the process. */
export const MAX_MAPPING = 2 ** 32;

const { ENOMEM, EPERM, EINVAL, EAGAIN } = constants.errno;

const $mmap = libc.func('intptr_t mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)');
const $munmap = libc.func('int munmap(void *address, size_t length)');
const $madvise = libc.func('int madvise(void *address, size_t length, int advice)');

export interface AnonymousOptions {
  /** Asks for transparent huge pages. A kernel without them gives ordinary pages. */
  readonly hugePages?: boolean;
}

export interface FileMappingOptions {
  readonly offset?: number;
  /** Has the kernel provide every page now instead of at first touch. */
  readonly populate?: boolean;
}

/** A piece of mapped memory, zero-filled when it is anonymous. */
export class Mapping {
  readonly buffer: ArrayBuffer;
  readonly address: bigint;
  readonly length: number;
  #owned: boolean;

  private constructor(address: bigint, length: number, owned: boolean) {
    this.buffer = koffi.view(address, length);
    this.address = address;
    this.length = length;
    this.#owned = owned;
  }

  /** Reserves address space; the kernel commits a page when it is first written. `length` is at most {@link MAX_MAPPING}. */
  static anonymous(length: number, options: AnonymousOptions = {}): Mapping {
    checkLength(length);
    const address = map(length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, `${length} bytes of memory`);
    if (options.hugePages) $madvise(address, length, MADV_HUGEPAGE);
    return new Mapping(address, length, true);
  }

  /** Maps a file, or a ring that the kernel offers at an offset of a descriptor, shared and writable. */
  static shared(fd: number, length: number, context: string, options: FileMappingOptions = {}): Mapping {
    checkLength(length);
    const flags = MAP_SHARED | (options.populate ? MAP_POPULATE : 0);
    return new Mapping(map(length, flags, fd, options.offset ?? 0, context), length, true);
  }

  /** Borrows memory that another thread of this process has mapped and keeps mapped. Closing it does nothing. */
  static attach(address: bigint, length: number): Mapping {
    checkLength(length);
    return new Mapping(address, length, false);
  }

  close(): void {
    if (!this.#owned) return;
    this.#owned = false;
    $munmap(this.address, this.length);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function map(length: number, flags: number, fd: number, offset: number, context: string): bigint {
  const address = BigInt($mmap(null, length, PROT_READ_WRITE, flags, fd, offset));
  if (address !== -1n) return address;
  throw new SysError('mmap', lastErrno(), context, mapRemedy(lastErrno()));
}

function mapRemedy(errno: number): string | undefined {
  if (errno === ENOMEM) return 'use a smaller table, or raise the limit of address space (ulimit -v)';
  if (errno === EPERM || errno === EAGAIN) return 'raise the limit of locked memory (ulimit -l)';
  if (errno === EINVAL) return 'the offset must be a multiple of the page size';
  return undefined;
}

function checkLength(length: number): void {
  if (!Number.isSafeInteger(length) || length <= 0 || length > MAX_MAPPING) {
    throw new RangeError(`a mapping has 1 to ${MAX_MAPPING} bytes, not ${length}`);
  }
}
