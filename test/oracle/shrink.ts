// SPDX-License-Identifier: Apache-2.0
// Makes a scenario that shows a difference as short as it gets: what comes after is cut off, then pieces are left out,
// large ones first, as long as the two sides still differ (ddmin, Zeller 2002).

import type { TimedOutcome } from './outcome.ts';
import { type Difference, replay } from './replay.ts';
import { commandsFrom, conversationName, type PacketStep, type Scenario, type Step } from './scenario.ts';

/** Scenarios that are tried beside one another. */
const TRIED_AT_ONCE = 12;

export interface Finding {
  readonly scenario: Scenario;
  /** What the kernel made of it, and what the director. */
  readonly outcomes: readonly TimedOutcome[];
  readonly director: readonly TimedOutcome[];
  readonly difference: Difference;
}

/** Has the kernel play scenarios beside one another. */
export type Play = (scenarios: readonly Scenario[]) => Promise<readonly (readonly TimedOutcome[])[]>;

/** The shortest scenario found that still shows a difference. */
export async function shrink(found: Finding, play: Play): Promise<Finding> {
  let best = cut(found);
  for (const simplify of SIMPLER) {
    const simpler = withSteps(best.scenario, simplify(best.scenario.steps));
    if (simpler.steps.length === best.scenario.steps.length) continue;
    best = cut((await firstThatDiffers(best, [simpler], play)) ?? best);
  }
  for (let size = Math.ceil(best.scenario.steps.length / 2); size >= 1; ) {
    const smaller = await firstThatDiffers(best, candidates(best.scenario, size), play);
    if (smaller !== undefined) best = cut(smaller);
    else if (size === 1) break;
    else size = Math.ceil(size / 2);
    size = Math.min(size, Math.max(1, Math.ceil(best.scenario.steps.length / 2)));
  }
  return best;
}

/** Without the steps behind the difference. */
function cut(found: Finding): Finding {
  const { scenario, outcomes, difference } = found;
  const end = difference.step + Math.max(1, commandsFrom(scenario.steps, difference.step).length);
  return { ...found, scenario: withSteps(scenario, scenario.steps.slice(0, end)), outcomes: outcomes.slice(0, end) };
}

/** The scenario without each piece of `size` steps; the last step, which shows the difference, stays. */
function candidates(scenario: Scenario, size: number): Scenario[] {
  const steps = scenario.steps;
  const last = steps[steps.length - 1];
  // Counters are worth a look only after the pause in which they settle.
  const kept = steps.length - (last.kind === 'look' && last.counters ? 2 : 1);
  const shorter: Scenario[] = [];
  for (let at = 0; at < kept; at += size) {
    const end = Math.min(at + size, kept);
    shorter.push(withSteps(scenario, [...steps.slice(0, at), ...steps.slice(end)]));
  }
  return shorter;
}

/** What most differences do without. */
const SIMPLER: readonly ((steps: readonly Step[]) => Step[])[] = [
  withoutWaits,
  sameService,
  sameConversation,
  withoutLooks,
];

/** Without the pauses, but for one in which counters settle before a last look at them. */
function withoutWaits(steps: readonly Step[]): Step[] {
  return steps.filter((step, i) => step.kind !== 'wait' || i === steps.length - 2);
}

function withoutLooks(steps: readonly Step[]): Step[] {
  return steps.filter((step, i) => step.kind !== 'look' || i === steps.length - 1);
}

/** Packets to the last packet's virtual end alone. */
function sameService(steps: readonly Step[]): Step[] {
  return packetsLike(steps, (step, last) => step.virtual === last.virtual && step.virtualPort === last.virtualPort);
}

function sameConversation(steps: readonly Step[]): Step[] {
  return packetsLike(steps, (step, last) => conversationName(step) === conversationName(last));
}

function packetsLike(steps: readonly Step[], isLike: (step: PacketStep, last: PacketStep) => boolean): Step[] {
  const last = steps[steps.length - 1];
  return last.kind !== 'packet' ? [...steps] : steps.filter((step) => step.kind !== 'packet' || isLike(step, last));
}

function withSteps(scenario: Scenario, steps: readonly Step[]): Scenario {
  return { ...scenario, steps };
}

async function firstThatDiffers(best: Finding, shorter: readonly Scenario[], play: Play): Promise<Finding | undefined> {
  for (let at = 0; at < shorter.length; at += TRIED_AT_ONCE) {
    const tried = shorter.slice(at, at + TRIED_AT_ONCE);
    const played = await play(tried);
    for (const [i, scenario] of tried.entries()) {
      const { difference, director } = await replay(scenario, played[i]);
      if (difference?.what === best.difference.what) return { scenario, outcomes: played[i], director, difference };
    }
  }
  return undefined;
}
