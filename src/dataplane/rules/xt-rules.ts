// SPDX-License-Identifier: Apache-2.0
// The tables of iptables-legacy as a draft. Pure.

import { NFPROTO_IPV4 } from '../../linux/netfilter/nfnetlink.ts';
import type { XtReading } from '../../linux/netfilter/xt-reader.ts';
import {
  XT_ACCEPT,
  XT_DROP,
  XT_RETURN,
  type XtChain,
  type XtRule,
  type XtTable,
} from '../../linux/netfilter/xt-table.ts';
import { ACCEPT, CONTINUE, DROP, GOTO, JUMP, RETURN, type Rule } from '../../lvs/classify/rules.ts';
import type { RulePlace } from '../../lvs/model.ts';
import {
  type Draft,
  type DraftBase,
  type DraftChain,
  type DraftRule,
  type Effects,
  effectsOf,
  NAT_PRIORITY,
  NO_EFFECTS,
  UnreadableError,
} from './draft.ts';
import { matchSteps, targetEffects, targetSteps, testStep } from './xt-steps.ts';

const PREROUTING = 0;
const INPUT = 1;

/** Priorities of the tables' hooks before IPVS (enum nf_ip_hook_priorities). */
const PRIORITIES: Readonly<Record<string, Readonly<Partial<Record<DraftBase['hook'], number>>>>> = {
  raw: { prerouting: -300 },
  mangle: { prerouting: -150, input: -150 },
  nat: { prerouting: NAT_PRIORITY },
  filter: { input: 0 },
  security: { input: 50 },
};

/** What `readings` are. Chains are counted from `first`, so that drafts can be put together. */
export function draftXt(readings: readonly XtReading[], first: number): Draft {
  const chains: DraftChain[] = [];
  const bases: DraftBase[] = [];
  for (const reading of readings) {
    if (!Object.hasOwn(PRIORITIES, reading.name)) continue;
    if (reading.table === undefined) {
      bases.push(...brokenBases(reading, first + chains.length));
      chains.push(brokenChain(reading));
      continue;
    }
    const { table } = reading;
    bases.push(...basesOf(table, first + chains.length));
    chains.push(...draftTable(table, first + chains.length));
  }
  return { chains, bases };
}

function basesOf(table: XtTable, first: number): DraftBase[] {
  return table.chains.flatMap((chain, i): DraftBase[] => {
    const hook = chain.hook === PREROUTING ? 'prerouting' : chain.hook === INPUT ? 'input' : undefined;
    const priority = hook && PRIORITIES[table.name][hook];
    if (hook === undefined || priority === undefined) return [];
    const ipv4 = table.family === NFPROTO_IPV4;
    const drops = policyOf(chain) === XT_DROP;
    return [{ ...orderOf(table.name, priority), chain: first + i, hook, ipv4, ipv6: !ipv4, drops }];
  });
}

function draftTable(table: XtTable, first: number): DraftChain[] {
  const indexes = new Map(table.chains.map(({ offset }, i) => [offset, first + i]));
  return table.chains.map((chain) => {
    const place = placeOf(table, chain.name, 0);
    // The last rule of a hook's chain is its policy.
    const rules = chain.hook === undefined ? chain.rules : chain.rules.slice(0, -1);
    return { place, rules: rules.map((rule, i) => draftRule(table, rule, indexes, { ...place, number: i + 1 })) };
  });
}

function policyOf({ rules }: XtChain): number {
  return rules.at(-1)?.verdict ?? XT_ACCEPT;
}

function draftRule(table: XtTable, rule: XtRule, indexes: ReadonlyMap<number, number>, place: RulePlace): DraftRule {
  try {
    const made = readRule(table.family, rule, indexes);
    return { place, rule: made, effects: effectsOf(made), reason: '' };
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return { place, rule: undefined, effects: effectsOfEntry(rule, indexes), reason: error.message };
  }
}

function readRule(family: number, rule: XtRule, indexes: ReadonlyMap<number, number>): Rule {
  const steps = [...rule.tests.map(testStep), ...rule.matches.flatMap((match) => matchSteps(family, match))];
  if (rule.target.name !== '') {
    const target = targetSteps(rule.target);
    return { steps: [...steps, ...target.steps], verdict: target.verdict, target: 0 };
  }
  const [verdict, target] = standardVerdict(rule, indexes);
  return { steps, verdict, target };
}

/** Verdict and chain of the standard target. ip_tables.c jumps to offsets; a rule without target to the next rule's. */
function standardVerdict({ verdict, isGoto }: XtRule, indexes: ReadonlyMap<number, number>): [number, number] {
  if (verdict === XT_ACCEPT) return [ACCEPT, 0];
  if (verdict === XT_DROP) return [DROP, 0];
  if (verdict === XT_RETURN) return [RETURN, 0];
  if (verdict < 0) throw new UnreadableError(verdict === -4 ? 'queue' : `verdict ${verdict}`);
  const chain = indexes.get(verdict);
  if (chain !== undefined) return [isGoto ? GOTO : JUMP, chain];
  return [CONTINUE, 0];
}

function effectsOfEntry(rule: XtRule, indexes: ReadonlyMap<number, number>): Effects {
  if (rule.target.name !== '') return targetEffects(rule.target);
  try {
    const [verdict, target] = standardVerdict(rule, indexes);
    return effectsOf({ steps: [], verdict, target });
  } catch {
    return { ...NO_EFFECTS, accepts: true, drops: true };
  }
}

/** A table that could not be read may do anything, in each of its hooks. */
function brokenBases({ family, name }: XtReading, chain: number): DraftBase[] {
  const ipv4 = family === NFPROTO_IPV4;
  return (['prerouting', 'input'] as const).flatMap((hook) => {
    const priority = PRIORITIES[name][hook];
    if (priority === undefined) return [];
    return [{ ...orderOf(name, priority), chain, hook, ipv4, ipv6: !ipv4, drops: false }];
  });
}

function orderOf(table: string, priority: number): Pick<DraftBase, 'priority' | 'natPriority' | 'isNat'> {
  const isNat = table === 'nat';
  return { priority, natPriority: isNat ? priority : 0, isNat };
}

function brokenChain(reading: XtReading): DraftChain {
  const place = placeOf(reading, '', 0);
  const effects: Effects = { ...NO_EFFECTS, marks: true, drops: true, accepts: true };
  return { place, rules: [{ place, rule: undefined, effects, reason: reading.problem }] };
}

function placeOf({ family, name }: { family: number; name: string }, chain: string, number: number): RulePlace {
  return { source: 'iptables-legacy', family: family === NFPROTO_IPV4 ? 'ip' : 'ip6', table: name, chain, number };
}
