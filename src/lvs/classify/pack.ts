// SPDX-License-Identifier: Apache-2.0
// Rules as one array of words: what walk.ts runs. It goes from thread to thread without being copied, however many rules
// there are, and lies in memory in the order in which it is walked. Made where rules are made, not per packet.

import { countRanges, type Ranges } from './ranges.ts';
import {
  type BaseChain,
  type Chain,
  DISPATCH,
  type Field,
  MAP,
  MAX_FIELD_WORDS,
  type Rule,
  type RuleSet,
  type Step,
  TEST,
  UNTRACK,
  WRITE,
} from './rules.ts';

//  A chain is its rules one after the other and a 0. A rule is
//      0 words of the rule, this one too   1 … steps   … OP_END | verdict << 8, address of the target chain
//  A step begins with its operation and flags; a field is three words for each of its own:
//      0 source | size << 4 | offset << 8 | (shift + 32) << 20     1 and     2 xor
//
//      OP_IS        | negated << 8                    field(3)  low  high          one word, one range
//      OP_TEST      | negated << 8 | words << 16      ranges  field(3 × words)
//      OP_WRITE     | flags << 8                      mark and  connection and  xor
//      OP_MAP       | flags << 8 | words << 16        ranges  values  otherwise  field(3 × words)
//      OP_DISPATCH  | words << 16                     ranges  verdicts  otherwise  its target  field(3 × words)
//      OP_UNTRACK
//
//  Ranges lie elsewhere:   0 width   1 number   2 number of parts   3 … parts   … lower bounds   … upper bounds
//  and values one for each range, verdicts two (verdict, address of the target chain). Bounds, and what is compared with
//  them, have their top bit flipped, so that signed words compare as unsigned ones.
export const OP_END = 0;
export const OP_IS = 1;
export const OP_TEST = 2;
export const OP_WRITE = 3;
export const OP_MAP = 4;
export const OP_DISPATCH = 5;
export const OP_UNTRACK = 6;

export const FLAG_NEGATED = 1 << 8;
/** Writes go to the connection's mark; only while there is a connection; what is in no range has a value. */
export const FLAG_TO_CONNECTION = 1 << 8;
export const FLAG_TRACKED = 1 << 9;
export const FLAG_OTHERWISE = 1 << 10;
export const WORDS_SHIFT = 16;

export const SIGN = 0x80000000 | 0;
export const SHIFT_BIAS = 32;

/** Rules to walk; `chain` of a base chain is its address in `code`. */
export interface PackedRules {
  readonly code: Int32Array<ArrayBuffer>;
  readonly prerouting: readonly BaseChain[];
  readonly input: readonly BaseChain[];
}

export function packRules({ chains, prerouting, input }: RuleSet): PackedRules {
  const packing = new Packing();
  // An empty chain stands for those that are not there.
  const empty = packing.chain([]);
  const addresses = chains.map((chain) => packing.chain(chain));
  packing.finish((target) => addresses[target] ?? empty);
  const address = (base: BaseChain): BaseChain => ({ ...base, chain: addresses[base.chain] ?? empty });
  return { code: packing.code, prerouting: prerouting.map(address), input: input.map(address) };
}

export const NO_PACKED_RULES: PackedRules = { code: Int32Array.of(0), prerouting: [], input: [] };

class Packing {
  #words = new Int32Array(1024);
  #length = 0;
  /** Places of targets that are still numbers of chains. */
  readonly #targets: number[] = [];
  /** Ranges, values and verdicts come behind all chains: where they are referred to, and what writes them. */
  readonly #tables: { readonly at: number; readonly write: () => void }[] = [];

  get code(): Int32Array<ArrayBuffer> {
    return this.#words.slice(0, this.#length);
  }

  /** Appends a chain, returns its address. */
  chain(rules: Chain): number {
    const address = this.#length;
    for (const rule of rules) this.#rule(rule);
    this.#push(0);
    return address;
  }

  /** Appends the tables and turns targets into addresses. */
  finish(addressOf: (target: number) => number): void {
    for (const { at, write } of this.#tables) {
      this.#words[at] = this.#length;
      write();
    }
    for (const at of this.#targets) this.#words[at] = addressOf(this.#words[at]);
  }

  #rule({ steps, verdict, target }: Rule): void {
    const start = this.#length;
    this.#push(0);
    for (const step of steps) this.#step(step);
    this.#push(OP_END | (verdict << 8));
    this.#target(target);
    this.#words[start] = this.#length - start;
  }

  #step(step: Step): void {
    switch (step.kind) {
      case TEST: {
        const { field, ranges } = step;
        const negated = step.negated ? FLAG_NEGATED : 0;
        if (field.length === 1 && ranges.low.length === 1) {
          this.#push(OP_IS | negated);
          this.#field(field);
          this.#push(ranges.low[0] ^ SIGN, ranges.high[0] ^ SIGN);
          break;
        }
        this.#push(OP_TEST | negated | (field.length << WORDS_SHIFT));
        this.#ranges(ranges);
        this.#field(field);
        break;
      }
      case WRITE: {
        const flags = (step.toConnection ? FLAG_TO_CONNECTION : 0) | (step.tracked ? FLAG_TRACKED : 0);
        this.#push(OP_WRITE | flags, step.markAnd, step.ctAnd, step.xor);
        break;
      }
      case MAP: {
        const { field, ranges, values, otherwise } = step;
        const flags = (step.toConnection ? FLAG_TO_CONNECTION : 0) | (otherwise < 0 ? 0 : FLAG_OTHERWISE);
        this.#push(OP_MAP | flags | (field.length << WORDS_SHIFT));
        this.#ranges(ranges);
        this.#table(() => this.#append(values));
        this.#push(otherwise);
        this.#field(field);
        break;
      }
      case DISPATCH: {
        const { field, ranges, verdicts, targets } = step;
        this.#push(OP_DISPATCH | (field.length << WORDS_SHIFT));
        this.#ranges(ranges);
        this.#table(() => {
          for (const [i, verdict] of verdicts.entries()) {
            this.#push(verdict);
            this.#target(targets[i]);
          }
        });
        this.#push(step.otherwise);
        this.#target(step.otherwiseTarget);
        this.#field(field);
        break;
      }
      case UNTRACK:
        this.#push(OP_UNTRACK);
        break;
    }
  }

  #field(field: Field): void {
    if (field.length > MAX_FIELD_WORDS) throw new TypeError(`a field of ${field.length} words`);
    for (const { source, size, offset, shift, and, xor } of field) {
      this.#push(source | (size << 4) | (offset << 8) | ((shift + SHIFT_BIAS) << 20), and, xor);
    }
  }

  #ranges(ranges: Ranges): void {
    this.#table(() => {
      const { width, low, high, parts } = ranges;
      this.#push(width, countRanges(ranges), parts.length, ...parts);
      for (const bounds of [low, high]) this.#append(bounds.map((word) => word ^ SIGN));
    });
  }

  #table(write: () => void): void {
    this.#tables.push({ at: this.#length, write });
    this.#push(0);
  }

  #target(chain: number): void {
    this.#targets.push(this.#length);
    this.#push(chain);
  }

  #push(...words: readonly number[]): void {
    this.#reserve(words.length);
    for (const word of words) this.#words[this.#length++] = word;
  }

  #append(words: Uint32Array): void {
    this.#reserve(words.length);
    this.#words.set(words, this.#length);
    this.#length += words.length;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#words.length) return;
    const larger = new Int32Array(2 * (this.#length + count));
    larger.set(this.#words);
    this.#words = larger;
  }
}
