// SPDX-License-Identifier: Apache-2.0
// Rules over packets: what tests see, what statements write, where verdicts lead, and that walking ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame, type PacketFields, tcp, udp } from '../../../test/support/frames.ts';
import { extension, withExtensions } from '../../../test/support/headers.ts';
import { Headers, PARSE_OK, parseFrame } from '../../packet/parse.ts';
import { packRules } from './pack.ts';
import { exactly, makeMap, makeRanges } from './ranges.ts';
import {
  ACCEPT,
  type BaseChain,
  BREAK,
  CONTINUE,
  CT_INVALID,
  CT_NEW,
  CT_UNTRACKED,
  DISPATCH,
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
  field,
  GOTO,
  JUMP,
  MAP,
  MAX_DEPTH,
  RETURN,
  type Rule,
  type RuleSet,
  type Step,
  setMark,
  TEST,
  UNTRACK,
  WRITE,
} from './rules.ts';
import { RuleWalk } from './walk.ts';

const FIELDS: PacketFields = { src: '10.0.0.9', dst: '192.0.2.1', sport: 4000, dport: 80 };
const SYN = tcp({ ...FIELDS, flags: 'S' });
const SYN6 = tcp({ ...FIELDS, src: '2001:db8::9', dst: '2001:db8::1', flags: 'S' });

const BASE: BaseChain = { chain: 0, ipv4: true, ipv6: true, drops: false, tracked: true, connected: false };

const rule = (steps: readonly Step[], verdict = CONTINUE, target = 0): Rule => ({ steps, verdict, target });
const is = (tested: Field, value: number, negated = false): Step => ({
  kind: TEST,
  field: tested,
  ranges: exactly(value),
  negated,
});
const addBit = (bit: number): Step => ({
  kind: WRITE,
  toConnection: false,
  markAnd: ~bit,
  ctAnd: 0,
  xor: bit,
  tracked: false,
});

/** The mark of a packet behind `chains`, of which packets come to the first; undefined when it is dropped. */
function walk(chains: RuleSet['chains'], packet = SYN, bases: readonly BaseChain[] = [BASE]): number | undefined {
  const bytes = frame(packet);
  const view = new DataView(bytes.buffer);
  const headers = new Headers();
  assert.equal(parseFrame(view, 0, bytes.length, headers), PARSE_OK);
  const rules = new RuleWalk();
  rules.names.set(3, Int32Array.of(0x65746830, 0, 0, 0));
  rules.begin(view, headers, 3);
  const packed = packRules({ chains, prerouting: bases, input: [] });
  return rules.run(packed, packed.prerouting) ? rules.mark >>> 0 : undefined;
}

/** Whether a test fits a packet. */
function fits(tested: Field, value: number, packet = SYN): boolean {
  return walk([[rule([is(tested, value), setMark(1)])]], packet) === 1;
}

test('fields are read where the packet has them', () => {
  assert.ok(fits(field(FROM_NETWORK, 16, 4), 0xc0000201));
  assert.ok(fits(field(FROM_TRANSPORT, 2, 2), 80 << 16));
  assert.ok(fits(field(FROM_TRANSPORT, 13, 1), 0x02 << 24));
  assert.ok(fits(field(FROM_NETWORK, 16, 3), 0xc0000200));
  assert.ok(fits(field(FROM_LINK, 12, 2), 0x0800 << 16));
  assert.ok(fits(field(FROM_PROTOCOL, 0, 1), 6 << 24));
  assert.ok(fits(field(FROM_FAMILY, 0, 1), 2 << 24));
  assert.ok(fits(field(FROM_FAMILY, 0, 1), 10 << 24, SYN6));
  assert.ok(fits(field(FROM_LENGTH, 0, 4), 40));
  assert.ok(fits(field(FROM_DEVICE, 0, 4), 3));
  assert.ok(fits(field(FROM_NAME, 0, 4), 0x65746830));
  assert.ok(fits(field(FROM_MARK, 0, 4), 0));
  const behind = withExtensions(SYN6, [extension(0), extension(60)]);
  assert.ok(fits(field(FROM_TRANSPORT, 2, 2), 80 << 16, behind), 'behind extension headers');
});

test('a field of several words is compared as one', () => {
  const ranges = makeRanges(4, [{ low: [0x20010db8, 0, 0, 0], high: [0x20010db8, 0, 0, 9] }]);
  const step: Step = { kind: TEST, field: field(FROM_NETWORK, 24, 16), ranges, negated: false };
  assert.equal(walk([[rule([step, setMark(1)])]], SYN6), 1);
});

test('masks, xor and shifts apply in this order', () => {
  const word = { source: FROM_TRANSPORT, offset: 2, size: 2, and: 0x00f00000, xor: 0x00100000, shift: 16 };
  assert.ok(fits([word], ((80 & 0xf0) ^ 0x10) >>> 0));
  assert.ok(fits([{ ...word, shift: -4 }], ((80 & 0xf0) ^ 0x10) << 20));
});

test('bytes that the packet has not end the rule, also when the test is negated', () => {
  const beyond = field(FROM_TRANSPORT, 4000, 4);
  assert.equal(walk([[rule([is(beyond, 0, true), setMark(1)]), rule([addBit(2)])]]), 2);
  assert.equal(walk([[rule([is(field(FROM_LINK, 12, 4), 0, true), setMark(1)])]]), 0, 'behind the Ethernet header');
});

test('a source that nobody knows ends the rule', () => {
  assert.equal(walk([[rule([is(field(15, 0, 4), 0, true), setMark(1)])]]), 0);
});

test('what a rule wrote before its failing test stays written', () => {
  assert.equal(walk([[rule([setMark(5), is(field(FROM_PROTOCOL, 0, 1), 17 << 24), setMark(6)])]]), 5);
});

test('ACCEPT ends the base chain from any depth, and the next one goes on', () => {
  const chains = [
    [rule([], JUMP, 1), rule([addBit(1)])],
    [rule([], JUMP, 2), rule([addBit(2)])],
    [rule([], ACCEPT)],
    [rule([addBit(8)])],
  ];
  assert.equal(walk(chains, SYN, [BASE, { ...BASE, chain: 3 }]), 8);
});

test('RETURN and the end of a chain lead behind the jump; GOTO does not come back to its chain', () => {
  assert.equal(
    walk([
      [rule([], JUMP, 1), rule([addBit(1)])],
      [rule([addBit(2)]), rule([], RETURN), rule([addBit(4)])],
    ]),
    3,
  );
  assert.equal(
    walk([[rule([], JUMP, 1), rule([addBit(1)])], [rule([], GOTO, 2), rule([addBit(2)])], [rule([addBit(4)])]]),
    5,
  );
  assert.equal(walk([[rule([], GOTO, 1), rule([addBit(1)])], [rule([addBit(2)])]]), 2);
});

test('DROP and a policy of DROP end everything', () => {
  assert.equal(walk([[rule([setMark(1)]), rule([], DROP)]]), undefined);
  assert.equal(walk([[rule([setMark(1)])]], SYN, [{ ...BASE, drops: true }]), undefined);
  assert.equal(walk([[rule([setMark(1)], ACCEPT)]], SYN, [{ ...BASE, drops: true }]), 1);
  assert.equal(walk([[rule([], JUMP, 1)], [rule([], RETURN)]], SYN, [{ ...BASE, drops: true }]), undefined);
});

test('a base chain of another family is passed', () => {
  assert.equal(walk([[rule([setMark(1)])]], SYN6, [{ ...BASE, ipv6: false }]), 0);
  assert.equal(walk([[rule([setMark(1)])]], SYN, [{ ...BASE, ipv4: false }]), 0);
});

test('a map gives the value of the range, or ends the rule', () => {
  const port = field(FROM_TRANSPORT, 2, 2);
  const { ranges } = makeMap(
    1,
    [80, 443].map((one) => ({ low: [one << 16], high: [one << 16] })),
  );
  const step: Step = {
    kind: MAP,
    toConnection: false,
    field: port,
    ranges,
    values: Uint32Array.of(7, 0xffffffff),
    otherwise: -1,
  };
  const chains = [[rule([step, addBit(0x10)])]];
  assert.equal(walk(chains), 0x17);
  assert.equal(walk(chains, tcp({ ...FIELDS, dport: 443, flags: 'S' })), 0xffffffff);
  assert.equal(walk(chains, tcp({ ...FIELDS, dport: 81, flags: 'S' })), 0);
  assert.equal(walk([[rule([{ ...step, otherwise: 9 }])]], tcp({ ...FIELDS, dport: 81, flags: 'S' })), 9);
});

test('a map of verdicts leads where the range says, goes on, or ends the rule', () => {
  const step: Step = {
    kind: DISPATCH,
    field: field(FROM_TRANSPORT, 2, 2),
    ranges: makeMap(
      1,
      [80, 81, 82].map((one) => ({ low: [one << 16], high: [one << 16] })),
    ).ranges,
    verdicts: Uint8Array.of(JUMP, CONTINUE, DROP),
    targets: Int32Array.of(1, 0, 0),
    otherwise: BREAK,
    otherwiseTarget: 0,
  };
  const chains = [[rule([step, addBit(1)]), rule([addBit(2)])], [rule([addBit(4)])]];
  const to = (dport: number): Uint8Array => tcp({ ...FIELDS, dport, flags: 'S' });
  assert.deepEqual(
    [80, 81, 82, 83].map((port) => walk(chains, to(port))),
    [6, 3, undefined, 2],
  );
  assert.equal(walk([[rule([{ ...step, otherwise: ACCEPT }]), rule([addBit(2)])]], to(83)), 0);
});

test('connection tracking sees the packet behind its own hook: before, state is invalid and there is no mark', () => {
  const early = { ...BASE, tracked: false };
  const state = (value: number): Step => is(field(FROM_CT_STATE, 0, 4), value);
  const hasConnection = is(field(FROM_CT_DIRECTION, 0, 1), 0);
  const hasMark = is(field(FROM_CT_MARK, 0, 4), 0);
  assert.equal(walk([[rule([state(CT_NEW), hasConnection, hasMark, setMark(1)])]]), 1);
  assert.equal(walk([[rule([state(CT_INVALID), setMark(1)])]], SYN, [early]), 1);
  for (const step of [hasConnection, hasMark]) assert.equal(walk([[rule([step, setMark(1)])]], SYN, [early]), 0);
});

test('an untracked packet stays so; untracking comes too late behind connection tracking', () => {
  const early = { ...BASE, tracked: false };
  const untrack = [rule([{ kind: UNTRACK }])];
  const look = [rule([is(field(FROM_CT_STATE, 0, 4), CT_UNTRACKED), setMark(1)])];
  assert.equal(walk([untrack, look], SYN, [early, { ...BASE, chain: 1 }]), 1);
  assert.equal(walk([untrack, look], SYN, [BASE, { ...BASE, chain: 1 }]), 0);
});

test('a chain of NAT is passed by packets without a connection', () => {
  const marks = [rule([setMark(1)])];
  const nat = { ...BASE, chain: 1, connected: true };
  assert.equal(walk([[], marks], SYN, [BASE, nat]), 1);
  assert.equal(walk([[rule([{ kind: UNTRACK }])], marks], SYN, [{ ...BASE, tracked: false }, nat]), 0);
});

test('the mark of the connection is kept from rule to rule, and not written where there is no connection', () => {
  const save: Step = { kind: WRITE, toConnection: true, markAnd: -1, ctAnd: 0, xor: 0, tracked: true };
  const restore: Step = { kind: WRITE, toConnection: false, markAnd: 0, ctAnd: 0xff, xor: 0x100, tracked: true };
  const chains = [[rule([setMark(0x1234)]), rule([save]), rule([setMark(5)]), rule([restore])]];
  assert.equal(walk(chains), 0x134);
  assert.equal(walk(chains, SYN, [{ ...BASE, tracked: false }]), 5);
});

test('chains that lead to themselves, or deeper than the kernel goes, are dropped', () => {
  assert.equal(walk([[rule([], GOTO, 0)]]), undefined);
  assert.equal(walk([[rule([], JUMP, 0)]]), undefined);
  const nested = (depth: number): Rule[][] => [
    ...Array.from({ length: depth }, (_, i) => [rule([], JUMP, i + 1)]),
    [rule([setMark(1)])],
  ];
  assert.equal(walk(nested(MAX_DEPTH)), 1);
  assert.equal(walk(nested(MAX_DEPTH + 1)), undefined);
});

test('a packet is compared with a bounded number of rules, however often chains call chains', () => {
  const twice = Array.from({ length: MAX_DEPTH }, (_, i) => Array.from({ length: 64 }, () => rule([], JUMP, i + 1)));
  assert.equal(walk([...twice, []]), undefined);
});

test('a chain that is not there is an empty one', () => {
  assert.equal(walk([[rule([], JUMP, 7), rule([addBit(1)])]]), 1);
});

test('UDP packets are asked for by their protocol', () => {
  assert.equal(walk([[rule([is(field(FROM_PROTOCOL, 0, 1), 17 << 24), setMark(4)])]], udp(FIELDS)), 4);
});
