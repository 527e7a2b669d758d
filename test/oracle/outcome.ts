// SPDX-License-Identifier: Apache-2.0
// What came of a scenario, on either side of the oracle: one outcome for each step, as plain data.

import { IPPROTO_ICMPV6 } from '../../src/packet/ipv4.ts';
import { hex } from '../support/frames.ts';
import type { Side } from './world.ts';

/** A frame that left the director, whole, as hexadecimal digits. */
export interface Emission {
  /** `local`: not a frame, but what the director's own network stack was given; see {@link deliveredOf}. */
  readonly side: Side | 'local';
  readonly frame: string;
}

/** An IP packet that was delivered locally. */
export function deliveredOf(packet: Uint8Array): Emission {
  return packet[0] >>> 4 === 4
    ? { side: 'local', frame: hex(packet) }
    : deliveredIpv6Of(packet[6], packet.subarray(40));
}

/** Of IPv6 the kernel tells protocol and contents, whose checksum covers the rest; but it leaves ICMPv6's unfinished. */
export function deliveredIpv6Of(protocol: number, contents: Uint8Array): Emission {
  const bytes = contents.slice();
  if (protocol === IPPROTO_ICMPV6) bytes.fill(0, 2, 4);
  return { side: 'local', frame: `${protocol} ${hex(bytes)}` };
}

export interface Listing {
  readonly name: string;
  readonly text: string;
}

export type StepOutcome =
  | {
      readonly kind: 'packet';
      /** The IP packet that was sent in, as hexadecimal digits. */
      readonly packet: string;
      readonly side: Side;
      readonly emissions: readonly Emission[];
      /** What a kernel without any virtual service makes of the packet. */
      readonly plain: readonly Emission[];
    }
  | { readonly kind: 'command'; readonly status: number; readonly output: string }
  | { readonly kind: 'wait' }
  | { readonly kind: 'look'; readonly listings: readonly Listing[] };

export interface TimedOutcome {
  /** Milliseconds since the scenario began. */
  readonly at: number;
  /** Milliseconds that it took, for listings: times in them are of some moment of it. */
  readonly took?: number;
  readonly outcome: StepOutcome;
}

const LISTINGS: readonly string[] = ['-Ln', '-Lnc --persistent-conn'];
const SETTLED_LISTINGS: readonly string[] = [
  ...LISTINGS,
  '-Ln --persistent-conn',
  '-Ln --thresholds',
  '-Ln --stats --exact',
];

/** Command lines of the listings that a look compares. */
export function listingsOf(counters: boolean): readonly string[] {
  return counters ? SETTLED_LISTINGS : LISTINGS;
}
