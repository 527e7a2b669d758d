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
import { differenceOfFrames, differenceOfListing } from './compare.ts';
import { DirectorWorld } from './director-world.ts';
import type { Listing, StepOutcome, TimedOutcome } from './outcome.ts';
import type { Scenario, Step } from './scenario.ts';

/** The kernel's timer wheel lets a timer run up to an eighth longer; clocks and ticks on top, in ticks. */
const LATEST_SHARE = 8;
const CLOCK_SLACK = 12;

export interface Difference {
  readonly step: number;
  readonly what: string;
  readonly kernel: string;
  readonly director: string;
}

export interface ReplayResult {
  readonly difference: Difference | undefined;
  /** Packets that both sides agree about. */
  readonly packets: number;
  /** Step from which nothing was compared: whether a connection was still there depended on the kernel's timer wheel. */
  readonly ambiguousFrom: number | undefined;
}

/** Compares what the kernel made of `scenario` with the director. */
export async function replay(scenario: Scenario, kernel: readonly TimedOutcome[]): Promise<ReplayResult> {
  const world = new DirectorWorld(scenario.marks);
  let packets = 0;
  for (let i = 0; i < scenario.steps.length; i++) {
    const { at, outcome } = kernel[i];
    if (isAmbiguous(world, at)) return { difference: undefined, packets, ambiguousFrom: i };
    world.moveTo(at);
    const step = scenario.steps[i];
    const run = step.kind === 'ipvsadm' ? commandRun(scenario.steps, i) : 1;
    const found =
      run > 1 ? await playCommands(world, scenario.steps.slice(i, i + run), outcome) : await play(world, step, outcome);
    if (found !== undefined) return { difference: { step: i, ...found }, packets, ambiguousFrom: undefined };
    if (step.kind === 'packet') packets++;
    i += run - 1;
  }
  return { difference: undefined, packets, ambiguousFrom: undefined };
}

type Found = Omit<Difference, 'step'> | undefined;

async function play(world: DirectorWorld, step: Step, kernel: StepOutcome): Promise<Found> {
  if (step.kind === 'packet' && kernel.kind === 'packet') {
    const { emissions, isPassed } = world.exchange(kernel.side, fromHex(kernel.packet));
    const ours = isPassed ? [...emissions, ...kernel.plain] : emissions;
    const note = isPassed ? 'frames that leave (passed to the kernel by the director)' : 'frames that leave';
    return differenceOfFrames(note, kernel.emissions, ours);
  }
  if (step.kind === 'ipvsadm' && kernel.kind === 'command') {
    const ours = await world.ipvsadm(step.line.split(' '));
    return differenceOfText(`ipvsadm ${step.line}`, kernel, ours);
  }
  if (step.kind === 'sysctl') world.sysctl(step.name, step.value);
  if (step.kind === 'look' && kernel.kind === 'look') return await look(world, kernel.listings);
  return undefined;
}

async function playCommands(world: DirectorWorld, steps: readonly Step[], kernel: StepOutcome): Promise<Found> {
  const lines = steps.flatMap((step) => (step.kind === 'ipvsadm' ? [step.line] : []));
  const ours = await world.ipvsadm(['-R'], lines.join('\n'));
  return kernel.kind === 'command' ? differenceOfText(`ipvsadm -R: ${lines.join('; ')}`, kernel, ours) : undefined;
}

async function look(world: DirectorWorld, listings: readonly Listing[]): Promise<Found> {
  for (const { name, text } of listings) {
    const ours = (await world.ipvsadm(name.split(' '))).output;
    const found = differenceOfListing(name, text, ours);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface CommandResult {
  readonly status: number;
  readonly output: string;
}

function differenceOfText(what: string, kernel: CommandResult, ours: CommandResult): Found {
  const show = ({ status, output }: CommandResult): string => `${output}[exit ${status}]`;
  return show(kernel) === show(ours) ? undefined : { what, kernel: show(kernel), director: show(ours) };
}

/** How many commands follow one another from step `i` on. */
export function commandRun(steps: readonly Step[], i: number): number {
  let end = i;
  while (end < steps.length && steps[end].kind === 'ipvsadm') end++;
  return end - i;
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
