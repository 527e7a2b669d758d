// SPDX-License-Identifier: Apache-2.0
// Rules as a line for people: `meta l4proto tcp ip daddr 192.0.2.1 th dport { 80, 8080 } meta mark set 0x7`. For listings
// and logs; nobody parses it.

import { describeField, hex } from './format-field.ts';
import { countRanges, type Ranges } from './ranges.ts';
import {
  ACCEPT,
  CONTINUE,
  DISPATCH,
  DROP,
  type Field,
  GOTO,
  JUMP,
  MAP,
  RETURN,
  type Rule,
  type Step,
  TEST,
  UNTRACK,
  WRITE,
  type WriteStep,
} from './rules.ts';

/** Most values of a set that are listed. */
const MAX_VALUES = 16;

/** @param chainName - the name of a chain by its index. */
export function formatRule({ steps, verdict, target }: Rule, chainName: (chain: number) => string): string {
  const texts = steps.map((step) => formatStep(step, chainName));
  if (verdict !== CONTINUE) texts.push(formatVerdict(verdict, target, chainName));
  return texts.join(' ');
}

function formatStep(step: Step, chainName: (chain: number) => string): string {
  switch (step.kind) {
    case TEST:
      return formatTest(step.field, step.ranges, step.negated);
    case WRITE:
      return `${step.toConnection ? 'ct' : 'meta'} mark set ${formatWritten(step)}`;
    case MAP: {
      const valueAt = (i: number): string => hex(step.values[i]);
      const otherwise = step.otherwise < 0 ? '' : hex(step.otherwise);
      const map = formatMap('map', step.field, step.ranges, valueAt, otherwise);
      return `${step.toConnection ? 'ct' : 'meta'} mark set ${map}`;
    }
    case DISPATCH: {
      const verdictAt = (i: number): string => formatVerdict(step.verdicts[i], step.targets[i], chainName);
      return formatMap('vmap', step.field, step.ranges, verdictAt, '');
    }
    case UNTRACK:
      return 'notrack';
  }
}

function formatWritten({ markAnd, ctAnd, xor }: WriteStep): string {
  const masked = (name: string, and: number): string => (and === -1 ? name : `${name} & ${hex(and)}`);
  const terms: string[] = [];
  if (markAnd !== 0) terms.push(masked('meta mark', markAnd));
  if (ctAnd !== 0) terms.push(masked('ct mark', ctAnd));
  if (xor !== 0 || terms.length === 0) terms.push(hex(xor));
  return terms.join(' ^ ');
}

const VERDICTS: Readonly<Record<number, string>> = {
  [ACCEPT]: 'accept',
  [DROP]: 'drop',
  [RETURN]: 'return',
  [CONTINUE]: 'continue',
};

function formatVerdict(verdict: number, target: number, chainName: (chain: number) => string): string {
  if (verdict === JUMP) return `jump ${chainName(target)}`;
  if (verdict === GOTO) return `goto ${chainName(target)}`;
  return VERDICTS[verdict] ?? 'break';
}

function formatTest(field: Field, ranges: Ranges, negated: boolean): string {
  const { name, format } = describeField(field);
  const values = listRanges(ranges, format, (text) => text);
  return `${name} ${negated ? '!= ' : ''}${values.length === 1 ? values[0] : `{ ${values.join(', ')} }`}`;
}

function formatMap(
  word: 'map' | 'vmap',
  field: Field,
  ranges: Ranges,
  valueAt: (i: number) => string,
  otherwise: string,
): string {
  const { name, format } = describeField(field);
  const entries = listRanges(ranges, format, (key, i) => `${key} : ${valueAt(i)}`);
  if (otherwise !== '') entries.push(`* : ${otherwise}`);
  return `${name} ${word} { ${entries.join(', ')} }`;
}

/** Texts of the ranges, at most {@link MAX_VALUES} of them. */
function listRanges(
  ranges: Ranges,
  format: (words: readonly number[]) => string,
  entry: (text: string, i: number) => string,
): string[] {
  const { width, low, high } = ranges;
  const count = countRanges(ranges);
  const texts = Array.from({ length: Math.min(count, MAX_VALUES) }, (_, i) => {
    const from = [...low.subarray(i * width, (i + 1) * width)];
    const to = [...high.subarray(i * width, (i + 1) * width)];
    const isOne = from.every((bits, at) => bits === to[at]);
    return entry(isOne ? format(from) : `${format(from)}-${format(to)}`, i);
  });
  return count > MAX_VALUES ? [...texts, `and ${count - MAX_VALUES} more`] : texts;
}
