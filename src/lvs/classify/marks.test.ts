// SPDX-License-Identifier: Apache-2.0
// Services of firewall marks in the director: which packets they take, in which order marks come about, and what is not
// delivered to the machine.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PacketFields, tcp } from '../../../test/support/frames.ts';
import { machine } from '../../../test/support/machine.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import type { HostAddresses } from '../host-addresses.ts';
import type { MarkRule } from '../model.ts';
import { type PackedRules, packRules } from './pack.ts';
import { exactly, type Ranges } from './ranges.ts';
import {
  type BaseChain,
  CONTINUE,
  DROP,
  FROM_MARK,
  FROM_TRANSPORT,
  field,
  type Rule,
  type Step,
  setMark,
  TEST,
} from './rules.ts';

const FIELDS: PacketFields = { src: '10.7.0.1', dst: '192.0.2.1', sport: 4000, dport: 80 };

const port = (dport: number): Step => check(field(FROM_TRANSPORT, 2, 2), exactly(dport << 16));
const rule = (steps: readonly Step[], verdict = CONTINUE): Rule => ({ steps, verdict, target: 0 });

function check(tested: ReturnType<typeof field>, ranges: Ranges): Step {
  return { kind: TEST, field: tested, ranges, negated: false };
}

const BASE: BaseChain = { chain: 0, ipv4: true, ipv6: true, drops: false, tracked: true, connected: false };

/** Rules in PREROUTING and in INPUT. */
function rules(prerouting: readonly Rule[], input: readonly Rule[] = []): PackedRules {
  return packRules({ chains: [prerouting, input], prerouting: [BASE], input: [{ ...BASE, chain: 1 }] });
}

/** A director with a service of mark 7 for each family, and one of the address. */
function director(host?: HostAddresses): TestDirector {
  const lab = new TestDirector(host === undefined ? {} : { host });
  lab.addServer(lab.addService('fwm:7'), '10.0.0.1:0');
  lab.addServer(lab.addService('fwm:7:6'), '[2001:db8:1::1]:0');
  lab.addServer(lab.addService('tcp:192.0.2.1:80'), '10.0.0.2:80');
  return lab;
}

const own = (mark: number, fields: Readonly<Record<string, string>> = {}): MarkRule =>
  ({ mark, ...fields }) as MarkRule;

/** Where the first packet of a connection goes. */
function goesTo(lab: TestDirector, fields: Partial<PacketFields> = {}): string {
  const { verdict, packet } = lab.packet(tcp({ ...FIELDS, ...fields, flags: 'S' }));
  return packet === undefined ? verdict : `${packet.slice(16, 20).join('.')}:${(packet[22] << 8) | packet[23]}`;
}

test('a packet with the mark goes to the mark’s service and keeps its port; others to their address’s', () => {
  const lab = director();
  lab.director.marks.setKernelRules(rules([rule([port(80), setMark(7)]), rule([port(8080), setMark(7)])]));
  assert.equal(goesTo(lab), '10.0.0.1:80');
  assert.equal(goesTo(lab, { dport: 8080 }), '10.0.0.1:8080');
  assert.equal(goesTo(lab, { dport: 81 }), 'pass');
  lab.director.marks.setKernelRules(rules([rule([setMark(8)])]));
  assert.equal(goesTo(lab, { sport: 4001 }), '10.0.0.2:80', 'a mark without a service is none');
});

test('the same mark is another service in IPv6', () => {
  const lab = director();
  lab.dataplane.applyNow({ type: 'add-mark', rule: own(7) });
  const { packet } = lab.packet(tcp({ ...FIELDS, src: '2001:db8::9', dst: '2001:db8::1', flags: 'S' }));
  assert.deepEqual([...(packet?.slice(24, 40) ?? [])], [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
});

test('the kernel’s rules come first, the first of the user’s that fits then decides', () => {
  const lab = director();
  lab.director.marks.setKernelRules(rules([rule([setMark(3)])]));
  assert.equal(goesTo(lab), '10.0.0.2:80');
  lab.dataplane.applyNow({ type: 'add-mark', rule: own(7, { protocol: 'tcp' }) });
  lab.dataplane.applyNow({ type: 'add-mark', rule: own(8) });
  assert.equal(goesTo(lab, { sport: 4001 }), '10.0.0.1:80');
  lab.dataplane.applyNow({ type: 'delete-mark', rule: 1 });
  assert.equal(goesTo(lab, { sport: 4002 }), '10.0.0.2:80');
});

test('what the kernel’s rules drop has no mark, of nobody’s rules', () => {
  const lab = director();
  lab.dataplane.applyNow({ type: 'add-mark', rule: own(7, { destinationPorts: '8080' }) });
  lab.director.marks.setKernelRules(rules([rule([setMark(7)])], [rule([port(8080)], DROP)]));
  assert.equal(goesTo(lab), '10.0.0.1:80');
  assert.equal(goesTo(lab, { dport: 8080 }), 'pass');
});

test('a connection lives on without its rule, and a new one is without its mark', () => {
  const lab = director();
  lab.dataplane.applyNow({ type: 'add-mark', rule: own(7, { destinationPorts: '8080' }) });
  assert.equal(goesTo(lab, { dport: 8080 }), '10.0.0.1:8080');
  lab.dataplane.applyNow({ type: 'delete-mark', rule: own(7, { destinationPorts: '8080' }) });
  const { packet } = lab.packet(tcp({ ...FIELDS, dport: 8080, flags: 'A' }));
  assert.equal(packet?.slice(16, 20).join('.'), '10.0.0.1');
  assert.equal(goesTo(lab, { sport: 4001, dport: 8080 }), 'pass');
});

test('another’s address is taken when routing by the mark that PREROUTING gave delivers it', () => {
  const asked: number[] = [];
  const host = machine();
  host.deliversMarked = (_family, _source, [word], mark) => {
    asked.push(mark);
    return word === (0xc6336401 | 0);
  };
  const lab = director(host);
  const inInput = rule([check(field(FROM_MARK, 0, 4), exactly(9)), setMark(7)]);
  lab.director.marks.setKernelRules(rules([rule([setMark(9)])], [inInput]));
  assert.equal(goesTo(lab, { dst: '198.51.100.1' }), '10.0.0.1:80', 'delivered');
  assert.equal(goesTo(lab, { dst: '198.51.100.2' }), 'pass', 'forwarded');
  assert.equal(goesTo(lab, { dst: '198.51.100.1', src: '127.0.0.1', sport: 1 }), 'pass', 'from nobody');
  assert.deepEqual(asked, [9, 9]);
});
