// SPDX-License-Identifier: Apache-2.0
// All of nftables' rules as a draft: the chains that packets meet before IPVS does, and those that these lead to. Pure.

import { NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../linux/netfilter/nfnetlink.ts';
import {
  NF_INET_LOCAL_IN,
  NF_INET_PRE_ROUTING,
  type NftChain,
  type NftElement,
  type NftRule,
  type NftSet,
} from '../../linux/netfilter/nft-message.ts';
import type { NftRules } from '../../linux/netfilter/nft-reader.ts';
import type { RulePlace } from '../../lvs/model.ts';
import {
  type Draft,
  type DraftBase,
  type DraftChain,
  type DraftRule,
  effectsOf,
  NAT_PRIORITY,
  UnreadableError,
} from './draft.ts';
import { nftEffects } from './nft-effects.ts';
import { type NftScope, readNftRule } from './nft-rule.ts';
import { nextExpiryMs } from './nft-sets.ts';

/** IPVS takes packets in LOCAL_IN at this priority (ip_vs_ops in ip_vs_core.c): rules behind it come too late. */
const IPVS_PRIORITY = 98;

const FAMILIES: Readonly<Record<number, string>> = {
  [NFPROTO_INET]: 'inet',
  [NFPROTO_IPV4]: 'ip',
  [NFPROTO_IPV6]: 'ip6',
};

/** A draft, and when the elements of its sets will have changed by themselves. */
export interface NftDraft extends Draft {
  readonly nextExpiryMs: number;
}

/** What `rules` are; sets are asked for as rules need them. */
export function draftNft(rules: NftRules): NftDraft {
  return new NftDrafting(rules).draft();
}

class NftDrafting {
  readonly #rules: NftRules;
  readonly #indexes = new Map<string, number>();
  readonly #sets = new Map<string, NftSet>();
  readonly #elements = new Map<NftSet, readonly NftElement[]>();
  #nextExpiryMs = Number.POSITIVE_INFINITY;

  constructor(rules: NftRules) {
    this.#rules = rules;
    for (const { family, table, name } of rules.chains) {
      this.#indexes.set(nameOf(family, table, name), this.#indexes.size);
    }
    for (const set of rules.sets) this.#sets.set(nameOf(set.family, set.table, set.name), set);
  }

  draft(): NftDraft {
    const { tables, chains, rules } = this.#rules;
    const dormant = new Set(tables.filter((table) => table.isDormant).map(({ family, name }) => nameOf(family, name)));
    const bases = chains.flatMap((chain, index): DraftBase[] => {
      const hook = hookOf(chain);
      if (hook === undefined || dormant.has(nameOf(chain.family, chain.table))) return [];
      const { family, drops, isNat } = chain;
      const own = chain.hook?.priority ?? 0;
      const priority = isNat ? NAT_PRIORITY : own;
      const ipv4 = family !== NFPROTO_IPV6;
      const ipv6 = family !== NFPROTO_IPV4;
      return [{ chain: index, hook, priority, natPriority: isNat ? own : 0, isNat, ipv4, ipv6, drops }];
    });
    const byChain = this.#group(rules);
    const drafted = chains.map(
      ({ family, table, name }): DraftChain => ({ place: placeOf(family, table, name, 0), rules: [] }),
    );
    // Only what packets can come to is looked at: a set that nobody asks is not read.
    const waiting = bases.map((base) => base.chain);
    const seen = new Set(waiting);
    for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
      const made = (byChain.get(index) ?? []).map((rule) => this.#draftRule(rule));
      drafted[index] = { place: drafted[index].place, rules: made.flatMap((rule) => rule ?? []) };
      for (const { effects } of drafted[index].rules) {
        for (const target of [...effects.jumps, ...effects.gotos]) {
          if (seen.has(target)) continue;
          seen.add(target);
          waiting.push(target);
        }
      }
    }
    return { chains: drafted, bases, nextExpiryMs: this.#nextExpiryMs };
  }

  #group(rules: readonly NftRule[]): Map<number, NftRule[]> {
    const groups = new Map<number, NftRule[]>();
    for (const rule of rules) {
      const index = this.#indexes.get(nameOf(rule.family, rule.table, rule.chain));
      if (index === undefined) continue;
      const group = groups.get(index);
      if (group === undefined) groups.set(index, [rule]);
      else group.push(rule);
    }
    return groups;
  }

  /** Undefined for a rule that fits no packet. */
  #draftRule(rule: NftRule): DraftRule | undefined {
    const { family, table, chain, handle } = rule;
    const place = placeOf(family, table, chain, handle);
    const scope = this.#scope(rule);
    try {
      const made = readNftRule(rule, scope);
      return made && { place, rule: made, effects: effectsOf(made), reason: '' };
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      return { place, rule: undefined, effects: nftEffects(rule, scope), reason: error.message };
    }
  }

  #scope({ family, table }: NftRule): NftScope {
    return {
      chain: (name) => this.#indexes.get(nameOf(family, table, name)),
      set: (name) => this.#sets.get(nameOf(family, table, name)),
      elements: (set) => this.#elementsOf(set),
    };
  }

  #elementsOf(set: NftSet): readonly NftElement[] {
    const known = this.#elements.get(set);
    if (known !== undefined) return known;
    const elements = this.#rules.elements(set);
    this.#nextExpiryMs = Math.min(this.#nextExpiryMs, nextExpiryMs(elements));
    this.#elements.set(set, elements);
    return elements;
  }
}

/** The hook of a base chain that packets meet on their way to IPVS. */
function hookOf({ family, hook, isNat }: NftChain): DraftBase['hook'] | undefined {
  if (hook === undefined || !(family in FAMILIES)) return undefined;
  if (hook.number === NF_INET_PRE_ROUTING) return 'prerouting';
  // In LOCAL_IN NAT stands at NF_IP_PRI_NAT_SRC, behind IPVS.
  if (isNat) return undefined;
  return hook.number === NF_INET_LOCAL_IN && hook.priority < IPVS_PRIORITY ? 'input' : undefined;
}

function placeOf(family: number, table: string, chain: string, number: number): RulePlace {
  return { source: 'nftables', family: FAMILIES[family] ?? `family ${family}`, table, chain, number };
}

function nameOf(family: number, ...names: string[]): string {
  return [family, ...names].join('\0');
}
