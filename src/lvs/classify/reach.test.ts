// SPDX-License-Identifier: Apache-2.0
// What rules could mark, told from the rules alone. That it is never less than what they do mark is tested with random
// rules in test/netns/marks.test.ts; here, that it is not much more.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MarkRule } from '../model.ts';
import { MarkRules } from './mark-rules.ts';
import { exactly, makeMap, makeRanges } from './ranges.ts';
import { couldGet, type Reach, reachOf } from './reach.ts';
import {
  type BaseChain,
  CONTINUE,
  DISPATCH,
  type Field,
  FROM_FAMILY,
  FROM_NETWORK,
  FROM_PROTOCOL,
  FROM_TRANSPORT,
  field,
  GOTO,
  JUMP,
  MAP,
  type Rule,
  type Step,
  setMark,
  TEST,
  type TestStep,
  WRITE,
} from './rules.ts';

const BASE: BaseChain = { chain: 0, ipv4: true, ipv6: false, drops: false, tracked: true, connected: false };
const PORT = field(FROM_TRANSPORT, 2, 2);
const DESTINATION = field(FROM_NETWORK, 16, 4);

const rule = (steps: readonly Step[], verdict = CONTINUE, target = 0): Rule => ({ steps, verdict, target });
const is = (tested: Field, value: number, negated = false): TestStep => ({
  kind: TEST,
  field: tested,
  ranges: exactly(value),
  negated,
});

/** Reach as lines: mark, protocols, addresses, ports. */
function lines(reach: readonly Reach[]): string[] {
  return reach.map(({ family, mark, mask, protocols, destinations, ports }) => {
    const spans = (list: Reach['ports'], shift: number): string =>
      list === undefined
        ? 'any'
        : list
            .map(({ low, high }) =>
              [low, high].map((w) => w.map((x) => (x >>> shift).toString(16)).join(':')).join('-'),
            )
            .join();
    const marks = mask === -1 ? `${mark}` : `${mark}&${(mask >>> 0).toString(16)}`;
    return `${family} mark ${marks} of ${protocols.join()} to ${spans(destinations, 0)} port ${spans(ports, 16)}`;
  });
}

const of = (...chains: (readonly Rule[])[]): string[] => lines(reachOf({ chains, prerouting: [BASE], input: [] }));

test('the user’s rules reach what they say', () => {
  const rules = new MarkRules();
  const add = (fields: Readonly<Record<string, string>>): void => rules.add({ mark: 7, ...fields } as MarkRule);
  add({ destination: '192.0.2.0/24', protocol: 'tcp', destinationPorts: '80,8080-8090' });
  add({ destination: '2001:db8::1' });
  assert.deepEqual(lines(reachOf(rules.compile())), [
    '4 mark 7 of 6 to c0000200-c00002ff port 50-50,1f90-1f9a',
    '6 mark 7 of 6,17,132 to 20010db8:0:0:1-20010db8:0:0:1 port any',
  ]);
});

test('what the chains before asked counts too, on each way to a chain', () => {
  const chains = [
    [
      rule([is(DESTINATION, 0xc0000201)], JUMP, 1),
      rule([is(field(FROM_PROTOCOL, 0, 1), 17 << 24)], GOTO, 1),
      rule([is(field(FROM_FAMILY, 0, 1), 10 << 24), setMark(9)]),
    ],
    [rule([is(PORT, 80 << 16), setMark(7)])],
  ];
  assert.deepEqual(of(...chains), [
    '4 mark 7 of 6,17,132 to c0000201-c0000201 port 50-50',
    '4 mark 7 of 17 to any port 50-50',
  ]);
});

test('a negated test says nothing, one that cannot be met excludes the rule', () => {
  assert.deepEqual(of([rule([is(PORT, 80 << 16, true), setMark(7)])]), ['4 mark 7 of 6,17,132 to any port any']);
  assert.deepEqual(of([rule([is(PORT, 80 << 16), is(PORT, 81 << 16), setMark(7)])]), []);
  assert.deepEqual(of([rule([is(field(FROM_PROTOCOL, 0, 1), 1 << 24), setMark(7)])]), []);
});

test('an address is seen beside its neighbours, and under a mask', () => {
  const both: TestStep = {
    kind: TEST,
    field: field(FROM_NETWORK, 12, 8),
    ranges: makeRanges(2, [{ low: [0x0a000001, 0xc0000201], high: [0x0a000001, 0xc0000209] }]),
    negated: false,
  };
  assert.deepEqual(of([rule([both, setMark(7)])]), ['4 mark 7 of 6,17,132 to c0000201-c0000209 port any']);
  const open = { ...both, ranges: makeRanges(2, [{ low: [1, 5], high: [2, 5] }]) };
  assert.deepEqual(
    of([rule([open, setMark(7)])]),
    ['4 mark 7 of 6,17,132 to any port any'],
    'below a range anything may follow',
  );
  const [word] = DESTINATION;
  const masked = is([{ ...word, and: 0xffff0000 | 0 }], 0xc0000000);
  assert.deepEqual(of([rule([masked, setMark(7)])]), ['4 mark 7 of 6,17,132 to c0000000-c000ffff port any']);
  const ports = is(field(FROM_TRANSPORT, 0, 4), (4000 << 16) | 80);
  assert.deepEqual(of([rule([ports, setMark(7)])]), ['4 mark 7 of 6,17,132 to any port 50-50']);
});

test('maps reach for each value what leads to it', () => {
  const { ranges } = makeMap(
    1,
    [80, 81, 443].map((one) => ({ low: [one << 16], high: [one << 16] })),
  );
  const map: Step = {
    kind: MAP,
    toConnection: false,
    field: PORT,
    ranges,
    values: Uint32Array.of(1, 2, 1),
    otherwise: 5,
  };
  assert.deepEqual(of([rule([map])]), [
    '4 mark 1 of 6,17,132 to any port 50-50,1bb-1bb',
    '4 mark 2 of 6,17,132 to any port 51-51',
    '4 mark 5 of 6,17,132 to any port any',
  ]);
  const dispatch: Step = {
    kind: DISPATCH,
    field: PORT,
    ranges,
    verdicts: Uint8Array.of(JUMP, CONTINUE, GOTO),
    targets: Int32Array.of(1, 0, 1),
    otherwise: CONTINUE,
    otherwiseTarget: 0,
  };
  assert.deepEqual(of([rule([dispatch])], [rule([setMark(3)])]), ['4 mark 3 of 6,17,132 to any port 50-50,1bb-1bb']);
});

test('a mark made of the mark so far could be any that fits, unless there is none so far', () => {
  const orBit: Step = { kind: WRITE, toConnection: false, markAnd: ~0x10, ctAnd: 0, xor: 0x10, tracked: false };
  assert.deepEqual(of([rule([orBit])]), ['4 mark 16 of 6,17,132 to any port any']);
  const [, second] = reachOf({ chains: [[rule([setMark(1)]), rule([orBit])]], prerouting: [BASE], input: [] });
  assert.deepEqual(
    [0x11, 0x10, 0x31, 0x01].map((mark) => couldGet(second, mark)),
    [true, true, true, false],
  );
});

test('restoring the connection’s mark gives none when nothing was saved before', () => {
  const restore: Step = { kind: WRITE, toConnection: false, markAnd: 0, ctAnd: -1, xor: 0, tracked: true };
  const save: Step = { kind: WRITE, toConnection: true, markAnd: -1, ctAnd: 0, xor: 0, tracked: true };
  const mark = rule([is(PORT, 80 << 16), setMark(7)]);
  assert.deepEqual(of([rule([restore]), mark, rule([save])]), ['4 mark 7 of 6,17,132 to any port 50-50']);
  assert.equal(of([mark, rule([save]), rule([restore])]).length, 2);
});

test('more ways than can be told apart are told as everything', () => {
  const many = Array.from({ length: 1000 }, (_, i) => rule([is(PORT, i << 16), setMark(7)]));
  const reach = of(many);
  assert.ok(reach.length < 300);
  assert.equal(reach.at(-1), '4 mark 7 of 6,17,132 to any port any');
  const several = Array.from({ length: 5000 }, (_, i) => rule([is(PORT, i << 16), setMark(1 + (i % 50))]));
  assert.deepEqual(of(several).slice(0, 1), ['4 mark 1 of 6,17,132 to any port any']);
  assert.equal(of(several).length, 50);
  const spans = Array.from({ length: 100_000 }, (_, i) => ({ low: [i << 8], high: [i << 8] }));
  const big: TestStep = { kind: TEST, field: DESTINATION, ranges: makeRanges(1, spans), negated: false };
  const [wide] = reachOf({ chains: [[rule([big, setMark(7)])]], prerouting: [BASE], input: [] });
  assert.ok(wide.destinations !== undefined && wide.destinations.length <= 1024);
  assert.deepEqual([wide.destinations[0].low, wide.destinations.at(-1)?.high], [[0], [99_999 << 8]]);
  const marks = Array.from({ length: 2000 }, (_, i) => rule([is(PORT, 80 << 16), setMark(i + 1)]));
  assert.deepEqual(of(marks), ['4 mark 0&0 of 6,17,132 to any port any']);
  assert.deepEqual(of([rule([], GOTO, 0), rule([setMark(7)])]), ['4 mark 0&0 of 6,17,132 to any port any'], 'a loop');
});
