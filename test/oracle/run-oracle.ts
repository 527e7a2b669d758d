// SPDX-License-Identifier: Apache-2.0
// The oracle at work: scenarios go to the kernel in portions, what comes back is compared with the director, and the first
// differences are shrunk and described.

import { generate, type Pace } from './generate.ts';
import { type ForwardOptions, generateForward } from './generate-forward.ts';
import type { TimedOutcome } from './outcome.ts';
import { replay } from './replay.ts';
import { describe } from './report.ts';
import type { Scenario } from './scenario.ts';
import { type Finding, type Play, shrink } from './shrink.ts';

/** Scenarios that wait beside one another: a long one costs no more than its packets. */
const PORTION = 40;
/** Differences that are looked into; more of them are mostly the same. */
const MOST_FINDINGS = 3;
/** Of ten scenarios five do not wait, three until resets are forgotten, two until SYNs are. */
const PACES: readonly Pace[] = [
  ...['short', 'medium', 'short', 'long', 'short'],
  ...['medium', 'short', 'long', 'short', 'medium'],
] as Pace[];

export interface OracleTally {
  cases: number;
  packets: number;
  /** Cases in which the last part was not compared (see replay.ts). */
  ambiguous: number;
  /** Cases that differed once and not when the kernel played them again: the moment of its timers decided. */
  unsteady: number;
  different: number;
}

export interface OracleRun {
  readonly play: Play;
  readonly say: (line: string) => void;
  /** Gets every scenario with what the kernel made of it. */
  readonly record?: (scenario: Scenario, outcomes: readonly TimedOutcome[]) => void;
  readonly onFinding: (finding: Finding) => void;
}

/** Scenarios of a seed, from number `first` on. */
export function scenariosOf(seed: number, first: number, cases: number, packets: number): Scenario[] {
  return Array.from({ length: cases }, (_, i) => {
    const number = first + i;
    return generate(seed, number, packets, PACES[number % PACES.length]);
  });
}

/** Scenarios of a seed about forwarding, from number `first` on. */
export function forwardScenariosOf(
  seed: number,
  first: number,
  cases: number,
  packets: number,
  options: ForwardOptions,
): Scenario[] {
  return Array.from({ length: cases }, (_, i) => generateForward(seed, first + i, packets, options));
}

export async function runOracle(scenarios: readonly Scenario[], run: OracleRun): Promise<OracleTally> {
  const tally: OracleTally = { cases: 0, packets: 0, ambiguous: 0, unsteady: 0, different: 0 };
  for (let at = 0; at < scenarios.length; at += PORTION) {
    const portion = scenarios.slice(at, at + PORTION);
    const played = await run.play(portion);
    for (const [i, scenario] of portion.entries()) await compare(scenario, played[i], run, tally);
    const { cases, packets, different, unsteady, ambiguous } = tally;
    run.say(`${cases} cases, ${packets} packets, ${different} different, ${unsteady} unsteady, ${ambiguous} cut short`);
  }
  return tally;
}

async function compare(
  scenario: Scenario,
  outcomes: readonly TimedOutcome[],
  run: OracleRun,
  tally: OracleTally,
): Promise<void> {
  run.record?.(scenario, outcomes);
  const { difference, director, packets, ambiguousFrom } = await replay(scenario, outcomes);
  tally.cases++;
  tally.packets += packets;
  if (ambiguousFrom !== undefined) tally.ambiguous++;
  if (difference === undefined) return;
  const found = { scenario, outcomes, director, difference };
  const again = await playAgain(scenario, run.play);
  if (again === undefined) {
    tally.unsteady++;
    run.say(`${scenario.name}: differs once and not again\n${describe(found, 12)}`);
    return;
  }
  tally.different++;
  run.say(`${scenario.name}: step ${difference.step + 1}: ${difference.what}`);
  if (tally.different <= MOST_FINDINGS) run.onFinding(await shrink(again, run.play));
}

/** What the kernel makes of a scenario the second time, if that differs from the director too. */
async function playAgain(scenario: Scenario, play: Play): Promise<Finding | undefined> {
  const [outcomes] = await play([scenario]);
  const { difference, director } = await replay(scenario, outcomes);
  return difference && { scenario, outcomes, director, difference };
}
