// SPDX-License-Identifier: Apache-2.0
// A whole datagram as a frame somewhere in memory, and what it looked like when it came: what reassembly leaves behind
// and fragmentation begins with. One long-lived object for each use.
// hot path

import type { FrameMemory } from '../frame-memory.ts';

/** Most fragments of which a datagram is made. Each costs a step of a search, so that floods of tiny ones stay cheap. */
export const MAX_FRAGMENTS = 512;

export class Datagram {
  /** Where the frame is. Assigned rarely, and always of the same kind. */
  memory: FrameMemory;
  /** Its Ethernet header, of which only the type means something. */
  frame = 0;
  /** Bytes of the frame, Ethernet header included. */
  length = 0;
  /** Bytes of the largest fragment as an IP packet (IPCB(skb)->frag_max_size), 0 when it came whole. */
  largestFragment = 0;
  /** IPv6: identification for its fragments. (IPv4 has it in its header.) */
  identification = 0;
  /** This machine made it and may fragment it although it is IPv6 (skb->ignore_df). */
  isOwn = false;
  /** Ends of the fragments that it came in, counted in fragmentable bytes: `cuts[0 … cutCount - 1]`. */
  readonly cuts: Int32Array = new Int32Array(MAX_FRAGMENTS);
  cutCount = 0;

  constructor(memory: FrameMemory) {
    this.memory = memory;
  }

  /** Makes it a frame that came, or was made, whole. */
  setWhole(memory: FrameMemory, frame: number, length: number): void {
    this.memory = memory;
    this.frame = frame;
    this.length = length;
    this.largestFragment = 0;
    this.identification = 0;
    this.isOwn = false;
    this.cutCount = 0;
  }
}
