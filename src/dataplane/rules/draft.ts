// SPDX-License-Identifier: Apache-2.0
// The kernel's rules on their way to a RuleSet: each with its place, what it could do, and either the rule or the reason
// why there is none. Made by nft-rules.ts and xt-rules.ts, judged by influence.ts.

import {
  ACCEPT,
  DISPATCH,
  DROP,
  FROM_CT_DIRECTION,
  FROM_CT_MARK,
  FROM_CT_STATE,
  GOTO,
  JUMP,
  MAP,
  RETURN,
  type Rule,
  UNTRACK,
  WRITE,
} from '../../lvs/classify/rules.ts';
import type { RulePlace } from '../../lvs/model.ts';

/** What a rule could do to a packet that it fits. */
export interface Effects {
  /** It writes the packet's mark or its connection's. */
  readonly marks: boolean;
  readonly drops: boolean;
  /** It ends the base chain. */
  readonly accepts: boolean;
  /** It ends its own chain. */
  readonly leaves: boolean;
  /** It changes the packet, which later rules may look at. */
  readonly alters: boolean;
  /** It takes the packet out of connection tracking. */
  readonly untracks: boolean;
  /** Chains that it may call, and chains that it may go over to, by index. */
  readonly jumps: readonly number[];
  readonly gotos: readonly number[];
}

export const NO_EFFECTS: Effects = {
  marks: false,
  drops: false,
  accepts: false,
  leaves: false,
  alters: false,
  untracks: false,
  jumps: [],
  gotos: [],
};

export interface DraftRule {
  readonly place: RulePlace;
  readonly effects: Effects;
  /** Absent when it cannot be read. */
  readonly rule: Rule | undefined;
  /** Why not, or ''. */
  readonly reason: string;
}

export interface DraftChain {
  readonly place: RulePlace;
  readonly rules: readonly DraftRule[];
}

/** A chain with a hook. */
export interface DraftBase {
  readonly chain: number;
  readonly hook: 'prerouting' | 'input';
  readonly priority: number;
  /** Chains of NAT share one place in the order of the hook, and have an order of their own there; 0 for others. */
  readonly natPriority: number;
  readonly isNat: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly drops: boolean;
}

/** Where the chains of NAT stand in PREROUTING, whatever their own priority: NF_IP_PRI_NAT_DST (nf_nat_proto.c). */
export const NAT_PRIORITY = -100;

export interface Draft {
  readonly chains: readonly DraftChain[];
  /** In the order in which they were made. */
  readonly bases: readonly DraftBase[];
}

/** Thrown while a rule is being made, when something in it cannot be: the reason. */
export class UnreadableError extends Error {}

/** Whether a rule asks for what connection tracking knows, or writes there. */
export function usesConntrack(rule: Rule): boolean {
  return rule.steps.some((step) => {
    if (step.kind === WRITE) return step.tracked;
    if (step.kind === MAP && step.toConnection) return true;
    return 'field' in step && step.field.some(({ source }) => CONNTRACK.includes(source));
  });
}

const CONNTRACK: readonly number[] = [FROM_CT_DIRECTION, FROM_CT_MARK, FROM_CT_STATE];

/** What a rule that was read could do. */
export function effectsOf(rule: Rule): Effects {
  const jumps: number[] = [];
  const gotos: number[] = [];
  const effects = {
    ...NO_EFFECTS,
    marks: false,
    drops: false,
    accepts: false,
    leaves: false,
    untracks: false,
    jumps,
    gotos,
  };
  const take = (verdict: number, target: number): void => {
    if (verdict === DROP) effects.drops = true;
    if (verdict === ACCEPT) effects.accepts = true;
    if (verdict === RETURN || verdict === GOTO) effects.leaves = true;
    if (verdict === JUMP) jumps.push(target);
    if (verdict === GOTO) gotos.push(target);
  };
  for (const step of rule.steps) {
    if (step.kind === WRITE || step.kind === MAP) effects.marks = true;
    if (step.kind === UNTRACK) effects.untracks = true;
    if (step.kind !== DISPATCH) continue;
    for (const [i, verdict] of step.verdicts.entries()) take(verdict, step.targets[i]);
    take(step.otherwise, step.otherwiseTarget);
  }
  take(rule.verdict, rule.target);
  return effects;
}
