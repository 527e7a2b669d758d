// SPDX-License-Identifier: Apache-2.0
// iptables' matches and targets as steps of rules, for iptables-legacy and for nft's compat expressions. Pure.

import { matchTests } from '../../linux/netfilter/xt-match.ts';
import type { XtExtension } from '../../linux/netfilter/xt-table.ts';
import { readTarget, type XtEffects, type XtTarget } from '../../linux/netfilter/xt-target.ts';
import { type XtSource, type XtTest, XtUnreadable } from '../../linux/netfilter/xt-test.ts';
import { NetlinkFormatError } from '../../linux/netlink-message.ts';
import { makeRanges } from '../../lvs/classify/ranges.ts';
import {
  CONTINUE,
  DROP,
  FROM_CT_MARK,
  FROM_CT_STATE,
  FROM_LENGTH,
  FROM_LINK,
  FROM_MARK,
  FROM_NAME,
  FROM_NETWORK,
  FROM_PROTOCOL,
  FROM_TRANSPORT,
  field,
  type Step,
  TEST,
  type TestStep,
  UNTRACK,
  WRITE,
} from '../../lvs/classify/rules.ts';
import { type Effects, NO_EFFECTS, UnreadableError } from './draft.ts';
import { bitsAt } from './nft-registers.ts';

const SOURCES: Readonly<Record<XtSource, number>> = {
  link: FROM_LINK,
  network: FROM_NETWORK,
  transport: FROM_TRANSPORT,
  name: FROM_NAME,
  protocol: FROM_PROTOCOL,
  length: FROM_LENGTH,
  mark: FROM_MARK,
  'connection-mark': FROM_CT_MARK,
  'connection-state': FROM_CT_STATE,
};

/** The steps of a match. Throws UnreadableError. */
export function matchSteps(family: number, { name, revision, info }: XtExtension): Step[] {
  try {
    return matchTests(family, name, revision, info).map(testStep);
  } catch (error) {
    if (error instanceof XtUnreadable) throw new UnreadableError(error.message);
    if (error instanceof NetlinkFormatError) throw new UnreadableError(`match '${name}': ${error.message}`);
    throw error;
  }
}

/** The step of a test. */
export function testStep({ from, offset, length, mask, ranges, negated }: XtTest): TestStep {
  const words = (bytes: Uint8Array): number[] =>
    Array.from({ length: Math.ceil(length / 4) }, (_, i) => bitsAt(bytes, 4 * i));
  const plain = field(SOURCES[from], offset, length);
  const masked =
    mask === undefined ? plain : plain.map((word, i) => ({ ...word, and: word.and & bitsAt(mask, 4 * i) }));
  const spans = ranges.map(({ low, high }) => ({ low: words(low), high: words(high) }));
  return { kind: TEST, field: masked, ranges: makeRanges(plain.length, spans), negated };
}

/** What a target adds to its rule. Throws UnreadableError. */
export function targetSteps(extension: XtExtension): { steps: Step[]; verdict: number } {
  const target = decode(extension);
  switch (target.type) {
    case 'nothing':
      return { steps: [], verdict: CONTINUE };
    case 'drop':
      return { steps: [], verdict: DROP };
    case 'untrack':
      return { steps: [{ kind: UNTRACK }], verdict: CONTINUE };
    case 'write': {
      const { toConnection, markAnd, ctAnd, xor } = target;
      const tracked = toConnection || extension.name === 'CONNMARK';
      return { steps: [{ kind: WRITE, toConnection, markAnd, ctAnd, xor, tracked }], verdict: CONTINUE };
    }
    case 'unreadable':
      throw new UnreadableError(target.reason);
  }
}

/** What a target could do, whether it can be read or not. */
export function targetEffects(extension: XtExtension): Effects {
  const target = decode(extension);
  switch (target.type) {
    case 'nothing':
      return NO_EFFECTS;
    case 'drop':
      return { ...NO_EFFECTS, drops: true };
    case 'untrack':
      return { ...NO_EFFECTS, untracks: true };
    case 'write':
      return { ...NO_EFFECTS, marks: true };
    case 'unreadable': {
      const { marks = false, drops = false, ends = false, alters = false } = target.effects;
      return { ...NO_EFFECTS, marks, drops, alters, accepts: ends };
    }
  }
}

const BROKEN: XtEffects = { marks: true, drops: true, ends: true, alters: true };

function decode({ name, revision, info }: XtExtension): XtTarget {
  try {
    return readTarget(name, revision, info);
  } catch (error) {
    if (!(error instanceof NetlinkFormatError)) throw error;
    return { type: 'unreadable', reason: `target '${name}': ${error.message}`, effects: BROKEN };
  }
}
