// SPDX-License-Identifier: Apache-2.0
// Sets, maps and verdict maps in packed rules, against plain comparisons: fields of any width, as one number or part by part.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frame, tcp } from '../../../test/support/frames.ts';
import { Headers, parseFrame } from '../../packet/parse.ts';
import { packRules } from './pack.ts';
import { exactly, makeBoxes, makeMap, makeRanges, type Ranges, type Span } from './ranges.ts';
import {
  ACCEPT,
  BREAK,
  CONTINUE,
  DISPATCH,
  DROP,
  type Field,
  FROM_CT_MARK,
  FROM_NETWORK,
  FROM_TRANSPORT,
  field,
  JUMP,
  MAP,
  type Rule,
  type Step,
  setMark,
  TEST,
  WRITE,
} from './rules.ts';
import { RuleWalk } from './walk.ts';

const TCP_HEADER = 20;

/** The mark of a packet that carries these words, behind chains of which it comes to the first; -1 when it is dropped. */
function markOf(words: readonly number[], chains: readonly (readonly Rule[])[], tracked = true): number {
  const payload = new Uint8Array(4 * words.length);
  const view = new DataView(payload.buffer);
  for (const [i, word] of words.entries()) view.setInt32(4 * i, word);
  const bytes = frame(tcp({ src: '10.0.0.9', dst: '192.0.2.1', sport: 1, dport: 2, flags: 'A', payload }));
  const memory = new DataView(bytes.buffer);
  const headers = new Headers();
  parseFrame(memory, 0, bytes.length, headers);
  const base = { chain: 0, ipv4: true, ipv6: true, drops: false, tracked, connected: false };
  const rules = packRules({ chains, prerouting: [base], input: [] });
  const walk = new RuleWalk();
  walk.begin(memory, headers, 0);
  return walk.run(rules, rules.prerouting) ? walk.mark >>> 0 : -1;
}

const carried = (words: number): Field => field(FROM_TRANSPORT, TCP_HEADER, 4 * words);
const rule = (steps: readonly Step[], verdict = CONTINUE, target = 0): Rule => ({ steps, verdict, target });
const test1 = (ranges: Ranges, negated = false): Step => ({
  kind: TEST,
  field: carried(ranges.width),
  ranges,
  negated,
});

/** Words as one unsigned number. */
const number = (words: readonly number[]): bigint => words.reduce((sum, word) => (sum << 32n) | BigInt(word >>> 0), 0n);
const isWithin = ({ low, high }: Span, key: readonly number[]): boolean =>
  number(low) <= number(key) && number(key) <= number(high);

/** Few values, among them those whose sign or bytes could be mistaken. */
const word = fc.constantFrom(0, 1, 2, 3, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff);
const row = (width: number): fc.Arbitrary<number[]> => fc.array(word, { minLength: width, maxLength: width });

/** Spans of one width, parts of it, and a key to look for. */
const search = fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 1, maxLength: 3 }).chain((parts) => {
  const width = parts.reduce((sum, words) => sum + words, 0);
  return fc.record({
    parts: fc.constant(parts),
    spans: fc.array(fc.tuple(row(width), row(width)), { maxLength: 8 }),
    key: row(width),
  });
});

test('a set has what lies between the bounds of one of its ranges, the whole field as one number', () => {
  let found = 0;
  fc.assert(
    fc.property(search, ({ spans, key }) => {
      const ordered = spans.map(([a, b]): Span => (number(a) <= number(b) ? { low: a, high: b } : { low: b, high: a }));
      const isIn = ordered.some((span) => isWithin(span, key));
      if (isIn) found++;
      const ranges = makeRanges(key.length, ordered);
      assert.equal(markOf(key, [[rule([test1(ranges), setMark(1)])]]), isIn ? 1 : 0);
      assert.equal(markOf(key, [[rule([test1(ranges, true), setMark(1)])]]), isIn ? 0 : 1);
    }),
    { numRuns: 500 },
  );
  assert.ok(found > 100, `${found} were in their set`);
});

test('a set of concatenations has what lies between the bounds part by part; of its ranges the first counts', () => {
  let found = 0;
  fc.assert(
    fc.property(search, ({ parts, spans, key }) => {
      const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, words) => sum + words, 0));
      const cut = (words: readonly number[]): number[][] =>
        parts.map((size, i) => words.slice(starts[i], starts[i] + size));
      const boxes = spans.map(([a, b]) => {
        const pairs = cut(a).map((one, i) => [one, cut(b)[i]].sort((x, y) => (number(x) < number(y) ? -1 : 1)));
        return { low: pairs.flatMap(([low]) => low), high: pairs.flatMap(([, high]) => high) };
      });
      const first = boxes.findIndex(({ low, high }) =>
        cut(key).every((part, i) => isWithin({ low: cut(low)[i], high: cut(high)[i] }, part)),
      );
      if (first >= 0) found++;
      const ranges = makeBoxes(parts, boxes);
      const values = Uint32Array.from(boxes, (_, i) => 100 + i);
      const map: Step = { kind: MAP, toConnection: false, field: carried(key.length), ranges, values, otherwise: 7 };
      assert.equal(markOf(key, [[rule([test1(ranges), setMark(1)])]]), first >= 0 ? 1 : 0);
      assert.equal(markOf(key, [[rule([map])]]), first >= 0 ? 100 + first : 7);
    }),
    { numRuns: 500 },
  );
  assert.ok(found > 100, `${found} were in their set`);
});

test('a verdict map over several words leads where its entry says', () => {
  const { ranges } = makeMap(2, [
    { low: [1, 0], high: [1, 9] },
    { low: [0x80000000, 5], high: [0x80000000, 5] },
  ]);
  const dispatch: Step = {
    kind: DISPATCH,
    field: carried(2),
    ranges,
    verdicts: Uint8Array.of(JUMP, DROP),
    targets: Int32Array.of(1, 0),
    otherwise: BREAK,
    otherwiseTarget: 0,
  };
  const chains = [[rule([dispatch]), rule([setMark(3)])], [rule([setMark(5)], ACCEPT)]];
  const marks = [
    [1, 0],
    [1, 9],
    [1, 10],
    [0x80000000, 5],
    [0x80000000, 4],
    [0, 5],
  ].map((key) => markOf(key, chains));
  assert.deepEqual(marks, [5, 5, 3, -1, 3, 3]);
});

test('a field that the packet has not ends the rule of a set, a map and a verdict map, whatever they say otherwise', () => {
  const beyond = field(FROM_NETWORK, 2000, 8);
  const ranges = makeRanges(2, [{ low: [0, 0], high: [0xffffffff, 0xffffffff] }]);
  const steps: readonly Step[] = [
    { kind: TEST, field: beyond, ranges, negated: false },
    { kind: TEST, field: beyond, ranges, negated: true },
    { kind: MAP, toConnection: false, field: beyond, ranges, values: Uint32Array.of(7), otherwise: 8 },
    {
      kind: DISPATCH,
      field: beyond,
      ranges,
      verdicts: Uint8Array.of(DROP),
      targets: Int32Array.of(0),
      otherwise: DROP,
      otherwiseTarget: 0,
    },
  ];
  for (const step of steps) assert.equal(markOf([1], [[rule([step, setMark(1)]), rule([])]]), 0);
});

test('a map can give the connection its mark, where there is one', () => {
  const toConnection: Step = {
    kind: MAP,
    toConnection: true,
    field: carried(1),
    ranges: exactly(5),
    values: Uint32Array.of(0x55),
    otherwise: 0x66,
  };
  const restore: Step = { kind: WRITE, toConnection: false, markAnd: 0, ctAnd: -1, xor: 0, tracked: false };
  const hasMark: Step = { kind: TEST, field: field(FROM_CT_MARK, 0, 4), ranges: exactly(0x55), negated: false };
  const chains = [[rule([toConnection]), rule([restore]), rule([hasMark, setMark(1)])]];
  assert.deepEqual([markOf([5], chains), markOf([6], chains)], [1, 0x66]);
  assert.equal(markOf([5], chains, false), 0, 'without connection tracking nothing is written');
});

test('a field of more words than any rule of the kernel has is refused', () => {
  const ranges = makeRanges(40, []);
  assert.throws(() => markOf([1], [[rule([test1(ranges)])]]), TypeError);
});
