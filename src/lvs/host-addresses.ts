// SPDX-License-Identifier: Apache-2.0
// What the director asks of the machine that it runs on: its addresses. Four words each, as read off the wire.

export interface HostAddresses {
  isLocal(family: number, words: Int32Array): boolean;
  /** The address from which the machine would speak to `destination`, or undefined when it has no way there. */
  sourceFor(family: number, destination: Int32Array): ArrayLike<number> | undefined;
  /**
   * Whether the machine would deliver to itself a packet with firewall mark `mark` that came in by `device`: because the
   * destination is its own, or policy routing makes it so.
   */
  deliversMarked(family: number, source: Int32Array, destination: Int32Array, mark: number, device: number): boolean;
}
