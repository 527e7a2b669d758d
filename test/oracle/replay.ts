// SPDX-License-Identifier: Apache-2.0
// Plays a scenario that the kernel has played into the director, packet for packet and at the same times, and finds the
// first step at which they differ.

import {
  EXPIRES,
  FLAGS,
  IP_VS_CONN_F_ONE_PACKET,
  KIND,
  RECORD_SHIFT,
  TICKS_PER_SECOND,
  TIMEOUT,
} from '../../src/lvs/connection/layout.ts';
import { fromHex } from '../support/frames.ts';
import { type Disagreement, differenceOf } from './compare.ts';
import { DirectorWorld } from './director-world.ts';
import { type Listing, listingsOf, type StepOutcome, type TimedOutcome } from './outcome.ts';
import { commandsFrom, type Scenario, type Step } from './scenario.ts';

/** The kernel's timer wheel lets a timer run up to an eighth longer; clocks and ticks on top, in ticks. */
const LATEST_SHARE = 8;
const CLOCK_SLACK = 12;

export interface Difference extends Disagreement {
  readonly step: number;
}

export interface ReplayResult {
  readonly difference: Difference | undefined;
  /** What the director made of the steps that were played. */
  readonly director: readonly TimedOutcome[];
  /** Packets that both sides agree about. */
  readonly packets: number;
  /** Step from which nothing was compared: whether a connection was still there depended on the kernel's timer wheel. */
  readonly ambiguousFrom: number | undefined;
}

/** Compares what the kernel made of `scenario` with the director. */
export async function replay(scenario: Scenario, kernel: readonly TimedOutcome[]): Promise<ReplayResult> {
  const world = new DirectorWorld(scenario.marks);
  const director: TimedOutcome[] = [];
  let packets = 0;
  for (let i = 0; i < scenario.steps.length; ) {
    const { at, outcome } = kernel[i];
    if (isAmbiguous(world, at)) return { difference: undefined, director, packets, ambiguousFrom: i };
    world.moveTo(at);
    const lines = commandsFrom(scenario.steps, i);
    const ours = lines.length > 0 ? await runCommands(world, lines) : await play(world, scenario.steps[i], outcome);
    director.push({ at, outcome: ours });
    const found = differenceOf(outcome, ours);
    if (found !== undefined) return { difference: { step: i, ...found }, director, packets, ambiguousFrom: undefined };
    if (outcome.kind === 'packet') packets++;
    i += Math.max(1, lines.length);
  }
  return { difference: undefined, director, packets, ambiguousFrom: undefined };
}

async function runCommands(world: DirectorWorld, lines: readonly string[]): Promise<StepOutcome> {
  return { kind: 'command', ...(await world.ipvsadm(['-R'], lines.join('\n'))) };
}

async function play(world: DirectorWorld, step: Step, kernel: StepOutcome): Promise<StepOutcome> {
  if (kernel.kind === 'packet') {
    const { emissions, isPassed } = world.exchange(kernel.side, fromHex(kernel.packet));
    return { ...kernel, emissions: isPassed ? [...emissions, ...kernel.plain] : emissions };
  }
  if (step.kind === 'sysctl') world.sysctl(step.name, step.value);
  if (step.kind !== 'look') return kernel;
  const listings: Listing[] = [];
  for (const name of listingsOf(step.counters)) {
    listings.push({ name, text: (await world.ipvsadm(name.split(' '))).output });
  }
  return { kind: 'look', listings };
}

/** Whether at so many milliseconds an entry is about to end, or has, so that the kernel may see that otherwise. */
function isAmbiguous(world: DirectorWorld, ms: number): boolean {
  const { records, table } = world.director.connections;
  const now = (ms / 1000) * TICKS_PER_SECOND;
  for (let id = 1; id <= table.highestId; id++) {
    const base = id << RECORD_SHIFT;
    if (records[base + KIND] === 0 || (records[base + FLAGS] & IP_VS_CONN_F_ONE_PACKET) !== 0) continue;
    const over = now - records[base + EXPIRES];
    if (over > -CLOCK_SLACK && over < records[base + TIMEOUT] / LATEST_SHARE + CLOCK_SLACK) return true;
  }
  return false;
}
