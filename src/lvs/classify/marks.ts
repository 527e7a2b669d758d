// SPDX-License-Identifier: Apache-2.0
// The firewall marks of a director: the kernel's rules as somebody has read them, and then its user's own. Held by the
// director, asked by its admission once per packet that belongs to no connection.
// hot path: markOf

import type { Headers } from '../../packet/parse.ts';
import type { MarkRule, MarkRuleSnapshot } from '../model.ts';
import type { MarkClassifier } from './classifier.ts';
import { MarkRules, nameWords } from './mark-rules.ts';
import { NO_PACKED_RULES, type PackedRules, packRules } from './pack.ts';
import type { RuleSet } from './rules.ts';
import { RuleWalk } from './walk.ts';

export class Marks implements MarkClassifier {
  routingMark = 0;
  /** Told of the user's rules after every change of them. Must not throw. */
  onChange: (own: RuleSet) => void = () => {};
  #kernel: PackedRules = NO_PACKED_RULES;
  #own: PackedRules = NO_PACKED_RULES;
  readonly #rules = new MarkRules();
  readonly #walk = new RuleWalk();

  /**
   * Walks the kernel's rules, then the user's, of which the first that matches decides. What a rule of the kernel drops
   * has no mark: the kernel's IPVS, behind the rules, would not see it either.
   */
  markOf(view: DataView, headers: Headers, device: number): number {
    const walk = this.#walk;
    const kernel = this.#kernel;
    this.routingMark = 0;
    walk.begin(view, headers, device);
    if (!walk.run(kernel, kernel.prerouting)) return 0;
    this.routingMark = walk.mark >>> 0;
    if (!walk.run(kernel, kernel.input)) return 0;
    const before = walk.mark;
    walk.run(this.#own, this.#own.prerouting);
    // A rule of the user's stands for one in PREROUTING.
    if (walk.mark !== before) this.routingMark = walk.mark >>> 0;
    return walk.mark >>> 0;
  }

  /** Takes the kernel's rules as somebody has packed them. */
  setKernelRules(rules: PackedRules): void {
    this.#kernel = rules;
  }

  /** @throws LvsError as {@link MarkRules.add}. */
  add(rule: MarkRule): void {
    this.#rules.add(rule);
    this.#compile();
  }

  /** @throws LvsError as {@link MarkRules.delete}. */
  delete(rule: MarkRule | number): void {
    this.#rules.delete(rule);
    this.#compile();
  }

  snapshot(): MarkRuleSnapshot[] {
    return this.#rules.snapshot();
  }

  /** The name of a device that packets come in by. */
  setDevice(index: number, name: string): void {
    this.#walk.names.set(index, nameWords(name));
  }

  #compile(): void {
    const own = this.#rules.compile();
    this.#own = packRules(own);
    this.onChange(own);
  }
}
