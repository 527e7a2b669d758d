// SPDX-License-Identifier: Apache-2.0
// The free frames of one frame memory, shared by the links of one engine thread: a stack of offsets, so that the frame
// which was used last, and is still in the CPU's cache, goes out first. It also knows which link has lent each frame to
// the kernel, because a link that closes must bring home frames that no ring shows any more.
// hot path

import { FRAME_MASK, FRAME_SIZE } from './link.ts';

/** Holder of a frame that is in the pool or with the engine. */
export const HOLDER_NONE = 0;

const FRAME_SHIFT = 31 - Math.clz32(FRAME_SIZE);
const MAX_HOLDER = 255;

export class FramePool {
  readonly frames: number;
  readonly #stack: Int32Array;
  /** By frame number: the holder outside of the engine. */
  readonly #holders: Uint8Array;
  readonly #usedHolders: Set<number> = new Set();
  #free = 0;

  /** A pool of all frames of a memory of `frames` frames, frame 0 on top. */
  constructor(frames: number) {
    this.frames = frames;
    this.#stack = new Int32Array(frames);
    this.#holders = new Uint8Array(frames);
    for (let i = frames - 1; i >= 0; i--) this.#stack[this.#free++] = i << FRAME_SHIFT;
  }

  /** Frames that can be taken now. */
  get free(): number {
    return this.#free;
  }

  /** The start of a free frame, which `holder` has from now on; -1 when there is none. */
  take(holder: number): number {
    if (this.#free === 0) return -1;
    const offset = this.#stack[--this.#free];
    this.#holders[offset >>> FRAME_SHIFT] = holder;
    return offset;
  }

  /** Puts back the frame that `offset` lies in. Each frame is given once for each time it was taken. */
  give(offset: number): void {
    this.#holders[offset >>> FRAME_SHIFT] = HOLDER_NONE;
    this.#stack[this.#free++] = offset & FRAME_MASK;
  }

  /** Notes that `holder` has the frame that `offset` lies in: a link's number, or HOLDER_NONE for the engine. */
  hand(offset: number, holder: number): void {
    this.#holders[offset >>> FRAME_SHIFT] = holder;
  }

  /** A number for a link. */
  addHolder(): number {
    for (let holder = 1; holder <= MAX_HOLDER; holder++) {
      if (this.#usedHolders.has(holder)) continue;
      this.#usedHolders.add(holder);
      return holder;
    }
    throw new RangeError(`a frame pool serves at most ${MAX_HOLDER} links`);
  }

  /** Takes back every frame of a link whose sockets are closed. */
  removeHolder(holder: number): void {
    for (let i = 0; i < this.frames; i++) {
      if (this.#holders[i] === holder) this.give(i << FRAME_SHIFT);
    }
    this.#usedHolders.delete(holder);
  }
}
