// SPDX-License-Identifier: Apache-2.0
// Which of the kernel's rules have a say in a packet's mark: those that write it, those that drop the packet or take it
// out of connection tracking, which others ask, and those by which packets pass such rules. All others the engine need
// not walk, and nobody need hear that it cannot. Pure.

import { type Call, callsOf } from './call-graph.ts';
import { type Draft, type DraftBase, type DraftRule, type Effects, usesConntrack } from './draft.ts';

export class Influence {
  readonly #bases: readonly DraftBase[];
  /** Some rule asks what connection tracking knows. */
  readonly #tracks: boolean;
  /** By chain: it holds, or leads to, something that decides. */
  readonly #matters: Uint8Array;
  /** By chain: it holds, or leads to, something that ends the base chain. */
  readonly #accepts: Uint8Array;
  /** By chain: what follows where it was called decides about marks. */
  readonly #after: Uint8Array;
  /** By chain: packets come to it, from a base chain that matters. */
  readonly #walked: Uint8Array;
  /** By chain: place of the last rule that decides or leads to such. */
  readonly #last: Int32Array;

  constructor(draft: Draft) {
    const { chains, bases } = draft;
    const calls = callsOf(draft);
    const flags = (isSet: (rule: DraftRule) => boolean): Uint8Array =>
      Uint8Array.from(chains, ({ rules }) => Number(rules.some(isSet)));
    this.#bases = bases;
    this.#tracks = chains.some(({ rules }) => rules.some(({ rule }) => rule !== undefined && usesConntrack(rule)));
    this.#matters = flags(({ effects }) => this.#decides(effects));
    spread(calls, this.#matters, ({ target, caller }) => [target, caller]);
    this.#accepts = flags(({ effects }) => effects.accepts);
    spread(calls, this.#accepts, ({ target, caller }) => [target, caller]);
    this.#last = Int32Array.from(chains, ({ rules }) => rules.findLastIndex((rule) => this.#acts(rule)));

    this.#after = new Uint8Array(chains.length);
    for (const { chain, drops } of bases) if (drops) this.#after[chain] = 1;
    for (const { caller, place, target, isJump } of calls) {
      if (isJump && place < this.#last[caller]) this.#after[target] = 1;
    }
    spread(calls, this.#after, ({ target, caller }) => [caller, target]);

    this.#walked = new Uint8Array(chains.length);
    for (const base of bases) if (this.isKept(base)) this.#walked[base.chain] = 1;
    spread(calls, this.#walked, ({ target, caller }) => [caller, target]);
  }

  /** Whether packets have to pass through a base chain. */
  isKept(base: DraftBase): boolean {
    return this.#matters[base.chain] === 1 || base.drops;
  }

  /** Whether packets come to a chain, from a base chain that is kept. */
  isWalked(chain: number): boolean {
    return this.#walked[chain] === 1;
  }

  /** Whether the rule at `place` of a chain has a say. */
  isRelevant(rule: DraftRule, chain: number, place: number): boolean {
    if (this.#acts(rule)) return true;
    const { accepts, leaves, alters, jumps, gotos } = rule.effects;
    if (alters && this.#bases.some((base) => this.isKept(base))) return true;
    const passes = accepts || leaves || [...jumps, ...gotos].some((target) => this.#accepts[target] === 1);
    return passes && (place < this.#last[chain] || this.#after[chain] === 1);
  }

  #acts({ effects }: DraftRule): boolean {
    return this.#decides(effects) || [...effects.jumps, ...effects.gotos].some((target) => this.#matters[target] === 1);
  }

  #decides({ marks, drops, untracks }: Effects): boolean {
    return marks || drops || (untracks && this.#tracks);
  }
}

/** Carries set flags from one end of each call to the other, until nothing changes any more. */
function spread(calls: readonly Call[], flags: Uint8Array, direction: (call: Call) => [number, number]): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const call of calls) {
      const [from, to] = direction(call);
      if (flags[from] === 0 || flags[to] === 1) continue;
      flags[to] = 1;
      changed = true;
    }
  }
}
