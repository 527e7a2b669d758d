// SPDX-License-Identifier: Apache-2.0
// The frames' memory as the director needs it.

/** Two views of one buffer, for their whole life. */
export interface FrameMemory {
  readonly view: DataView;
  readonly bytes: Uint8Array;
}
