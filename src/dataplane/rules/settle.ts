// SPDX-License-Identifier: Apache-2.0
// From a draft to what the engine walks and what people are told: the rules that have a say, in the order in which
// packets meet them, and those that should have one and cannot be read. Pure.

import { formatRule } from '../../lvs/classify/format-rule.ts';
import { type BaseChain, type Chain, NO_RULES, type RuleSet } from '../../lvs/classify/rules.ts';
import type { KernelMarkRule, UnreadableRule } from '../../lvs/model.ts';
import { withoutLoops } from './call-graph.ts';
import type { Draft, DraftBase } from './draft.ts';
import { Influence } from './influence.ts';

/** Priority of conntrack's hook: chains before it see no connection (NF_IP_PRI_CONNTRACK). */
const CONNTRACK_PRIORITY = -200;

/** Most rules that people are told about; the engine walks all of them. */
const MAX_TOLD = 1000;

/** The kernel's rules as far as they decide about marks. */
export interface KernelRules {
  readonly rules: RuleSet;
  /** The rules that write a mark. */
  readonly marking: readonly KernelMarkRule[];
  readonly unreadable: readonly UnreadableRule[];
}

export const NO_KERNEL_RULES: KernelRules = { rules: NO_RULES, marking: [], unreadable: [] };

export function settle(draft: Draft): KernelRules {
  const { chains, bases } = withoutLoops(draft);
  const influence = new Influence({ chains, bases });
  const marking: KernelMarkRule[] = [];
  const unreadable: UnreadableRule[] = [];
  const nameOf = (chain: number): string => chains[chain].place.chain;
  const kept = chains.map(({ rules }, index): Chain => {
    if (!influence.isWalked(index)) return [];
    return rules.flatMap((draftRule, at) => {
      if (!influence.isRelevant(draftRule, index, at)) return [];
      const { place, rule, reason, effects } = draftRule;
      if (rule === undefined) {
        if (unreadable.length < MAX_TOLD) unreadable.push({ ...place, reason });
        return [];
      }
      if (effects.marks && marking.length < MAX_TOLD) marking.push({ ...place, text: formatRule(rule, nameOf) });
      return [rule];
    });
  });
  const hooked = (hook: DraftBase['hook']): BaseChain[] =>
    inOrder(bases.filter((base) => base.hook === hook && influence.isKept(base)));
  return {
    rules: { chains: kept, prerouting: hooked('prerouting'), input: hooked('input') },
    marking,
    unreadable,
  };
}

/**
 * By priority. Of equal ones the newest comes first, as in nf_hook_entries_grow (net/netfilter/core.c). Across tables the
 * kernel does not tell which is newer: the order of its listing stands for it.
 */
function inOrder(bases: readonly DraftBase[]): BaseChain[] {
  return [...bases]
    .reverse()
    .sort((a, b) => a.priority - b.priority || a.natPriority - b.natPriority)
    .map(({ chain, ipv4, ipv6, drops, priority, isNat }) => ({
      chain,
      ipv4,
      ipv6,
      drops,
      tracked: priority > CONNTRACK_PRIORITY,
      connected: isNat,
    }));
}
