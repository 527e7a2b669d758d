// SPDX-License-Identifier: Apache-2.0
// What the lab `tun` measures and prints, and the sizes that it goes by. Pure.

import type { Family } from '../packet/address.ts';
import type { TunnelType } from '../realserver/setup.ts';
import type { FrameCounts } from './frame-counts.ts';

/** Bytes around a packet, by what it is in; the addresses' family is the tunnel's. Each is more than the one before. */
export const OVERHEAD: Readonly<Record<TunnelType, Readonly<Record<Family, number>>>> = {
  ipip: { 4: 20, 6: 40 },
  gre: { 4: 24, 6: 44 },
  gue: { 4: 32, 6: 52 },
};
export const MTU = 1500;
export const NARROW_MTU = 1400;
/** What is sent in either direction: far more frames than ARP and neighbour discovery. */
export const FILE_BYTES = 2_000_000;
/** Sent in pieces. */
export const DATAGRAM_BYTES = 8_000;
export const DATAGRAMS = 20;
/** What came out for one tunnel and family. */
export interface TunFamilyReport {
  /** Who answered, '' for nobody. */
  readonly answers: readonly string[];
  /** Whether what arrived is what was sent. */
  readonly downloaded: boolean;
  readonly uploaded: boolean;
  /** Frames of the download. */
  readonly frames: FrameCounts;
  /** Packets of it that the director forwarded, by its own counter. */
  readonly forwarded: number;
  /** Largest packet to the virtual address, as the client has learned. */
  readonly mtu: number;
}

export interface NarrowReport {
  readonly downloaded: boolean;
  readonly uploaded: boolean;
  readonly mtu: number;
  /** Datagrams that came back as they were. */
  readonly datagrams: number;
  readonly pinged: boolean;
  /** Addresses of the hops, '*' for one that did not answer. */
  readonly hops: readonly string[];
}

export type Families<T> = Readonly<Record<'ipv4' | 'ipv6', T>>;

/** What `--json` prints. */
export interface TunReport {
  readonly dataplane: string;
  readonly tunnels: Readonly<Record<TunnelType, Families<TunFamilyReport>>>;
  /** Behind a link of {@link NARROW_MTU} bytes, by IPIP. */
  readonly narrow: Families<NarrowReport>;
  /** What is wrong, or null. */
  readonly problem: string | null;
}
