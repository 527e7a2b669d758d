// SPDX-License-Identifier: Apache-2.0
// The frames' memory as the director needs it.

/** Bytes of one frame slot, a power of two; the packet starts anywhere inside its slot. */
export const FRAME_SIZE = 2048;
/** Bytes before a packet in its slot that the director may use: XDP_PACKET_HEADROOM. */
export const FRAME_HEADROOM = 256;

/** Two views of one buffer, for their whole life. */
export interface FrameMemory {
  readonly view: DataView;
  readonly bytes: Uint8Array;
}
