// SPDX-License-Identifier: Apache-2.0
// The four rings of an AF_XDP socket: two numbers that count up for ever, a flags word and a table, in memory shared
// with the kernel. Used by XdpSocket alone, from one thread. A frame is named by its offset in the UMEM, which is
// smaller than 2 GiB: of the 64-bit addresses in the rings only the low word is ever written or read.
// Documentation/networking/af_xdp.rst, net/xdp/xsk_queue.h.
// hot path

import type { Mapping } from './memory.ts';

const XDP_RING_NEED_WAKEUP = 1;

/** Words of a descriptor: 0 address(8)  8 length(4)  12 options(4). */
const DESCRIPTOR_SHIFT = 2;
const DESCRIPTOR_LENGTH = 2;
/** Words of an entry of the fill and completion rings: 0 address(8). */
const ADDRESS_SHIFT = 1;

/** Where the kernel put the parts of a ring, in bytes: one quarter of struct xdp_mmap_offsets. */
export interface RingOffsets {
  readonly producer: number;
  readonly consumer: number;
  readonly table: number;
  readonly flags: number;
}

/** Free frames, as the rings see them: what is taken to receive into, and where sent frames go back. */
export interface FrameSource {
  /** Frames that can be taken now. */
  readonly free: number;
  /** A frame, from now on held by `holder`. */
  take(holder: number): number;
  give(offset: number): void;
}

/** Packets that came in: the kernel produces, we consume. */
export class RxRing {
  readonly #words: Int32Array;
  readonly #producer: number;
  readonly #consumer: number;
  readonly #table: number;
  readonly #mask: number;
  #next = 0;

  constructor(mapping: Mapping, offsets: RingOffsets, size: number) {
    this.#words = new Int32Array(mapping.buffer);
    this.#producer = offsets.producer >> 2;
    this.#consumer = offsets.consumer >> 2;
    this.#table = offsets.table >> 2;
    this.#mask = size - 1;
  }

  /** Puts waiting packets at `count` and behind until the arrays are full; returns the count afterwards. */
  take(offsets: Int32Array, lengths: Int32Array, count: number): number {
    const words = this.#words;
    let next = this.#next;
    let waiting = (Atomics.load(words, this.#producer) - next) | 0;
    if (waiting === 0) return count;
    const room = offsets.length - count;
    if (waiting > room) waiting = room;
    for (const end = count + waiting; count < end; count++) {
      const at = this.#table + ((next & this.#mask) << DESCRIPTOR_SHIFT);
      offsets[count] = words[at];
      lengths[count] = words[at + DESCRIPTOR_LENGTH];
      next = (next + 1) | 0;
    }
    this.#next = next;
    Atomics.store(words, this.#consumer, next);
    return count;
  }
}

/** Packets to be sent: we produce, the kernel consumes. */
export class TxRing {
  readonly #words: Int32Array;
  readonly #producer: number;
  readonly #consumer: number;
  readonly #flags: number;
  readonly #table: number;
  readonly #size: number;
  #next = 0;
  #submitted = 0;
  /** The kernel's position when it was last read; reading it costs a cache line that the kernel writes. */
  #taken = 0;

  constructor(mapping: Mapping, offsets: RingOffsets, size: number) {
    this.#words = new Int32Array(mapping.buffer);
    this.#producer = offsets.producer >> 2;
    this.#consumer = offsets.consumer >> 2;
    this.#flags = offsets.flags >> 2;
    this.#table = offsets.table >> 2;
    this.#size = size;
  }

  /** Queues one packet; false when the ring is full. The kernel sees it after {@link submit}. */
  push(offset: number, length: number): boolean {
    const words = this.#words;
    const next = this.#next;
    if (((next - this.#taken) | 0) >= this.#size) {
      this.#taken = Atomics.load(words, this.#consumer);
      if (((next - this.#taken) | 0) >= this.#size) return false;
    }
    const at = this.#table + ((next & (this.#size - 1)) << DESCRIPTOR_SHIFT);
    words[at] = offset;
    words[at + DESCRIPTOR_LENGTH] = length;
    this.#next = (next + 1) | 0;
    return true;
  }

  /** Shows the kernel what was queued. */
  submit(): void {
    if (this.#submitted === this.#next) return;
    this.#submitted = this.#next;
    Atomics.store(this.#words, this.#producer, this.#next);
  }

  /** Submitted packets that the kernel has not taken yet. */
  get waiting(): number {
    if (this.#taken === this.#submitted) return 0;
    this.#taken = Atomics.load(this.#words, this.#consumer);
    return (this.#submitted - this.#taken) | 0;
  }

  /** The kernel sends only when it is called. */
  get needsWakeup(): boolean {
    return (Atomics.load(this.#words, this.#flags) & XDP_RING_NEED_WAKEUP) !== 0;
  }
}

/** Empty frames for the kernel to receive into: we produce, the kernel consumes. */
export class FillRing {
  readonly #words: Int32Array;
  readonly #producer: number;
  readonly #consumer: number;
  readonly #flags: number;
  readonly #table: number;
  readonly #size: number;
  #next = 0;

  constructor(mapping: Mapping, offsets: RingOffsets, size: number) {
    this.#words = new Int32Array(mapping.buffer);
    this.#producer = offsets.producer >> 2;
    this.#consumer = offsets.consumer >> 2;
    this.#flags = offsets.flags >> 2;
    this.#table = offsets.table >> 2;
    this.#size = size;
  }

  /** Fills up from `source` as far as it has frames; `holder` has them then. */
  refill(source: FrameSource, holder: number): void {
    const words = this.#words;
    let next = this.#next;
    let room = (this.#size - (next - Atomics.load(words, this.#consumer))) | 0;
    if (room > source.free) room = source.free;
    if (room <= 0) return;
    for (; room > 0; room--) {
      words[this.#table + ((next & (this.#size - 1)) << ADDRESS_SHIFT)] = source.take(holder);
      next = (next + 1) | 0;
    }
    this.#next = next;
    Atomics.store(words, this.#producer, next);
  }

  /** The driver stopped for want of frames and must be called. Only with zero-copy. */
  get needsWakeup(): boolean {
    return (Atomics.load(this.#words, this.#flags) & XDP_RING_NEED_WAKEUP) !== 0;
  }
}

/** Frames that were sent: the kernel produces, we consume. */
export class CompletionRing {
  readonly #words: Int32Array;
  readonly #producer: number;
  readonly #consumer: number;
  readonly #table: number;
  readonly #mask: number;
  #next = 0;

  constructor(mapping: Mapping, offsets: RingOffsets, size: number) {
    this.#words = new Int32Array(mapping.buffer);
    this.#producer = offsets.producer >> 2;
    this.#consumer = offsets.consumer >> 2;
    this.#table = offsets.table >> 2;
    this.#mask = size - 1;
  }

  /** Gives every sent frame back to `source`. */
  drain(source: FrameSource): void {
    const words = this.#words;
    const end = Atomics.load(words, this.#producer);
    let next = this.#next;
    if (next === end) return;
    for (; next !== end; next = (next + 1) | 0) {
      source.give(words[this.#table + ((next & this.#mask) << ADDRESS_SHIFT)]);
    }
    this.#next = end;
    Atomics.store(words, this.#consumer, end);
  }
}
