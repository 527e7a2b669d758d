// SPDX-License-Identifier: Apache-2.0
// What the director asks of the machine that it runs on: its addresses, and the ways to others. Addresses are four words
// each, as read off the wire.

/** The machine sends packets there by one of its devices. */
export const PATH_OUT = 0;
/** The machine has the address itself. */
export const PATH_LOCAL = 1;
/** No route leads there. */
export const PATH_NONE = 2;

/** How the machine gets to an address, as far as routes say. */
export interface Path {
  /** PATH_OUT, PATH_LOCAL or PATH_NONE. */
  readonly kind: number;
  /** Longest IP packet that fits; 0 where none goes out. */
  readonly mtu: number;
  /** The address from which the machine would speak, if it has one. */
  readonly source: ArrayLike<number> | undefined;
}

export interface HostAddresses {
  /** Becomes another number when routes, addresses or devices change: a {@link Path} found before may be wrong now. */
  readonly changes: number;
  /** The least MTU of all ways out: no check is needed for shorter packets. */
  readonly leastMtu: number;
  isLocal(family: number, words: ArrayLike<number>): boolean;
  pathTo(family: number, words: ArrayLike<number>): Path;
  /** The address from which the machine would speak to `destination`, or undefined when it has no way there. */
  sourceFor(family: number, destination: ArrayLike<number>): ArrayLike<number> | undefined;
  /**
   * Whether the machine would deliver to itself a packet with firewall mark `mark` that came in by `device`: because the
   * destination is its own, or policy routing makes it so.
   */
  deliversMarked(family: number, source: Int32Array, destination: Int32Array, mark: number, device: number): boolean;
}
