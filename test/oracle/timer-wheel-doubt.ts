// SPDX-License-Identifier: Apache-2.0
// When the oracle cannot say what the kernel has: its timer wheel lets a timer run up to an eighth longer than it was set
// for (kernel/time/timer.c), by where the wheel stands. What happens in that time may be seen either way.

import type { Connections } from '../../src/lvs/connection/connections.ts';
import {
  CHILDREN,
  CONN_F_CONTROLLED,
  CONTROL,
  EXPIRES,
  FLAGS,
  IP_VS_CONN_F_ONE_PACKET,
  IP_VS_CONN_F_TEMPLATE,
  KIND,
  RECORD_SHIFT,
  TICKS_PER_SECOND,
  TIMEOUT,
} from '../../src/lvs/connection/layout.ts';

const LATEST_SHARE = 8;
/** Clocks and ticks on top, in ticks. */
const SLACK = 12;
const POSTPONED = 60 * TICKS_PER_SECOND;

/** A timer as the wheel may run it: between these two ticks. */
interface Span {
  readonly first: number;
  readonly last: number;
}

/**
 * Whether what the table is `ms` milliseconds after the beginning, or at some moment of the `tookMs` that looking took, depends
 * on the wheel if nothing comes in until then.
 */
export function dependsOnTimerWheel(connections: Connections, ms: number, tookMs = 0): boolean {
  const now = (ms / 1000) * TICKS_PER_SECOND;
  const end = now + (tookMs / 1000) * TICKS_PER_SECOND;
  const { records, table } = connections;
  for (let id = 1; id <= table.highestId; id++) {
    const base = id << RECORD_SHIFT;
    if (records[base + KIND] === 0 || (records[base + FLAGS] & IP_VS_CONN_F_ONE_PACKET) !== 0) continue;
    const { first, last } = spanOf(connections, id);
    if (first < end && now < last) return true;
    const isPutOff = (records[base + FLAGS] & IP_VS_CONN_F_TEMPLATE) !== 0 && records[base + CHILDREN] !== 0;
    if (isPutOff && first < now && isTornBetween(connections, id, now)) return true;
  }
  return false;
}

function spanOf({ records }: Connections, id: number): Span {
  const base = id << RECORD_SHIFT;
  const expires = records[base + EXPIRES];
  return { first: expires - SLACK, last: expires + records[base + TIMEOUT] / LATEST_SHARE + SLACK };
}

/**
 * Whether a template, at one of the times when it is over or put off, may find its last connection there or gone, or may
 * not have come to that time yet.
 */
function isTornBetween(connections: Connections, template: number, now: number): boolean {
  const { records, table } = connections;
  let { first, last } = spanOf(connections, template);
  const children: Span[] = [];
  for (let id = 1; id <= table.highestId; id++) {
    const base = id << RECORD_SHIFT;
    const isChild = (records[base + FLAGS] & CONN_F_CONTROLLED) !== 0 && records[base + CONTROL] === template;
    if (records[base + KIND] !== 0 && isChild) children.push(spanOf(connections, id));
  }
  while (first < now) {
    if (now < last) return true;
    if (children.some((child) => child.first > last)) {
      first += POSTPONED;
      last += POSTPONED + POSTPONED / LATEST_SHARE;
      continue;
    }
    return children.some((child) => child.last >= first);
  }
  return false;
}
