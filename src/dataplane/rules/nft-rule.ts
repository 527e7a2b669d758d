// SPDX-License-Identifier: Apache-2.0
// One rule of nftables, expression by expression, as a rule of the engine: what the kernel's eval functions would do
// with a packet (net/netfilter/nft_*.c), said beforehand. Pure.

import { NFPROTO_INET } from '../../linux/netfilter/nfnetlink.ts';
import { type NftExpression, type NftVerdict, VERDICT_REGISTER } from '../../linux/netfilter/nft-expression.ts';
import type { NftElement, NftRule, NftSet } from '../../linux/netfilter/nft-message.ts';
import { exactly, findRange, makeRanges, type Ranges } from '../../lvs/classify/ranges.ts';
import {
  BREAK,
  CONTINUE,
  DROP,
  type Field,
  FROM_CT_DIRECTION,
  FROM_CT_MARK,
  FROM_MARK,
  field,
  type Rule,
  type Step,
  TEST,
  UNTRACK,
  WRITE,
} from '../../lvs/classify/rules.ts';
import { UnreadableError } from './draft.ts';
import { CT_MARK, comparison, ctField, isEquality, metaField, payloadField, setsMark } from './nft-fields.ts';
import { NftRegisters, swapped } from './nft-registers.ts';
import { keyWords, setContent } from './nft-sets.ts';
import { type ChainOf, dispatchStep, mapStep, mapValue, readVerdict } from './nft-verdicts.ts';
import { matchSteps, targetSteps } from './xt-steps.ts';

/** What a rule refers to. */
export interface NftScope {
  readonly chain: ChainOf;
  readonly set: (name: string) => NftSet | undefined;
  readonly elements: (set: NftSet) => readonly NftElement[];
}

const BITWISE_MASK = 0;
const BITWISE_LEFT = 1;
const BITWISE_RIGHT = 2;

const HARMLESS: readonly string[] = ['counter', 'log', 'last'];
/** Objects that a rule can refer to and that let every packet through: counter, helper, timeout, secmark, expectation. */
const HARMLESS_OBJECTS: readonly number[] = [1, 3, 7, 8, 9];

/** The rule, or undefined for one that fits no packet. Throws UnreadableError. */
export function readNftRule(rule: NftRule, scope: NftScope): Rule | undefined {
  if (rule.malformed !== undefined) throw new UnreadableError(rule.malformed);
  const reading = new RuleReading(rule.family, scope);
  for (const expression of rule.expressions) {
    reading.take(expression);
    if (reading.isOver) break;
  }
  return reading.rule;
}

class RuleReading {
  /** A verdict was said, or no packet fits. */
  isOver = false;
  #fits = true;
  #verdict = CONTINUE;
  #target = 0;
  readonly #steps: Step[] = [];
  readonly #registers = new NftRegisters();
  readonly #family: number;
  readonly #scope: NftScope;

  constructor(family: number, scope: NftScope) {
    this.#family = family;
    this.#scope = scope;
  }

  get rule(): Rule | undefined {
    return this.#fits ? { steps: this.#steps, verdict: this.#verdict, target: this.#target } : undefined;
  }

  take(expression: NftExpression): void {
    const registers = this.#registers;
    switch (expression.type) {
      case 'payload':
        registers.load(expression.register, payloadField(expression.base, expression.offset, expression.length));
        break;
      case 'meta':
        if (!expression.sets) this.#loadMeta(expression.key, expression.register);
        else if (setsMark(expression.key)) this.#write(expression.register, false);
        break;
      case 'ct':
        if (!expression.sets) this.#loadCt(expression.key, expression.register);
        // Labels, zones and the like are nobody's mark.
        else if (expression.key === CT_MARK) this.#write(expression.register, true);
        break;
      case 'cmp':
        this.#compare(expression.register, expression.operator, expression.value);
        break;
      case 'range':
        this.#range(expression.register, expression.from, expression.to, expression.negated);
        break;
      case 'bitwise':
        this.#bitwise(expression);
        break;
      case 'byteorder':
        registers.swap(expression.from, expression.to, expression.length, expression.size);
        break;
      case 'immediate':
        registers.store(expression.register, expression.value);
        break;
      case 'verdict':
        this.#say(expression.verdict);
        break;
      case 'lookup':
        this.#lookup(expression.set, expression.register, expression.to, expression.negated);
        break;
      case 'match':
        this.#forIptables();
        this.#steps.push(...matchSteps(this.#family, expression));
        break;
      case 'target': {
        this.#forIptables();
        const { steps, verdict } = targetSteps(expression);
        this.#steps.push(...steps);
        this.#end(verdict, 0);
        break;
      }
      case 'objref':
        if (HARMLESS_OBJECTS.includes(expression.object)) break;
        throw new UnreadableError('a named limit, quota or other object');
      case 'other':
        this.#other(expression.name, expression.writes);
        break;
    }
  }

  /** nft_compat is for tables of one family. */
  #forIptables(): void {
    if (this.#family === NFPROTO_INET) throw new UnreadableError('an extension of iptables in a table of family inet');
  }

  #loadMeta(key: number, register: number): void {
    const loaded = metaField(key);
    if (loaded instanceof Uint8Array) this.#registers.store(register, loaded);
    else this.#registers.load(register, loaded);
  }

  #loadCt(key: number, register: number): void {
    // Without a connection the rule ends here, whatever becomes of the value.
    if (key === CT_MARK) this.#test(field(FROM_CT_DIRECTION, 0, 1), exactly(0), false);
    this.#registers.load(register, ctField(key));
  }

  #write(register: number, toConnection: boolean): void {
    const cell = this.#registers.get(register);
    if (cell.kind === 'map') {
      this.#steps.push(mapStep(cell.value, toConnection));
      return;
    }
    const write = { kind: WRITE, toConnection, markAnd: 0, ctAnd: 0, tracked: toConnection } as const;
    if (cell.kind === 'constant') {
      this.#steps.push({ ...write, xor: swapped(cell.bits) });
      return;
    }
    const { and, xor, shift, source } = cell.word;
    if (!cell.host || shift !== 0) throw new UnreadableError('a mark made of bits of the packet');
    if (source === FROM_MARK) this.#steps.push({ ...write, markAnd: and, xor });
    else if (source === FROM_CT_MARK) this.#steps.push({ ...write, ctAnd: and, xor });
    else throw new UnreadableError('a mark made of something else than marks');
  }

  #compare(register: number, operator: number, value: Uint8Array): void {
    const { field: tested, isHost, isConstant } = this.#registers.field(register, value.length);
    if (!isEquality(operator) && isHost.includes(true)) {
      throw new UnreadableError('a comparison of numbers in host order');
    }
    const { ranges, negated } = comparison(operator, keyWords(value, isHost));
    this.#test(tested, ranges, negated, isConstant);
  }

  #range(register: number, from: Uint8Array, to: Uint8Array, negated: boolean): void {
    const { field: tested, isHost, isConstant } = this.#registers.field(register, from.length);
    if (isHost.includes(true)) throw new UnreadableError('a range of numbers in host order');
    const ranges = makeRanges(isHost.length, [{ low: keyWords(from, isHost), high: keyWords(to, isHost) }]);
    this.#test(tested, ranges, negated, isConstant);
  }

  #bitwise(expression: Extract<NftExpression, { type: 'bitwise' }>): void {
    const { from, to, length, operator, mask, xor, shift } = expression;
    if (operator === BITWISE_MASK) this.#registers.mask(from, to, length, mask, xor);
    else if (operator === BITWISE_LEFT) this.#registers.shift(from, to, length, -shift);
    else if (operator === BITWISE_RIGHT) this.#registers.shift(from, to, length, shift);
    else throw new UnreadableError(`bitwise operation ${operator}`);
  }

  #lookup(name: string, register: number, to: number | undefined, negated: boolean): void {
    const set = this.#scope.set(name);
    if (set === undefined) throw new UnreadableError(`set '${name}' is not there`);
    const { field: tested, isHost } = this.#registers.field(register, set.keyLength);
    const content = setContent(set, this.#scope.elements(set), to !== undefined, isHost);
    if (to === VERDICT_REGISTER) {
      this.#steps.push(dispatchStep(tested, content, this.#scope.chain));
      return;
    }
    if (content.otherwise === undefined) this.#test(tested, content.ranges, negated);
    // Everything is in the set.
    else if (negated) this.#refuse();
    if (to !== undefined) this.#registers.set(to, [{ kind: 'map', value: mapValue(name, tested, content) }]);
  }

  #say(verdict: NftVerdict): void {
    const [code, target] = readVerdict(verdict, this.#scope.chain);
    if (code === BREAK) this.#refuse();
    else this.#end(code, target);
  }

  #other(name: string, writes: boolean): void {
    if (HARMLESS.includes(name)) return;
    if (name === 'notrack') this.#steps.push({ kind: UNTRACK });
    else if (name === 'reject') this.#end(DROP, 0);
    else throw new UnreadableError(writes ? `a change of the packet (${name})` : `expression '${name}'`);
  }

  #test(tested: Field, ranges: Ranges, negated: boolean, isConstant = false): void {
    if (!isConstant) {
      this.#steps.push({ kind: TEST, field: tested, ranges, negated });
      return;
    }
    const key = Uint32Array.from(tested, (word) => word.xor);
    if (findRange(ranges, key) >= 0 === negated) this.#refuse();
  }

  #end(verdict: number, target: number): void {
    this.#verdict = verdict;
    this.#target = target;
    this.isOver = verdict !== CONTINUE;
  }

  #refuse(): void {
    this.#fits = false;
    this.isOver = true;
  }
}
