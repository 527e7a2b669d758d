// SPDX-License-Identifier: Apache-2.0
// Runs packed rules over one packet: what nft_do_chain (nf_tables_core.c) and ipt_do_table do. One long-lived object; it
// allocates nothing and ends always, whatever the rules are.
// hot path

import { ETH_HLEN } from '../../packet/ethernet.ts';
import type { Headers } from '../../packet/parse.ts';
import {
  FLAG_NEGATED,
  FLAG_OTHERWISE,
  FLAG_TO_CONNECTION,
  FLAG_TRACKED,
  OP_DISPATCH,
  OP_IS,
  OP_MAP,
  OP_TEST,
  OP_UNTRACK,
  OP_WRITE,
  type PackedRules,
  SHIFT_BIAS,
  SIGN,
  WORDS_SHIFT,
} from './pack.ts';
import {
  ACCEPT,
  type BaseChain,
  BREAK,
  CONTINUE,
  CT_INVALID,
  CT_NEW,
  CT_UNTRACKED,
  DROP,
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
  MAX_DEPTH,
  MAX_FIELD_WORDS,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from './rules.ts';

/** Most rules that one packet is compared with, then it is dropped: chains that call chains can ask for any number. */
const MAX_RULES = 1 << 16;
const NAME_WORDS = 4;

export class RuleWalk {
  /** Mark of the packet so far, signed. */
  mark = 0;
  /** Name of each device that packets come in by, padded to {@link NAME_WORDS} words. */
  readonly names = new Map<number, Int32Array>();
  #code: Int32Array = new Int32Array(1);
  /** Mark of the connection that the packet opens. */
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
  /** Address of the chain that the last JUMP or GOTO leads to. */
  #target = 0;
  /** The last word was not in the packet. */
  #missed = false;
  /** The field, with its top bits flipped. */
  readonly #key = new Int32Array(MAX_FIELD_WORDS);
  /** Rules behind the jumps that are open. */
  readonly #returns = new Int32Array(MAX_DEPTH);

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
  run(rules: PackedRules, bases: readonly BaseChain[]): boolean {
    this.#code = rules.code;
    for (let i = 0; i < bases.length; i++) {
      const base = bases[i];
      if (!(this.#family === 4 ? base.ipv4 : base.ipv6)) continue;
      if (this.#ctState !== CT_UNTRACKED) this.#ctState = base.tracked ? CT_NEW : CT_INVALID;
      if (base.connected && this.#ctState !== CT_NEW) continue;
      if (!this.#runBase(base)) return false;
    }
    return true;
  }

  #runBase(base: BaseChain): boolean {
    const code = this.#code;
    let rule = base.chain;
    let depth = 0;
    for (;;) {
      let verdict = CONTINUE;
      while (verdict === CONTINUE && code[rule] !== 0) {
        if (this.#budget-- <= 0) return false;
        verdict = this.#apply(rule);
        rule += code[rule];
      }
      if (verdict === ACCEPT) return true;
      if (verdict === DROP) return false;
      if (verdict === JUMP || verdict === GOTO) {
        if (verdict === JUMP) {
          if (depth === MAX_DEPTH) return false;
          this.#returns[depth++] = rule;
        }
        rule = this.#target;
        continue;
      }
      if (depth === 0) return !base.drops;
      rule = this.#returns[--depth];
    }
  }

  /** The verdict of the rule at an address; CONTINUE also when one of its tests fails. */
  #apply(rule: number): number {
    const code = this.#code;
    let at = rule + 1;
    for (;;) {
      const op = code[at];
      const words = op >>> WORDS_SHIFT;
      switch (op & 0xff) {
        case OP_IS: {
          this.#missed = false;
          const bits = this.#value(at + 1) ^ SIGN;
          const isIn = bits >= code[at + 4] && bits <= code[at + 5];
          if (this.#missed || isIn === ((op & FLAG_NEGATED) !== 0)) return CONTINUE;
          at += 6;
          break;
        }
        case OP_TEST:
          if (!this.#load(at + 2, words)) return CONTINUE;
          if (this.#find(code[at + 1]) >= 0 === ((op & FLAG_NEGATED) !== 0)) return CONTINUE;
          at += 2 + 3 * words;
          break;
        case OP_WRITE:
          // xt_connmark.c and nft_ct.c leave everything as it is when there is no connection.
          if ((op & FLAG_TRACKED) === 0 || this.#ctState === CT_NEW) {
            this.#set(op, (this.mark & code[at + 1]) ^ (this.#ctMark & code[at + 2]) ^ code[at + 3]);
          }
          at += 4;
          break;
        case OP_MAP: {
          if (!this.#load(at + 4, words)) return CONTINUE;
          const found = this.#find(code[at + 1]);
          if (found < 0 && (op & FLAG_OTHERWISE) === 0) return CONTINUE;
          if ((op & FLAG_TO_CONNECTION) === 0 || this.#ctState === CT_NEW) {
            this.#set(op, found < 0 ? code[at + 3] : code[code[at + 2] + found]);
          }
          at += 4 + 3 * words;
          break;
        }
        case OP_DISPATCH: {
          if (!this.#load(at + 5, words)) return CONTINUE;
          const found = this.#find(code[at + 1]);
          const entry = found < 0 ? at + 3 : code[at + 2] + 2 * found;
          const verdict = code[entry];
          this.#target = code[entry + 1];
          if (verdict === BREAK) return CONTINUE;
          if (verdict !== CONTINUE) return verdict;
          at += 5 + 3 * words;
          break;
        }
        case OP_UNTRACK:
          if (this.#ctState === CT_INVALID) this.#ctState = CT_UNTRACKED;
          at += 1;
          break;
        default:
          this.#target = code[at + 1];
          return op >>> 8;
      }
    }
  }

  #set(op: number, value: number): void {
    if ((op & FLAG_TO_CONNECTION) !== 0) this.#ctMark = value;
    else this.mark = value;
  }

  /** The field of `words` words described at an address, into the key; false when it is not in the packet. */
  #load(at: number, words: number): boolean {
    this.#missed = false;
    for (let i = 0; i < words; i++) this.#key[i] = this.#value(at + 3 * i) ^ SIGN;
    return !this.#missed;
  }

  /** The word that three words at an address describe. */
  #value(at: number): number {
    const code = this.#code;
    const place = code[at];
    const bits = (this.#read(place & 15, (place >>> 4) & 15, (place >>> 8) & 0xfff) & code[at + 1]) ^ code[at + 2];
    const shift = (place >>> 20) - SHIFT_BIAS;
    return shift === 0 ? bits : shift > 0 ? bits >>> shift : bits << -shift;
  }

  #read(source: number, size: number, offset: number): number {
    switch (source) {
      case FROM_NETWORK:
        return this.#bytes(this.#ip + offset, size, this.#end);
      case FROM_TRANSPORT:
        return this.#bytes(this.#transport + offset, size, this.#end);
      case FROM_LINK:
        return this.#bytes(this.#ip - ETH_HLEN + offset, size, this.#ip);
      case FROM_PROTOCOL:
        return this.#protocol << 24;
      case FROM_FAMILY:
        return (this.#family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6) << 24;
      case FROM_DEVICE:
        return this.#device;
      case FROM_NAME:
        return this.#name === undefined ? 0 : this.#name[(offset >> 2) & (NAME_WORDS - 1)];
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

  /** Number of the range, of those at an address, that the key is in, or -1. */
  #find(ranges: number): number {
    const code = this.#code;
    const width = code[ranges];
    const count = code[ranges + 1];
    const parts = code[ranges + 2];
    const low = ranges + 3 + parts;
    const high = low + width * count;
    if (parts > 0) return this.#findBox(ranges, low, high, width, count);
    // The last range that does not begin behind the key.
    let first = 0;
    let last = count - 1;
    while (first <= last) {
      const middle = (first + last) >>> 1;
      if (this.#compare(low + middle * width, 0, width) <= 0) first = middle + 1;
      else last = middle - 1;
    }
    return last >= 0 && this.#compare(high + last * width, 0, width) >= 0 ? last : -1;
  }

  /** The first range of a concatenation of which each part is within its own bounds. */
  #findBox(ranges: number, low: number, high: number, width: number, count: number): number {
    const code = this.#code;
    const parts = code[ranges + 2];
    for (let i = 0; i < count; i++) {
      let key = 0;
      let part = 0;
      while (part < parts) {
        const words = code[ranges + 3 + part];
        const row = i * width + key;
        if (this.#compare(low + row, key, words) > 0 || this.#compare(high + row, key, words) < 0) break;
        key += words;
        part++;
      }
      if (part === parts) return i;
    }
    return -1;
  }

  /** Sign of the row at an address less the words of the key from `key`. */
  #compare(row: number, key: number, words: number): number {
    const code = this.#code;
    for (let i = 0; i < words; i++) {
      const one = code[row + i];
      const other = this.#key[key + i];
      if (one !== other) return one < other ? -1 : 1;
    }
    return 0;
  }
}
