// SPDX-License-Identifier: Apache-2.0
// nftables' tables, chains, rules, sets and elements as the kernel's messages tell them. Pure; nft-reader.ts asks for
// them. What is malformed throws NetlinkFormatError, except within a rule: that one is told as malformed.

import {
  attributeList,
  NetlinkFormatError,
  type NetlinkMessage,
  need,
  nested,
  parseAttributes,
  text,
} from '../netlink-message.ts';
import { be32, be64, must, NFGEN_LENGTH } from './nfnetlink.ts';
import {
  dataValue,
  dataVerdict,
  NFTA_LIST_ELEM,
  type NftExpression,
  type NftVerdict,
  parseExpression,
  parseExpressions,
} from './nft-expression.ts';

const NFT_TABLE_F_DORMANT = 1;

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
/** Of the family inet; netdev has only this one, as its 0. */
export const NF_INET_INGRESS = 5;

export const NFT_SET_INTERVAL = 0x4;
export const NFT_SET_MAP = 0x8;
export const NFT_SET_EVAL = 0x20;
export const NFT_SET_OBJECT = 0x40;

export const NFT_SET_ELEM_INTERVAL_END = 1;
export const NFT_SET_ELEM_CATCHALL = 2;

const NFT_DATA_VERDICT = 0xffffff00;

/** Expressions of a set's element that let every packet through. */
const HARMLESS: readonly string[] = ['counter', 'last'];

export interface NftTable {
  readonly family: number;
  readonly name: string;
  /** None of its chains is in force. */
  readonly isDormant: boolean;
}

export interface NftChain {
  readonly family: number;
  readonly table: string;
  readonly name: string;
  /** Of a base chain. */
  readonly hook: { readonly number: number; readonly priority: number } | undefined;
  /** The policy of a base chain. */
  readonly drops: boolean;
  /** Of type nat. */
  readonly isNat: boolean;
}

export interface NftRule {
  readonly family: number;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expressions: readonly NftExpression[];
  /** What is wrong with the message, whose expressions are left out then. */
  readonly malformed?: string;
}

export interface NftSet {
  readonly family: number;
  readonly table: string;
  readonly name: string;
  readonly flags: number;
  /** Bytes of a key. */
  readonly keyLength: number;
  /** A map's values are verdicts. */
  readonly hasVerdicts: boolean;
  /** Bytes of each part of a concatenation; empty for keys of one part. */
  readonly parts: readonly number[];
}

export interface NftElement {
  /** Absent for the element that stands for all others. */
  readonly key: Uint8Array | undefined;
  /** Last key of a range. */
  readonly keyEnd: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
  readonly verdict: NftVerdict | undefined;
  readonly flags: number;
  /** Life that is left, or undefined. */
  readonly expiresMs: number | undefined;
  /** Something decides for each packet whether it counts: a limit, a quota. */
  readonly isConditional: boolean;
}

/** Family and attributes of a message. */
function open(message: NetlinkMessage): { family: number; attributes: ReturnType<typeof parseAttributes> } {
  const view = need(message.payload, NFGEN_LENGTH, 'nfgenmsg');
  return { family: view.getUint8(0), attributes: parseAttributes(view, NFGEN_LENGTH) };
}

//  1 name  2 flags  3 use  4 handle
export function parseTable(message: NetlinkMessage): NftTable {
  const { family, attributes } = open(message);
  return { family, name: text(attributes, 1), isDormant: (be32(attributes, 2, 0) & NFT_TABLE_F_DORMANT) !== 0 };
}

//  1 table  2 handle  3 name  4 hook: (1 number  2 priority)  5 policy  7 type
export function parseChain(message: NetlinkMessage): NftChain {
  const { family, attributes } = open(message);
  const hook = nested(attributes, 4);
  return {
    family,
    table: text(attributes, 1),
    name: text(attributes, 3),
    hook: attributes.has(4) ? { number: be32(hook, 1, 0), priority: be32(hook, 2, 0) | 0 } : undefined,
    drops: be32(attributes, 5, 1) === 0,
    isNat: text(attributes, 7) === 'nat',
  };
}

//  1 table  2 chain  3 handle  4 expressions
export function parseRule(message: NetlinkMessage): NftRule {
  const { family, attributes } = open(message);
  const place = { family, table: text(attributes, 1), chain: text(attributes, 2), handle: be64(attributes, 3) };
  const list = attributes.get(4);
  try {
    return { ...place, expressions: list === undefined ? [] : parseExpressions(list) };
  } catch (error) {
    if (!(error instanceof NetlinkFormatError)) throw error;
    return { ...place, expressions: [], malformed: error.message };
  }
}

//  1 table  2 name  3 flags  4 key type  5 key len  6 data type  7 data len  9 desc: (2 concat: (1: (1 len)))
export function parseSet(message: NetlinkMessage): NftSet {
  const { family, attributes } = open(message);
  const concat = nested(attributes, 9).get(2);
  return {
    family,
    table: text(attributes, 1),
    name: text(attributes, 2),
    flags: be32(attributes, 3, 0),
    keyLength: be32(attributes, 5, 0),
    hasVerdicts: be32(attributes, 6, 0) === NFT_DATA_VERDICT,
    parts:
      concat === undefined
        ? []
        : attributeList(concat)
            .filter(([type]) => type === NFTA_LIST_ELEM)
            .map(([, part]) => be32(parseAttributes(part), 1, 0)),
  };
}

//  3 elements: (1: element)
export function parseElements(message: NetlinkMessage, set: NftSet): NftElement[] {
  const list = open(message).attributes.get(3);
  if (list === undefined) return [];
  return attributeList(list)
    .filter(([type]) => type === NFTA_LIST_ELEM)
    .map(([, element]) => parseElement(element, set));
}

//  1 key  2 data  3 flags  4 timeout  5 expiration  7 expression  9 object  10 key end  11 expressions
function parseElement(element: DataView, set: NftSet): NftElement {
  const attributes = parseAttributes(element);
  const flags = be32(attributes, 3, 0);
  const key = attributes.get(1);
  const keyEnd = attributes.get(10);
  const data = attributes.get(2);
  const single = attributes.get(7);
  const several = attributes.get(11);
  const expressions = [
    ...(single === undefined ? [] : [parseExpression(single)]),
    ...(several === undefined ? [] : parseExpressions(several)),
  ];
  const isCatchAll = (flags & NFT_SET_ELEM_CATCHALL) !== 0;
  const hasVerdict = data !== undefined && set.hasVerdicts;
  return {
    key: isCatchAll ? undefined : dataValue(must(attributes, 1, 'key')),
    keyEnd: keyEnd === undefined || key === undefined ? undefined : dataValue(keyEnd),
    value: data === undefined || hasVerdict ? undefined : dataValue(data),
    verdict: hasVerdict ? dataVerdict(data) : undefined,
    flags,
    expiresMs: attributes.has(5) ? be64(attributes, 5) : undefined,
    isConditional: expressions.some((one) => one.type !== 'other' || !HARMLESS.includes(one.name)),
  };
}
