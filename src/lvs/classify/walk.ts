// SPDX-License-Identifier: Apache-2.0
// Runs rules over one packet: what nft_do_chain (nf_tables_core.c) and ipt_do_table do, over the form of rules.ts. One
// long-lived object; it allocates nothing and ends always, whatever the rules are.
// hot path

import { ETH_HLEN } from '../../packet/ethernet.ts';
import type { Headers } from '../../packet/parse.ts';
import { findRange } from './ranges.ts';
import {
  ACCEPT,
  type BaseChain,
  BREAK,
  type Chain,
  CONTINUE,
  CT_INVALID,
  CT_NEW,
  CT_UNTRACKED,
  DISPATCH,
  type DispatchStep,
  DROP,
  type Field,
  FROM_CT_DIRECTION,
  FROM_CT_MARK,
  FROM_CT_STATE,
  FROM_DEVICE,
  FROM_FAMILY,
  FROM_LENGTH,
  FROM_LINK,
  FROM_MARK,
  FROM_NAME,
  FROM_NETWORK,
  FROM_PROTOCOL,
  FROM_TRANSPORT,
  GOTO,
  JUMP,
  MAP,
  MAX_DEPTH,
  MAX_FIELD_WORDS,
  type MapStep,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  type Rule,
  type RuleSet,
  TEST,
  type TestStep,
  UNTRACK,
  type Word,
  WRITE,
  type WriteStep,
} from './rules.ts';

/** Most rules that one packet is compared with; then it is dropped, as by a rule. Chains that call chains can ask for any number. */
const MAX_RULES = 1 << 16;
const NO_CHAIN: Chain = [];
const NAME_WORDS = 4;

export class RuleWalk {
  /** Mark of the packet so far, signed. */
  mark = 0;
  /** Name of each device that packets come in by, padded to {@link NAME_WORDS} words. */
  readonly names = new Map<number, Int32Array>();
  /** Mark of the connection that it opens. */
  #ctMark = 0;
  #ctState = 0;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #ip = 0;
  #transport = 0;
  #end = 0;
  #family = 0;
  #protocol = 0;
  #device = 0;
  #name: Int32Array | undefined = undefined;
  /** Rules that the packet may still be compared with. */
  #budget = 0;
  /** Chain that the last JUMP or GOTO leads to. */
  #target = 0;
  /** The last word was not in the packet. */
  #missed = false;
  readonly #key = new Uint32Array(MAX_FIELD_WORDS);
  readonly #callers: Chain[] = new Array<Chain>(MAX_DEPTH).fill(NO_CHAIN);
  readonly #places = new Int32Array(MAX_DEPTH);

  /** Takes up the packet in `headers`, which has no mark yet. */
  begin(view: DataView, headers: Headers, device: number): void {
    this.mark = 0;
    this.#ctMark = 0;
    this.#ctState = 0;
    this.#view = view;
    this.#ip = headers.ip;
    this.#transport = headers.transport;
    this.#end = headers.end;
    this.#family = headers.family;
    this.#protocol = headers.protocol;
    this.#device = device;
    this.#name = this.names.get(device);
    this.#budget = MAX_RULES;
  }

  /** Passes the packet through base chains; false when one drops it. */
  run(rules: RuleSet, bases: readonly BaseChain[]): boolean {
    for (let i = 0; i < bases.length; i++) {
      const base = bases[i];
      if (!(this.#family === 4 ? base.ipv4 : base.ipv6)) continue;
      if (!base.tracked) this.#ctState = this.#ctState === CT_UNTRACKED ? CT_UNTRACKED : CT_INVALID;
      else if (this.#ctState !== CT_UNTRACKED) this.#ctState = CT_NEW;
      if (!this.#runBase(rules.chains, base)) return false;
    }
    return true;
  }

  /** Whether the packet fits a field's ranges. */
  fits(field: Field, ranges: Parameters<typeof findRange>[0]): boolean {
    return this.#load(field) && findRange(ranges, this.#key) >= 0;
  }

  #runBase(chains: readonly Chain[], base: BaseChain): boolean {
    let chain = chains[base.chain] ?? NO_CHAIN;
    let place = 0;
    let depth = 0;
    for (;;) {
      let verdict = CONTINUE;
      while (verdict === CONTINUE && place < chain.length) {
        if (this.#budget-- <= 0) return false;
        verdict = this.#apply(chain[place++]);
      }
      if (verdict === ACCEPT) return true;
      if (verdict === DROP) return false;
      if (verdict === JUMP || verdict === GOTO) {
        if (verdict === JUMP) {
          if (depth === MAX_DEPTH) return false;
          this.#callers[depth] = chain;
          this.#places[depth++] = place;
        }
        chain = chains[this.#target] ?? NO_CHAIN;
        place = 0;
        continue;
      }
      if (depth === 0) return !base.drops;
      chain = this.#callers[--depth];
      place = this.#places[depth];
    }
  }

  /** The rule's verdict; CONTINUE also when one of its tests fails. */
  #apply(rule: Rule): number {
    const { steps } = rule;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i];
      switch (step.kind) {
        case TEST:
          if (!this.#passes(step)) return CONTINUE;
          break;
        case WRITE:
          this.#write(step);
          break;
        case MAP:
          if (!this.#map(step)) return CONTINUE;
          break;
        case DISPATCH: {
          const verdict = this.#dispatch(step);
          if (verdict === BREAK) return CONTINUE;
          if (verdict !== CONTINUE) return verdict;
          break;
        }
        case UNTRACK:
          if (this.#ctState === CT_INVALID) this.#ctState = CT_UNTRACKED;
          break;
      }
    }
    this.#target = rule.target;
    return rule.verdict;
  }

  #passes({ field, ranges, negated }: TestStep): boolean {
    if (field.length !== 1 || ranges.low.length !== 1) {
      return this.#load(field) && findRange(ranges, this.#key) >= 0 !== negated;
    }
    // Nearly all tests are of one word with one range.
    this.#missed = false;
    const bits = this.#value(field[0]) >>> 0;
    return !this.#missed && (bits >= ranges.low[0] && bits <= ranges.high[0]) !== negated;
  }

  #write(step: WriteStep): void {
    const { toConnection, markAnd, ctAnd, xor } = step;
    // xt_connmark.c and nft_ct.c leave everything as it is when there is no connection.
    if (step.tracked && this.#ctState !== CT_NEW) return;
    this.#set(toConnection, (this.mark & markAnd) ^ (this.#ctMark & ctAnd) ^ xor);
  }

  #map(step: MapStep): boolean {
    if (!this.#load(step.field)) return false;
    const found = findRange(step.ranges, this.#key);
    if (found < 0 && step.otherwise < 0) return false;
    if (step.toConnection && this.#ctState !== CT_NEW) return true;
    this.#set(step.toConnection, (found < 0 ? step.otherwise : step.values[found]) | 0);
    return true;
  }

  #set(toConnection: boolean, value: number): void {
    if (toConnection) this.#ctMark = value;
    else this.mark = value;
  }

  #dispatch(step: DispatchStep): number {
    if (!this.#load(step.field)) return BREAK;
    const found = findRange(step.ranges, this.#key);
    this.#target = found < 0 ? step.otherwiseTarget : step.targets[found];
    return found < 0 ? step.otherwise : step.verdicts[found];
  }

  /** The field into the key; false when it is not in the packet. */
  #load(field: Field): boolean {
    this.#missed = false;
    for (let i = 0; i < field.length; i++) {
      this.#key[i] = this.#value(field[i]);
    }
    return !this.#missed;
  }

  #value(word: Word): number {
    const { and, xor, shift } = word;
    const bits = (this.#read(word) & and) ^ xor;
    return shift === 0 ? bits : shift > 0 ? bits >>> shift : bits << -shift;
  }

  #read(word: Word): number {
    switch (word.source) {
      case FROM_NETWORK:
        return this.#bytes(this.#ip + word.offset, word.size, this.#end);
      case FROM_TRANSPORT:
        return this.#bytes(this.#transport + word.offset, word.size, this.#end);
      case FROM_LINK:
        return this.#bytes(this.#ip - ETH_HLEN + word.offset, word.size, this.#ip);
      case FROM_PROTOCOL:
        return this.#protocol << 24;
      case FROM_FAMILY:
        return (this.#family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6) << 24;
      case FROM_DEVICE:
        return this.#device;
      case FROM_NAME:
        return this.#name === undefined ? 0 : this.#name[(word.offset >> 2) & (NAME_WORDS - 1)];
      case FROM_LENGTH:
        return this.#end - this.#ip;
      case FROM_MARK:
        return this.mark;
      case FROM_CT_STATE:
        return this.#ctState;
      case FROM_CT_MARK:
        if (this.#ctState !== CT_NEW) this.#missed = true;
        return this.#ctMark;
      case FROM_CT_DIRECTION:
        if (this.#ctState !== CT_NEW) this.#missed = true;
        return 0;
      default:
        this.#missed = true;
        return 0;
    }
  }

  /** `size` bytes from `at`, the first in the top bits. */
  #bytes(at: number, size: number, end: number): number {
    if (at + size > end) {
      this.#missed = true;
      return 0;
    }
    const view = this.#view;
    switch (size) {
      case 4:
        return view.getInt32(at);
      case 2:
        return view.getUint16(at) << 16;
      case 1:
        return view.getUint8(at) << 24;
      default:
        return (view.getUint16(at) << 16) | (view.getUint8(at + 2) << 8);
    }
  }
}
