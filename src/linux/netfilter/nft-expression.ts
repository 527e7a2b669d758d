// SPDX-License-Identifier: Apache-2.0
// The expressions of nftables' rules as the kernel tells them (include/uapi/linux/netfilter/nf_tables.h): the parts that
// src/dataplane/rules can make something of, decoded; of all others the name. Pure.

import {
  type Attributes,
  attributeList,
  bytesOf,
  NetlinkFormatError,
  nested,
  parseAttributes,
  text,
} from '../netlink-message.ts';
import { be32, must, mustBe32 } from './nfnetlink.ts';

export const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
export const NFTA_DATA_VALUE = 1;
export const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

/** Verdict codes: NF_ ones of netfilter.h, negative NFT_ ones of nf_tables.h. */
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NF_QUEUE = 3;
/** The rest of a verdict that is not negative is a number of its own: a queue's, an errno. */
export const NF_VERDICT_MASK = 0xff;
export const NFT_CONTINUE = -1;
export const NFT_BREAK = -2;
export const NFT_JUMP = -3;
export const NFT_GOTO = -4;
export const NFT_RETURN = -5;

/** Registers are counted in words here, 0 … 15, however the kernel named them; the verdict is this. */
export const VERDICT_REGISTER = -1;
const NFT_REG_4 = 4;
const NFT_REG32_00 = 8;
const NFT_REG32_15 = 23;

export interface NftVerdict {
  readonly code: number;
  /** Of NFT_JUMP and NFT_GOTO. */
  readonly chain: string;
}

export type NftExpression =
  | {
      readonly type: 'payload';
      readonly register: number;
      readonly base: number;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly type: 'meta'; readonly key: number; readonly register: number; readonly sets: boolean }
  | { readonly type: 'ct'; readonly key: number; readonly register: number; readonly sets: boolean }
  | { readonly type: 'cmp'; readonly register: number; readonly operator: number; readonly value: Uint8Array }
  | {
      readonly type: 'range';
      readonly register: number;
      readonly negated: boolean;
      readonly from: Uint8Array;
      readonly to: Uint8Array;
    }
  | {
      readonly type: 'bitwise';
      readonly from: number;
      readonly to: number;
      readonly length: number;
      readonly operator: number;
      readonly mask: Uint8Array;
      readonly xor: Uint8Array;
      /** Bits to shift by. */
      readonly shift: number;
    }
  | {
      readonly type: 'byteorder';
      readonly from: number;
      readonly to: number;
      readonly length: number;
      readonly size: number;
    }
  | { readonly type: 'immediate'; readonly register: number; readonly value: Uint8Array }
  | { readonly type: 'verdict'; readonly verdict: NftVerdict }
  | {
      readonly type: 'lookup';
      readonly set: string;
      readonly register: number;
      readonly to: number | undefined;
      readonly negated: boolean;
    }
  | { readonly type: 'match' | 'target'; readonly name: string; readonly revision: number; readonly info: DataView }
  | { readonly type: 'objref'; readonly object: number }
  | {
      readonly type: 'other';
      readonly name: string /** It writes to the packet, not to a register. */;
      readonly writes: boolean;
    };

/** The expressions in a list attribute. Throws NetlinkFormatError. */
export function parseExpressions(view: DataView): NftExpression[] {
  return attributeList(view)
    .filter(([type]) => type === NFTA_LIST_ELEM)
    .map(([, element]) => parseExpression(element));
}

/** The value in a data attribute's content. */
export function dataValue(view: DataView): Uint8Array {
  return bytesOf(must(parseAttributes(view), NFTA_DATA_VALUE, 'value')).slice();
}

/** The verdict in a data attribute's content. */
export function dataVerdict(view: DataView): NftVerdict {
  const attributes = parseAttributes(must(parseAttributes(view), NFTA_DATA_VERDICT, 'verdict'));
  return {
    code: mustBe32(attributes, NFTA_VERDICT_CODE, 'verdict code') | 0,
    chain: text(attributes, NFTA_VERDICT_CHAIN),
  };
}

export function parseExpression(element: DataView): NftExpression {
  const outer = parseAttributes(element);
  const name = text(outer, NFTA_EXPR_NAME);
  const inner = nested(outer, NFTA_EXPR_DATA);
  const decode = DECODERS[name];
  return decode === undefined || !Object.hasOwn(DECODERS, name)
    ? { type: 'other', name, writes: false }
    : decode(inner, name);
}

type Decoder = (attributes: Attributes, name: string) => NftExpression;

const DECODERS: Readonly<Record<string, Decoder>> = {
  //  1 dreg  2 base  3 offset  4 len  5 sreg
  payload: (attributes, name) => {
    if (attributes.has(5)) return { type: 'other', name, writes: true };
    return {
      type: 'payload',
      register: register(attributes, 1),
      base: mustBe32(attributes, 2, 'base'),
      offset: mustBe32(attributes, 3, 'offset') | 0,
      length: mustBe32(attributes, 4, 'length'),
    };
  },
  //  1 dreg  2 key  3 sreg
  meta: (attributes) => fromOrTo('meta', attributes, 2, 1, 3),
  //  1 dreg  2 key  3 direction  4 sreg
  ct: (attributes) => fromOrTo('ct', attributes, 2, 1, 4),
  //  1 sreg  2 op  3 data
  cmp: (attributes) => ({
    type: 'cmp',
    register: register(attributes, 1),
    operator: mustBe32(attributes, 2, 'operator'),
    value: dataValue(must(attributes, 3, 'data')),
  }),
  //  1 sreg  2 op  3 from  4 to
  range: (attributes) => ({
    type: 'range',
    register: register(attributes, 1),
    negated: mustBe32(attributes, 2, 'operator') !== 0,
    from: dataValue(must(attributes, 3, 'data')),
    to: dataValue(must(attributes, 4, 'data')),
  }),
  //  1 sreg  2 dreg  3 len  4 mask  5 xor  6 op  7 data  8 sreg2
  bitwise: (attributes, name) => {
    if (attributes.has(8)) return { type: 'other', name: `${name} of two registers`, writes: false };
    const operator = be32(attributes, 6, 0);
    const bits = (type: number): Uint8Array => dataValue(must(attributes, type, 'mask'));
    const shift = operator === 0 ? 0 : new DataView(padded(bits(7)).buffer).getUint32(0, true);
    return {
      type: 'bitwise',
      from: register(attributes, 1),
      to: register(attributes, 2),
      length: mustBe32(attributes, 3, 'length'),
      operator,
      mask: operator === 0 ? bits(4) : NOTHING,
      xor: operator === 0 ? bits(5) : NOTHING,
      shift,
    };
  },
  //  1 sreg  2 dreg  3 op  4 len  5 size
  byteorder: (attributes) => ({
    type: 'byteorder',
    from: register(attributes, 1),
    to: register(attributes, 2),
    length: mustBe32(attributes, 4, 'length'),
    size: mustBe32(attributes, 5, 'size'),
  }),
  //  1 dreg  2 data
  immediate: (attributes) => {
    const to = register(attributes, 1);
    const data = must(attributes, 2, 'data');
    if (to === VERDICT_REGISTER) return { type: 'verdict', verdict: dataVerdict(data) };
    return { type: 'immediate', register: to, value: dataValue(data) };
  },
  //  1 set  2 sreg  3 dreg  4 set id  5 flags
  lookup: (attributes) => ({
    type: 'lookup',
    set: text(attributes, 1),
    register: register(attributes, 2),
    to: attributes.has(3) ? register(attributes, 3) : undefined,
    negated: (be32(attributes, 5, 0) & 1) !== 0,
  }),
  match: (attributes) => extension('match', attributes),
  target: (attributes) => extension('target', attributes),
  //  1 type  2 name  3 sreg  4 set …
  objref: (attributes) => ({ type: 'objref', object: be32(attributes, 1, 0) }),
  //  7 sreg: it writes an option
  exthdr: (attributes, name) => ({ type: 'other', name, writes: attributes.has(7) }),
};

const NOTHING = new Uint8Array(0);

function fromOrTo(type: 'meta' | 'ct', attributes: Attributes, key: number, dreg: number, sreg: number): NftExpression {
  const sets = attributes.has(sreg);
  return { type, key: mustBe32(attributes, key, 'key'), register: register(attributes, sets ? sreg : dreg), sets };
}

//  1 name  2 revision  3 info
function extension(type: 'match' | 'target', attributes: Attributes): NftExpression {
  const info = attributes.get(3);
  const bytes = info === undefined ? NOTHING : bytesOf(info).slice();
  return { type, name: text(attributes, 1), revision: be32(attributes, 2, 0), info: new DataView(bytes.buffer) };
}

/** A register as the number of its first word (nft_parse_register). */
function register(attributes: Attributes, type: number): number {
  const number = mustBe32(attributes, type, 'register');
  if (number === 0) return VERDICT_REGISTER;
  if (number <= NFT_REG_4) return (number - 1) * 4;
  if (number >= NFT_REG32_00 && number <= NFT_REG32_15) return number - NFT_REG32_00;
  throw new NetlinkFormatError(`register ${number}`);
}

function padded(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(Math.max(4, bytes.length));
  result.set(bytes);
  return result;
}
