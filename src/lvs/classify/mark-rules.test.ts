// SPDX-License-Identifier: Apache-2.0
// The user's own rules: what is taken, what is refused and leaves everything as it was, which packets they fit.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame, type PacketFields, tcp, udp } from '../../../test/support/frames.ts';
import { Headers, PARSE_OK, parseFrame } from '../../packet/parse.ts';
import type { Prefix } from '../../packet/prefix.ts';
import { LvsError, type MarkRule } from '../model.ts';
import { formatMarkRule, MarkRules } from './mark-rules.ts';
import { Marks } from './marks.ts';

/** A rule as somebody writes it, not yet in canonical text. */
const rule = (mark: number, fields: Readonly<Record<string, string>> = {}): MarkRule =>
  ({ mark, ...fields }) as MarkRule;

const DEVICE = 3;

function markOf(marks: Marks, packet: Uint8Array): number {
  const bytes = frame(packet);
  const view = new DataView(bytes.buffer);
  const headers = new Headers();
  assert.equal(parseFrame(view, 0, bytes.length, headers), PARSE_OK);
  return marks.markOf(view, headers, DEVICE);
}

const FIELDS: PacketFields = { src: '10.0.0.9', dst: '192.0.2.1', sport: 4000, dport: 80 };
const FIELDS6: PacketFields = { ...FIELDS, src: '2001:db8::9', dst: '2001:db8::1' };
const SYN = tcp({ ...FIELDS, flags: 'S' });
const SYN6 = tcp({ ...FIELDS6, flags: 'S' });
const DATAGRAM = udp(FIELDS);

/** Which of the three packets a rule fits. */
function fits(fields: Readonly<Record<string, string>>): string {
  const marks = new Marks();
  marks.setDevice(DEVICE, 'eth0');
  marks.add(rule(7, fields));
  const packets = { tcp: SYN, tcp6: SYN6, udp: DATAGRAM };
  return Object.entries(packets)
    .filter(([, packet]) => markOf(marks, packet) === 7)
    .map(([name]) => name)
    .join(' ');
}

test('what a rule does not say it does not look at', () => {
  assert.equal(fits({}), 'tcp tcp6 udp');
  assert.equal(fits({ protocol: 'tcp' }), 'tcp tcp6');
  assert.equal(fits({ protocol: 'sctp' }), '');
  assert.equal(fits({ destination: '192.0.2.1' }), 'tcp udp');
  assert.equal(fits({ destination: '192.0.2.0/31', protocol: 'udp' }), 'udp');
  assert.equal(fits({ destination: '192.0.2.2/31' }), '');
  assert.equal(fits({ destination: '0.0.0.0/0' }), 'tcp udp', 'a prefix is of a family');
  assert.equal(fits({ destination: '2001:db8::/32' }), 'tcp6');
  assert.equal(fits({ source: '2001:db8::9' }), 'tcp6');
  assert.equal(fits({ source: '10.0.0.0/8', destination: '192.0.2.1' }), 'tcp udp');
  assert.equal(fits({ destinationPorts: '443,79-81' }), 'tcp tcp6 udp');
  assert.equal(fits({ destinationPorts: '443' }), '');
  assert.equal(fits({ sourcePorts: '4000', protocol: 'udp' }), 'udp');
  assert.equal(fits({ interface: 'eth0' }), 'tcp tcp6 udp');
  assert.equal(fits({ interface: 'eth' }), '');
});

test('the first rule that fits decides, in the order in which they came', () => {
  const marks = new Marks();
  marks.add(rule(1, { destinationPorts: '443' }));
  marks.add(rule(2, { protocol: 'tcp' }));
  marks.add(rule(4294967295));
  assert.deepEqual(
    [SYN, DATAGRAM].map((packet) => markOf(marks, packet)),
    [2, 4294967295],
  );
  assert.equal(marks.routingMark, 4294967295);
  marks.delete(2);
  assert.equal(markOf(marks, SYN), 4294967295);
});

test('rules are kept in canonical form, under numbers that do not come again', () => {
  const rules = new MarkRules();
  rules.add(rule(7, { source: '10.1.2.3/8', destinationPorts: '8080,80,81' }));
  rules.add(rule(8));
  assert.deepEqual(rules.snapshot(), [
    { number: 1, mark: 7, source: '10.0.0.0/8', destinationPorts: '80-81,8080' },
    { number: 2, mark: 8 },
  ]);
  rules.delete(rule(7, { destinationPorts: '80-81,8080', source: '10.9.9.9/8' }));
  rules.delete(2);
  rules.add(rule(8));
  assert.deepEqual(rules.snapshot(), [{ number: 3, mark: 8 }]);
});

test('a rule as a line is what the command takes', () => {
  const fields = {
    protocol: 'tcp',
    source: '10.0.0.0/8',
    destination: '192.0.2.1/32',
    destinationPorts: '80',
    interface: 'eth0',
  };
  assert.equal(
    formatMarkRule(rule(7, fields)),
    '--mark 7 --protocol tcp --source 10.0.0.0/8 --destination 192.0.2.1 --destination-port 80 --interface eth0',
  );
  assert.equal(
    formatMarkRule(rule(9, { source: '2001:db8::/128', sourcePorts: '53' })),
    '--mark 9 --source 2001:db8:: --source-port 53',
  );
});

test('what makes no sense is refused with clear words, and changes nothing', () => {
  const rules = new MarkRules();
  rules.add(rule(7, { destination: '192.0.2.1' }));
  const before = rules.snapshot();
  const refused: readonly [MarkRule | number, 'add' | 'delete', string, RegExp][] = [
    [rule(0), 'add', 'EINVAL', /^firewall mark 0 is not 1 … 4294967295$/],
    [rule(2 ** 32), 'add', 'EINVAL', /^firewall mark 4294967296 is not/],
    [rule(1.5), 'add', 'EINVAL', /^firewall mark 1.5 is not/],
    [rule(7, { destination: '192.0.2.1/32' }), 'add', 'EEXIST', /^the rule '--mark 7 --destination 192.0.2.1' exists$/],
    [rule(7, { source: '10.0.0.0/33' }), 'add', 'EINVAL', /^source '10.0.0.0\/33' is no address or prefix/],
    [rule(7, { source: '10.0.0.1', destination: '::1' }), 'add', 'EINVAL', /of two address families$/],
    [rule(7, { destinationPorts: '80-70' }), 'add', 'EINVAL', /^destination port '80-70' is no list/],
    [rule(7, { sourcePorts: 'http' }), 'add', 'EINVAL', /^source port 'http' is no list/],
    ...['', 'a/b', 'a b', 'sixteencharacter', '..'].map((name): [MarkRule, 'add', string, RegExp] => [
      rule(7, { interface: name }),
      'add',
      'EINVAL',
      /is no device's name/,
    ]),
    [rule(8), 'delete', 'ENOENT', /^there is no rule '--mark 8'$/],
    [2, 'delete', 'ENOENT', /^there is no rule of number 2$/],
    [rule(0), 'delete', 'EINVAL', /^firewall mark 0/],
  ];
  for (const [what, change, code, message] of refused) {
    assert.throws(
      () => (change === 'add' ? rules.add(what as MarkRule) : rules.delete(what)),
      (error: LvsError) => {
        assert.ok(error instanceof LvsError);
        assert.deepEqual([error.code, message.test(error.message)], [code, true], error.message);
        return true;
      },
    );
  }
  assert.deepEqual(rules.snapshot(), before);
});

test('there is an end to how many rules are taken', () => {
  const rules = new MarkRules();
  for (let mark = 1; mark <= 4096; mark++) rules.add(rule(mark));
  assert.throws(() => rules.add(rule(5000)), { code: 'ENOMEM', message: 'there are 4096 rules already' });
});

test('a rule that is there, or is not, is told by its canonical form however it was written', () => {
  const rules = new MarkRules();
  const rule = { mark: 7, destination: '192.0.2.1' as Prefix };
  rules.add(rule);
  assert.throws(() => rules.add(rule), {
    code: 'EEXIST',
    message: "the rule '--mark 7 --destination 192.0.2.1' exists",
  });
  const other = { mark: 8, destination: '192.0.2.1' as Prefix };
  assert.throws(() => rules.delete(other), {
    code: 'ENOENT',
    message: "there is no rule '--mark 8 --destination 192.0.2.1'",
  });
});
