// SPDX-License-Identifier: Apache-2.0
// Rules as lines for people.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRule } from './format-rule.ts';
import { exactly, makeMap, makeRanges } from './ranges.ts';
import {
  ACCEPT,
  BREAK,
  CONTINUE,
  DISPATCH,
  DROP,
  type Field,
  FROM_CT_STATE,
  FROM_FAMILY,
  FROM_LENGTH,
  FROM_LINK,
  FROM_MARK,
  FROM_NAME,
  FROM_NETWORK,
  FROM_PROTOCOL,
  FROM_TRANSPORT,
  field,
  JUMP,
  MAP,
  type Step,
  TEST,
  UNTRACK,
  WRITE,
} from './rules.ts';

const text = (steps: readonly Step[], verdict = CONTINUE, target = 0): string =>
  formatRule({ steps, verdict, target }, (chain) => `chain${chain}`);

function tested(of: Field, low: readonly number[], high = low, negated = false): string {
  return text([{ kind: TEST, field: of, ranges: makeRanges(low.length, [{ low, high }]), negated }]);
}

test('fields that have names are called by them', () => {
  assert.equal(tested(field(FROM_PROTOCOL, 0, 1), [6 << 24]), 'meta l4proto tcp');
  assert.equal(tested(field(FROM_FAMILY, 0, 1), [10 << 24]), 'meta nfproto ipv6');
  assert.equal(tested(field(FROM_NETWORK, 16, 4), [0xc0000201]), 'ip daddr 192.0.2.1');
  assert.equal(tested(field(FROM_NETWORK, 16, 3), [0xc0000200]), 'ip daddr 192.0.2.0/24');
  assert.equal(
    tested(field(FROM_NETWORK, 12, 8), [0x0a000001, 0xc0000201]),
    'ip saddr . ip daddr 10.0.0.1 . 192.0.2.1',
  );
  assert.equal(tested(field(FROM_NETWORK, 24, 16), [0x20010db8, 0, 0, 1]), 'ip6 daddr 2001:db8::1');
  assert.equal(tested(field(FROM_NETWORK, 24, 8), [0x20010db8, 0]), 'ip6 daddr 2001:db8::/64');
  assert.equal(tested(field(FROM_TRANSPORT, 2, 2), [80 << 16], [90 << 16]), 'th dport 80-90');
  assert.equal(tested(field(FROM_TRANSPORT, 0, 4), [(4000 << 16) | 80]), 'th sport . th dport 4000 . 80');
  assert.equal(tested(field(FROM_LENGTH, 0, 4), [0], [99], true), 'meta length != 0-99');
  assert.equal(tested(field(FROM_CT_STATE, 0, 4), [8]), 'ct state 0x8');
  assert.equal(tested(field(FROM_LINK, 6, 6), [0x02000000, 0x00010000]), 'ether saddr 02:00:00:00:00:01');
  assert.equal(tested(field(FROM_NAME, 0, 16), [0x65746830, 0, 0, 0]), 'iifname "eth0"');
});

test('masks are said, in a prefix where they are one', () => {
  const [address] = field(FROM_NETWORK, 16, 4);
  assert.equal(tested([{ ...address, and: -1 << 20 }], [0xc0000000]), 'ip daddr 192.0.0.0/12');
  const [mark] = field(FROM_MARK, 0, 4);
  assert.equal(tested([{ ...mark, and: 0xff }], [7]), 'meta mark & 0xff 0x7');
  const name = field(FROM_NAME, 0, 16).map((word, i) => ({ ...word, and: i === 0 ? 0xffffff00 | 0 : 0 }));
  assert.equal(tested(name, [0x65746800, 0, 0, 0]), 'iifname "eth*"');
});

test('bytes without a name stand by their place', () => {
  assert.equal(tested(field(FROM_NETWORK, 2, 2), [40 << 16]), '@nh,16,16 0x280000');
  assert.equal(tested(field(FROM_TRANSPORT, 20, 4), [0x1234]), '@th,160,32 0x1234');
});

test('sets and maps are listed, but not without end', () => {
  const port = field(FROM_TRANSPORT, 2, 2);
  const entries = [80, 443].map((one) => ({ low: [one << 16], high: [one << 16] }));
  const { ranges } = makeMap(1, entries);
  assert.equal(text([{ kind: TEST, field: port, ranges, negated: false }]), 'th dport { 80, 443 }');
  const map: Step = { kind: MAP, toConnection: false, field: port, ranges, values: Uint32Array.of(1, 2), otherwise: 3 };
  assert.equal(text([map]), 'meta mark set th dport map { 80 : 0x1, 443 : 0x2, * : 0x3 }');
  const verdicts: Step = {
    kind: DISPATCH,
    field: port,
    ranges,
    verdicts: Uint8Array.of(JUMP, DROP),
    targets: Int32Array.of(4, 0),
    otherwise: BREAK,
    otherwiseTarget: 0,
  };
  assert.equal(text([verdicts]), 'th dport vmap { 80 : jump chain4, 443 : drop }');
  const many = makeRanges(
    1,
    Array.from({ length: 20 }, (_, i) => ({ low: [i << 17], high: [i << 17] })),
  );
  assert.match(
    text([{ kind: TEST, field: port, ranges: many, negated: true }]),
    /^th dport != \{ 0, 2, .*, 30, and 4 more \}$/,
  );
});

test('what is written, and the verdict, come behind', () => {
  const write = { kind: WRITE, toConnection: false, markAnd: 0, ctAnd: 0, xor: 7, tracked: false } as const;
  const port: Step = { kind: TEST, field: field(FROM_TRANSPORT, 2, 2), ranges: exactly(80 << 16), negated: false };
  assert.equal(text([port, write], ACCEPT), 'th dport 80 meta mark set 0x7 accept');
  assert.equal(text([{ ...write, markAnd: 0xff, xor: 0 }]), 'meta mark set meta mark & 0xff');
  assert.equal(
    text([{ ...write, markAnd: ~0xff, ctAnd: 0xff, xor: 0 }]),
    'meta mark set meta mark & 0xffffff00 ^ ct mark & 0xff',
  );
  assert.equal(text([{ ...write, toConnection: true, markAnd: -1, xor: 1 }]), 'ct mark set meta mark ^ 0x1');
  assert.equal(text([{ kind: UNTRACK }], JUMP, 2), 'notrack jump chain2');
});
