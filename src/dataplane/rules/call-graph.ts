// SPDX-License-Identifier: Apache-2.0
// Which chains of a draft lead to which. The kernel lets no chain lead to itself, nor deeper than its stack; a draft that
// does has rules refused here, so that walking ends whatever was read. Pure.

import { MAX_DEPTH } from '../../lvs/classify/rules.ts';
import type { Draft, DraftRule } from './draft.ts';

/** A rule that leads from its chain to another one. */
export interface Call {
  readonly caller: number;
  /** Place of the rule in the caller. */
  readonly place: number;
  readonly target: number;
  readonly isJump: boolean;
}

export function callsOf({ chains }: Draft): Call[] {
  return chains.flatMap(({ rules }, caller) =>
    rules.flatMap(({ effects: { jumps, gotos } }, place) => [
      ...jumps.map((target) => ({ caller, place, target, isJump: true })),
      ...gotos.map((target) => ({ caller, place, target, isJump: false })),
    ]),
  );
}

/** The draft without the rules that would make walking it endless, or deeper than {@link MAX_DEPTH}. */
export function withoutLoops(draft: Draft): Draft {
  const calls = callsOf(draft);
  const count = draft.chains.length;
  const outgoing = group(calls, count, (call) => call.caller);
  const incoming = new Int32Array(count);
  for (const { target } of calls) incoming[target]++;
  const depth = new Int32Array(count);
  const isSorted = new Uint8Array(count);
  const refused = new Map<string, string>();
  const refuse = ({ caller, place }: Call, reason: string): void => void refused.set(`${caller} ${place}`, reason);
  // Callers first; what is in a loop, or behind one, is never reached so.
  const queue = [...incoming.keys()].filter((chain) => incoming[chain] === 0);
  for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
    isSorted[chain] = 1;
    for (const call of outgoing[chain]) {
      const deeper = depth[chain] + (call.isJump ? 1 : 0);
      if (deeper > MAX_DEPTH) refuse(call, `more than ${MAX_DEPTH} jumps inside one another`);
      else depth[call.target] = Math.max(depth[call.target], deeper);
      if (--incoming[call.target] === 0) queue.push(call.target);
    }
  }
  for (const call of calls) if (isSorted[call.caller] === 0) refuse(call, 'the chain leads to itself');
  if (refused.size === 0) return draft;
  const without = (rule: DraftRule, chain: number, place: number): DraftRule => {
    const reason = refused.get(`${chain} ${place}`);
    if (reason === undefined) return rule;
    const effects = { ...rule.effects, drops: true, jumps: [], gotos: [] };
    return { ...rule, effects, rule: undefined, reason: rule.reason === '' ? reason : rule.reason };
  };
  const chains = draft.chains.map(({ place, rules }, chain) => ({
    place,
    rules: rules.map((rule, at) => without(rule, chain, at)),
  }));
  return { ...draft, chains };
}

function group(calls: readonly Call[], count: number, of: (call: Call) => number): Call[][] {
  const groups: Call[][] = Array.from({ length: count }, () => []);
  for (const call of calls) groups[of(call)].push(call);
  return groups;
}
