// SPDX-License-Identifier: Apache-2.0
// What a lab and its client process say to each other over IPC.

import type { Tally } from './tally.ts';

/** One phase: so many requests, at a steady rate. */
export interface PhaseOrder {
  readonly host: string;
  readonly port: number;
  readonly rate: number;
  readonly requests: number;
}

export type ClientMessage =
  /** Counts so far, every {@link PROGRESS_MS}. */
  | { readonly type: 'progress'; readonly tally: Tally }
  /** Every request of the phase was answered or has failed. */
  | { readonly type: 'done'; readonly tally: Tally };

export const PROGRESS_MS = 100;
