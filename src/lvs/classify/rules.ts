// SPDX-License-Identifier: Apache-2.0
// Firewall rules in the one form that the engine walks: nftables', iptables' and the user's own all compile to it. Plain
// data, so that it crosses threads as it is. walk.ts runs it, reach.ts asks it what it could mark, format-rule.ts prints it.

import type { Ranges } from './ranges.ts';

// ---- where the bits of a packet come from ----

/** Bytes of a header, the first in the top bits, zeros behind the last. Out of the packet: the rule does not match. */
export const FROM_LINK = 0;
export const FROM_NETWORK = 1;
export const FROM_TRANSPORT = 2;
/** The input device's name, zeros behind it, 16 bytes. */
export const FROM_NAME = 3;
/** One byte, in the top bits: the transport protocol; the family by its NFPROTO_ number. */
export const FROM_PROTOCOL = 4;
export const FROM_FAMILY = 5;
/** From here on numbers: index of the input device, bytes of the IP packet, the mark so far. */
export const FROM_DEVICE = 6;
export const FROM_LENGTH = 7;
export const FROM_MARK = 8;
/** Mark of the connection that the packet opens. An untracked packet has none: the rule does not match. */
export const FROM_CT_MARK = 9;
/** Conntrack's state as NF_CT_STATE_ bits. */
export const FROM_CT_STATE = 10;
/** 0, original: the packet opens its connection. An untracked packet has none. */
export const FROM_CT_DIRECTION = 11;

export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

/** NF_CT_STATE_INVALID_BIT, NF_CT_STATE_BIT(IP_CT_NEW), NF_CT_STATE_UNTRACKED_BIT (nf_conntrack_common.h). */
export const CT_INVALID = 1;
export const CT_NEW = 8;
export const CT_UNTRACKED = 64;

/** 32 bits of a field: `((load & and) ^ xor) >>> shift`, or `<< -shift`. */
export interface Word {
  readonly source: number;
  /** Of the bytes, from where the source begins; 0 for numbers. */
  readonly offset: number;
  /** Bytes, 1 … 4. */
  readonly size: number;
  readonly and: number;
  readonly xor: number;
  readonly shift: number;
}

/** What a test looks at: words one after the other, at most {@link MAX_FIELD_WORDS}. */
export type Field = readonly Word[];

export const MAX_FIELD_WORDS = 16;

// ---- what a rule does, step by step ----

export const TEST = 0;
export const WRITE = 1;
export const MAP = 2;
export const DISPATCH = 3;
export const UNTRACK = 4;

/** Goes on when the field is in `ranges`, or is not in them. */
export interface TestStep {
  readonly kind: typeof TEST;
  readonly field: Field;
  readonly ranges: Ranges;
  readonly negated: boolean;
}

/** `(mark & markAnd) ^ (connection mark & ctAnd) ^ xor` becomes the packet's mark or its connection's. */
export interface WriteStep {
  readonly kind: typeof WRITE;
  readonly toConnection: boolean;
  readonly markAnd: number;
  readonly ctAnd: number;
  readonly xor: number;
  /** Nothing is written for a packet that is not tracked. */
  readonly tracked: boolean;
}

/** The value of the range that the field is in becomes the mark; in none, the rule ends. */
export interface MapStep {
  readonly kind: typeof MAP;
  readonly toConnection: boolean;
  readonly field: Field;
  readonly ranges: Ranges;
  readonly values: Uint32Array;
  /** For what is in no range; -1 ends the rule. */
  readonly otherwise: number;
}

/** The verdict of the range that the field is in; in none, the rule ends. CONTINUE goes on. */
export interface DispatchStep {
  readonly kind: typeof DISPATCH;
  readonly field: Field;
  readonly ranges: Ranges;
  readonly verdicts: Uint8Array;
  readonly targets: Int32Array;
  /** For what is in no range; BREAK ends the rule. */
  readonly otherwise: number;
  readonly otherwiseTarget: number;
}

/** Takes the packet out of connection tracking, unless that has seen it already. */
export interface UntrackStep {
  readonly kind: typeof UNTRACK;
}

export type Step = TestStep | WriteStep | MapStep | DispatchStep | UntrackStep;

// ---- verdicts ----

/** The next rule. */
export const CONTINUE = 0;
/** Ends the base chain. */
export const ACCEPT = 1;
/** Ends everything: the packet has no mark. */
export const DROP = 2;
/** Back to the calling chain, or to the policy. */
export const RETURN = 3;
export const JUMP = 4;
export const GOTO = 5;
/** Of a DISPATCH alone: the rule ends, as after a test that failed. */
export const BREAK = 6;

export interface Rule {
  readonly steps: readonly Step[];
  /** After the last step. */
  readonly verdict: number;
  /** Index of the chain that JUMP and GOTO lead to. */
  readonly target: number;
}

export type Chain = readonly Rule[];

/** A chain that packets come to by themselves. */
export interface BaseChain {
  readonly chain: number;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** What happens at its end. */
  readonly drops: boolean;
  /** It runs after connection tracking. */
  readonly tracked: boolean;
  /** It sees only packets that have a connection: those of NAT (nf_nat_inet_fn in nf_nat_core.c). */
  readonly connected: boolean;
}

/** Most jumps inside one another (NFT_JUMP_STACK_SIZE). */
export const MAX_DEPTH = 16;

export interface RuleSet {
  readonly chains: readonly Chain[];
  /** In the order in which packets meet them: before the routing decision, and after it. */
  readonly prerouting: readonly BaseChain[];
  readonly input: readonly BaseChain[];
}

export const NO_RULES: RuleSet = { chains: [], prerouting: [], input: [] };

// ---- making them ----

/** A word without mask. */
export function word(source: number, offset: number, size: number): Word {
  return { source, offset, size, and: sizeMask(size), xor: 0, shift: 0 };
}

/** The words of `length` bytes from `offset`. */
export function field(source: number, offset: number, length: number): Field {
  const words: Word[] = [];
  for (let at = 0; at < length; at += 4) words.push(word(source, offset + at, Math.min(4, length - at)));
  return words;
}

/** Whether a source gives numbers, not bytes. */
export function isNumber(source: number): boolean {
  return source >= FROM_DEVICE && source <= FROM_CT_STATE;
}

/** The leading `size` bytes of a word, as a mask. */
export function sizeMask(size: number): number {
  return size >= 4 ? -1 : ~(-1 >>> (8 * size));
}

/** Sets the packet's mark to `mark`. */
export function setMark(mark: number): WriteStep {
  return { kind: WRITE, toConnection: false, markAnd: 0, ctAnd: 0, xor: mark | 0, tracked: false };
}
