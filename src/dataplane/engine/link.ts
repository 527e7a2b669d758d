// SPDX-License-Identifier: Apache-2.0
// What the engine moves packets through. Frames live in one buffer for their whole life (the UMEM, or plain memory in
// tests); a packet is an offset and a length in it. Whoever holds a frame owns it: `receive` hands it to the engine,
// `transmit` and `recycle` take it back.
// hot path

import { FRAME_SIZE } from '../../lvs/frame-memory.ts';

export { FRAME_SIZE };
export const FRAME_MASK = ~(FRAME_SIZE - 1);

/** Most packets of one batch. */
export const BATCH = 64;

/** Packets of one receive call: `offsets[i]` is where packet i begins in the frame memory, `lengths[i]` its bytes. */
export class FrameBatch {
  readonly offsets: Int32Array = new Int32Array(BATCH);
  readonly lengths: Int32Array = new Int32Array(BATCH);
}

/** A network device as the engine sees it. Nothing here allocates, blocks or throws once it is open. */
export interface Link {
  readonly name: string;
  /** Interface index of the kernel; tests choose their own. */
  readonly index: number;
  /** `native`, `generic` or `memory`. */
  readonly mode: string;
  readonly queues: number;
  /** Descriptors to wait on for input. */
  readonly pollFds: readonly number[];
  /** Packets wait that the kernel would not take at the last flush: look again soon instead of blocking for input. */
  readonly pending: boolean;
  rxPackets: number;
  txPackets: number;
  /** Frames that could not be sent because the ring or the device was full. */
  txDropped: number;

  /** Takes up to {@link BATCH} packets, returns how many; 0 means nothing waits. */
  receive(batch: FrameBatch): number;
  /** Queues one packet and owns its frame from now on; false (and the frame is recycled) when the ring is full. */
  transmit(offset: number, length: number): boolean;
  /** Gives a frame back unsent. */
  recycle(offset: number): void;
  /** Tells the kernel of what was queued, collects what was sent, refills what receives. Once per batch. */
  flush(): void;
  /** A free frame for a packet that the engine itself makes, as an offset with headroom, or -1. */
  allocate(): number;

  close(): void;
}
