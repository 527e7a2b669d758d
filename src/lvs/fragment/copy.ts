// SPDX-License-Identifier: Apache-2.0
// Bytes from one memory to another. `Uint8Array.set` would need a new view of the source for each packet.
// hot path

/** Copies `length` bytes; the places must not overlap. */
export function copyBytes(from: DataView, source: number, to: DataView, target: number, length: number): void {
  const end = source + length;
  const shift = target - source;
  let at = source;
  for (; at + 4 <= end; at += 4) to.setInt32(at + shift, from.getInt32(at));
  for (; at < end; at++) to.setUint8(at + shift, from.getUint8(at));
}
