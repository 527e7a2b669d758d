// SPDX-License-Identifier: Apache-2.0
// The director's count of packets at a moment when none is under way, so that it can be compared with those of devices.

import { setTimeout as delay } from 'node:timers/promises';
import { abortable } from './abortable.ts';
import type { LabDirector } from './director.ts';

/** Between two looks: longer than a packet's way, or a delayed acknowledgement (RFC 1122 §4.2.3.2: below 500 ms, here 40). */
const LOOK_MS = 100;
const MOST_LOOKS = 50;

export interface Packets {
  readonly received: number;
  /** In both directions, as far as they cross the director. */
  readonly both: number;
}

/** Packets of services, once two looks agree. */
export async function packetsAtRest(director: LabDirector, signal: AbortSignal): Promise<Packets> {
  let before = await look(director, signal);
  for (let i = 0; i < MOST_LOOKS; i++) {
    await abortable(delay(LOOK_MS), signal);
    const now = await look(director, signal);
    if (now.both === before.both) return now;
    before = now;
  }
  return before;
}

async function look(director: LabDirector, signal: AbortSignal): Promise<Packets> {
  const { inPackets, outPackets } = (await abortable(director.status(), signal)).totals.counters;
  return { received: inPackets, both: inPackets + outPackets };
}
