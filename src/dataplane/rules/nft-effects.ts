// SPDX-License-Identifier: Apache-2.0
// What a rule of nftables that cannot be read could do, from its expressions alone: whether somebody has to hear of it.
// An expression that nobody here has heard of could do anything. Pure.

import {
  NF_ACCEPT,
  NF_DROP,
  NF_QUEUE,
  NF_VERDICT_MASK,
  NFT_GOTO,
  NFT_JUMP,
  NFT_RETURN,
  type NftExpression,
  type NftVerdict,
  VERDICT_REGISTER,
} from '../../linux/netfilter/nft-expression.ts';
import type { NftRule } from '../../linux/netfilter/nft-message.ts';
import { type Effects, NO_EFFECTS } from './draft.ts';
import { CT_MARK, META_MARK } from './nft-fields.ts';
import type { NftScope } from './nft-rule.ts';
import { targetEffects } from './xt-steps.ts';

const ANYTHING: Effects = {
  ...NO_EFFECTS,
  marks: true,
  drops: true,
  accepts: true,
  leaves: true,
  alters: true,
  untracks: true,
};
const NAT: Effects = { ...NO_EFFECTS, accepts: true, alters: true };
const CHANGE: Effects = { ...NO_EFFECTS, alters: true };
const STEAL: Effects = { ...NO_EFFECTS, accepts: true, drops: true };

/** Expressions by what they could do beyond letting a packet pass or not. */
const OTHERS: Readonly<Record<string, Effects>> = {
  ...Object.fromEntries(
    [
      ...['connlimit', 'counter', 'dup', 'dynset', 'exthdr', 'fib', 'flow_offload', 'hash', 'inner', 'last', 'limit'],
      ...['log', 'numgen', 'osf', 'quota', 'rt', 'socket', 'tproxy', 'tunnel', 'xfrm'],
    ].map((name) => [name, NO_EFFECTS]),
  ),
  masq: NAT,
  nat: NAT,
  redir: NAT,
  notrack: { ...NO_EFFECTS, untracks: true },
  reject: { ...NO_EFFECTS, drops: true },
  fwd: STEAL,
  queue: STEAL,
  synproxy: STEAL,
};

export function nftEffects(rule: NftRule, scope: NftScope): Effects {
  if (rule.malformed !== undefined) return ANYTHING;
  return rule.expressions.map((expression) => effectsOfExpression(expression, scope)).reduce(join, NO_EFFECTS);
}

/** Whether a rule could write a mark, whatever else it says. */
export function couldMark(rule: NftRule): boolean {
  if (rule.malformed !== undefined) return true;
  return rule.expressions.some((expression) => {
    const isWritten = expression.type === 'meta' || expression.type === 'ct';
    if (isWritten) return expression.sets && (expression.type === 'meta' ? META_MARK : CT_MARK) === expression.key;
    if (expression.type === 'target') return targetEffects(expression).marks;
    return expression.type === 'other' && otherEffects(expression.name).marks;
  });
}

function otherEffects(name: string): Effects {
  if (name.startsWith('bitwise')) return NO_EFFECTS;
  return Object.hasOwn(OTHERS, name) ? OTHERS[name] : ANYTHING;
}

function effectsOfExpression(expression: NftExpression, scope: NftScope): Effects {
  switch (expression.type) {
    case 'meta':
      return expression.sets ? (expression.key === META_MARK ? { ...NO_EFFECTS, marks: true } : CHANGE) : NO_EFFECTS;
    case 'ct':
      return { ...NO_EFFECTS, marks: expression.sets && expression.key === CT_MARK };
    case 'verdict':
      return verdictEffects(expression.verdict, scope);
    case 'lookup': {
      if (expression.to !== VERDICT_REGISTER) return NO_EFFECTS;
      const set = scope.set(expression.set);
      if (set === undefined) return ANYTHING;
      const verdicts = scope.elements(set).flatMap(({ verdict }) => verdict ?? []);
      return verdicts.map((verdict) => verdictEffects(verdict, scope)).reduce(join, NO_EFFECTS);
    }
    case 'target':
      return targetEffects(expression);
    case 'other':
      return expression.writes ? CHANGE : otherEffects(expression.name);
    default:
      return NO_EFFECTS;
  }
}

function verdictEffects({ code, chain }: NftVerdict, scope: NftScope): Effects {
  const target = scope.chain(chain);
  const calls = target === undefined ? [] : [target];
  switch (code) {
    case NFT_RETURN:
      return { ...NO_EFFECTS, leaves: true };
    case NFT_JUMP:
      return { ...NO_EFFECTS, jumps: calls };
    case NFT_GOTO:
      return { ...NO_EFFECTS, leaves: true, gotos: calls };
    case NF_ACCEPT:
      return { ...NO_EFFECTS, accepts: true };
    default:
      if (code < 0) return NO_EFFECTS;
      if ((code & NF_VERDICT_MASK) === NF_QUEUE) return STEAL;
      return { ...NO_EFFECTS, drops: (code & NF_VERDICT_MASK) === NF_DROP, accepts: true };
  }
}

function join(a: Effects, b: Effects): Effects {
  return {
    marks: a.marks || b.marks,
    drops: a.drops || b.drops,
    accepts: a.accepts || b.accepts,
    leaves: a.leaves || b.leaves,
    alters: a.alters || b.alters,
    untracks: a.untracks || b.untracks,
    jumps: [...a.jumps, ...b.jumps],
    gotos: [...a.gotos, ...b.gotos],
  };
}
