// SPDX-License-Identifier: Apache-2.0
// Plays a scenario that the kernel has played into the director, packet for packet and at the same times, and finds the
// first step at which they differ.

import { fromHex } from '../support/frames.ts';
import { Choices, type Disagreement, differenceOf } from './compare.ts';
import { DirectorWorld } from './director-world.ts';
import { type Emission, type Listing, listingsOf, type StepOutcome, type TimedOutcome } from './outcome.ts';
import { commandsFrom, conversationName, type PacketStep, type Scenario, type Step } from './scenario.ts';
import { dependsOnTimerWheel } from './timer-wheel-doubt.ts';

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
  const world = new DirectorWorld(scenario);
  const choices = new Choices();
  const datagrams = new Map<string, Datagram>();
  const director: TimedOutcome[] = [];
  let packets = 0;
  for (let i = 0; i < scenario.steps.length; ) {
    const { at, took = 0, outcome } = kernel[i];
    if (dependsOnTimerWheel(world.director.connections, at, outcome.kind === 'look' ? took : 0))
      return { difference: undefined, director, packets, ambiguousFrom: i };
    world.moveTo(at);
    const lines = commandsFrom(scenario.steps, i);
    const ours =
      lines.length > 0 ? await runCommands(world, lines) : await play(world, scenario.steps[i], outcome, datagrams);
    director.push({ at, outcome: ours });
    const found = differenceOf(outcome, ours, choices, took);
    if (found !== undefined) return { difference: { step: i, ...found }, director, packets, ambiguousFrom: undefined };
    if (outcome.kind === 'packet') packets++;
    i += Math.max(1, lines.length);
    if (world.isInDoubt) return { difference: undefined, director, packets, ambiguousFrom: i };
  }
  return { difference: undefined, director, packets, ambiguousFrom: undefined };
}

/** What a kernel without services made of a datagram's fragments, by where they begin. */
type Datagram = Map<number, readonly Emission[]>;

/** What it has made of the packet; of all of a datagram, which the director gives back as a whole. */
function plainOf(
  { piece, ...step }: PacketStep,
  plain: readonly Emission[],
  datagrams: Map<string, Datagram>,
): readonly Emission[] {
  if (piece === undefined) return plain;
  const name = `${conversationName(step)} ${step.direction} ${piece.id}`;
  const datagram: Datagram = datagrams.get(name) ?? new Map();
  datagrams.set(name, datagram);
  if (!datagram.has(piece.at)) datagram.set(piece.at, plain);
  return [...datagram].sort(([a], [b]) => a - b).flatMap(([, emissions]) => emissions);
}

async function runCommands(world: DirectorWorld, lines: readonly string[]): Promise<StepOutcome> {
  return { kind: 'command', ...(await world.ipvsadm(['-R'], lines.join('\n'))) };
}

async function play(
  world: DirectorWorld,
  step: Step,
  kernel: StepOutcome,
  datagrams: Map<string, Datagram>,
): Promise<StepOutcome> {
  if (kernel.kind === 'packet') {
    const { emissions, isPassed } = world.exchange(kernel.side, fromHex(kernel.packet));
    const plain = step.kind === 'packet' ? plainOf(step, kernel.plain, datagrams) : kernel.plain;
    return { ...kernel, emissions: isPassed ? [...emissions, ...plain] : emissions };
  }
  if (step.kind === 'sysctl') world.sysctl(step.name, step.value);
  if (step.kind !== 'look') return kernel;
  const listings: Listing[] = [];
  for (const name of listingsOf(step.counters)) {
    listings.push({ name, text: (await world.ipvsadm(name.split(' '))).output });
  }
  return { kind: 'look', listings };
}
