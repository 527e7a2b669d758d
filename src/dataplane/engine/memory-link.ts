// SPDX-License-Identifier: Apache-2.0
// A link in plain memory, for tests and simulations: what `deliver` puts in is received, what the engine sends is
// collected. It keeps the contract of Link, frames and all, so that the engine runs on it as on a device.

import type { FramePool } from './frame-pool.ts';
import { HOLDER_NONE } from './frame-pool.ts';
import { BATCH, FRAME_SIZE, type FrameBatch, type Link } from './link.ts';

/** Where a packet starts in its frame, as AF_XDP does it. */
const HEADROOM = 256;

export interface MemoryLinkOptions {
  readonly name: string;
  readonly index: number;
  readonly pool: FramePool;
  /** The memory that the pool's offsets point into. */
  readonly bytes: Uint8Array;
  /** Frames that it sends between two flushes, for a device that is slow; all when absent. */
  readonly capacity?: number;
}

export class MemoryLink implements Link {
  readonly name: string;
  readonly index: number;
  readonly mode = 'memory';
  readonly queues = 1;
  readonly pollFds: readonly number[] = [];
  readonly pending = false;
  rxPackets = 0;
  txPackets = 0;
  txDropped = 0;
  /** Copies of the frames that were sent, in order. */
  readonly sent: Uint8Array[] = [];
  readonly #pool: FramePool;
  readonly #bytes: Uint8Array;
  readonly #waiting: number[] = [];
  readonly #capacity: number;
  #queued = 0;

  constructor(options: MemoryLinkOptions) {
    this.name = options.name;
    this.index = options.index;
    this.#pool = options.pool;
    this.#bytes = options.bytes;
    this.#capacity = options.capacity ?? Number.POSITIVE_INFINITY;
  }

  /** Puts a frame where the next receive finds it. Throws a RangeError when it does not fit or no frame is free. */
  deliver(frame: Uint8Array): void {
    const offset = this.allocate();
    if (offset === -1 || frame.length > FRAME_SIZE - HEADROOM) throw new RangeError('no room for the frame');
    this.#bytes.set(frame, offset);
    this.#waiting.push(offset, frame.length);
  }

  receive(batch: FrameBatch): number {
    const count = Math.min(BATCH, this.#waiting.length >> 1);
    for (let i = 0; i < count; i++) {
      batch.offsets[i] = this.#waiting[2 * i];
      batch.lengths[i] = this.#waiting[2 * i + 1];
    }
    this.#waiting.splice(0, 2 * count);
    this.rxPackets += count;
    return count;
  }

  transmit(offset: number, length: number): boolean {
    this.#pool.give(offset);
    if (this.#queued === this.#capacity) {
      this.txDropped++;
      return false;
    }
    this.#queued++;
    this.sent.push(this.#bytes.slice(offset, offset + length));
    this.txPackets++;
    return true;
  }

  recycle(offset: number): void {
    this.#pool.give(offset);
  }

  flush(): void {
    this.#queued = 0;
  }

  allocate(): number {
    const offset = this.#pool.take(HOLDER_NONE);
    return offset === -1 ? -1 : offset + HEADROOM;
  }

  close(): void {}
}
