// SPDX-License-Identifier: Apache-2.0
// What came of a scenario, on either side of the oracle: one outcome for each step, as plain data.

import type { Side } from './world.ts';

/** A frame that left the director, whole, as hexadecimal digits. */
export interface Emission {
  readonly side: Side;
  readonly frame: string;
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
