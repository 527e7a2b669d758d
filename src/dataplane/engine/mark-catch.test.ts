// SPDX-License-Identifier: Apache-2.0
// What has to be caught for marks: what rules could mark, services want and routes deliver, and how it is told apart.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MarkRules } from '../../lvs/classify/mark-rules.ts';
import { type Reach, reachOf } from '../../lvs/classify/reach.ts';
import type { MarkRule } from '../../lvs/model.ts';
import type { Prefix } from '../../packet/prefix.ts';
import { MarkCatch, type MarkProgram } from './mark-catch.ts';

/** A program that keeps what it is told. */
class Caught implements MarkProgram {
  readonly names = new Set<string>();
  full = false;

  addService({ protocol, address, port }: Parameters<MarkProgram['addService']>[0]): void {
    this.#add(`${protocol} ${address} ${port}`);
  }

  addMarked({ protocol, prefix, port }: Parameters<MarkProgram['addMarked']>[0]): void {
    this.#add(`${protocol} ${prefix} ${port}`);
  }

  removeService({ protocol, address, port }: Parameters<MarkProgram['removeService']>[0]): void {
    this.#remove(`${protocol} ${address} ${port}`);
  }

  removeMarked({ protocol, prefix, port }: Parameters<MarkProgram['removeMarked']>[0]): void {
    this.#remove(`${protocol} ${prefix} ${port}`);
  }

  #add(name: string): void {
    if (this.full) throw new Error('no room');
    assert.ok(!this.names.has(name), `${name} twice`);
    this.names.add(name);
  }

  #remove(name: string): void {
    assert.ok(this.names.delete(name), `${name} was not there`);
  }
}

const prefixes = (...texts: string[]): Prefix[] => texts as Prefix[];

function reach(...rules: readonly Readonly<Record<string, string>>[]): Reach[] {
  const set = new MarkRules();
  for (const rule of rules) set.add({ mark: 7, ...rule } as MarkRule);
  return reachOf(set.compile());
}

function stage() {
  const program = new Caught();
  const errors: string[] = [];
  const silent = (): void => {};
  const log = { debug: silent, info: silent, warn: silent, error: (message: string) => void errors.push(message) };
  const state = { busy: false };
  const marks = new MarkCatch({ program, log, isBusy: () => state.busy });
  marks.setLocals(prefixes('192.0.2.1/32', '127.0.0.0/8', '::1/128', '2001:db8::1/128'));
  return { program, errors, state, marks, names: () => [...program.names].sort() };
}

const WEB = { protocol: 'tcp', destination: '192.0.2.1', destinationPorts: '80,8080' };

test('nothing is caught before there are a service, a rule that gives its mark, and a route', () => {
  const { marks, names } = stage();
  marks.setOwnReach(reach(WEB));
  assert.deepEqual(names(), []);
  marks.addMark(4, 8);
  marks.addMark(6, 7);
  assert.deepEqual(names(), []);
  marks.addMark(4, 7);
  assert.deepEqual(names(), ['tcp 192.0.2.1 80', 'tcp 192.0.2.1 8080']);
  marks.setLocals(prefixes('192.0.2.2/32'));
  assert.deepEqual(names(), []);
  marks.setLocals(prefixes('192.0.2.1/32'));
  marks.setOwnReach([]);
  assert.deepEqual(names(), []);
});

test('rules without destination concern every address of the machine; without protocol all three', () => {
  const { marks, names } = stage();
  marks.addMark(4, 7);
  marks.addMark(6, 7);
  marks.setKernelReach(reach({ destinationPorts: '53', protocol: 'udp' }));
  assert.deepEqual(names(), ['udp 192.0.2.1 53', 'udp 2001:db8::1 53']);
  marks.setKernelReach(reach({}));
  assert.deepEqual(
    names(),
    ['sctp', 'tcp', 'udp'].flatMap((protocol) => [`${protocol} 192.0.2.1 0`, `${protocol} 2001:db8::1 0`]),
  );
});

test('prefixes are caught as far as some route delivers them', () => {
  const { marks, names } = stage();
  marks.addMark(4, 7);
  marks.setKernelReach(reach({ destination: '198.51.100.0/24', protocol: 'tcp' }));
  assert.deepEqual(names(), []);
  marks.setLocals(prefixes('192.0.2.1/32', '198.51.0.0/16'));
  assert.deepEqual(names(), ['tcp 198.51.100.0/24 0']);
  marks.setLocals(prefixes('0.0.0.0/0', '198.51.100.128/25', '198.51.100.9/32'));
  assert.deepEqual(names(), ['tcp 198.51.100.0/24 0', 'tcp 198.51.100.128/25 0', 'tcp 198.51.100.9 0']);
});

test('many ports are all ports, many addresses whole prefixes', () => {
  const { marks, names } = stage();
  marks.addMark(4, 7);
  marks.setKernelReach(reach({ destinationPorts: '1000-2000', protocol: 'tcp' }));
  assert.deepEqual(names(), ['tcp 192.0.2.1 0']);
  marks.setLocals(prefixes('10.0.0.0/8'));
  const spans = Array.from({ length: 9000 }, (_, i) => ({ low: [0x0a000000 + 2 * i], high: [0x0a000000 + 2 * i] }));
  const [one] = reach({ protocol: 'tcp', destination: '10.0.0.0/8' });
  marks.setKernelReach([{ ...one, destinations: spans }]);
  assert.deepEqual(names(), ['sctp 10.0.0.0/8 0', 'tcp 10.0.0.0/8 0', 'udp 10.0.0.0/8 0']);
});

test('what old connections need stays until there are none', () => {
  const { marks, names, state } = stage();
  marks.addMark(4, 7);
  marks.setOwnReach(reach(WEB));
  state.busy = true;
  marks.setOwnReach(reach({ ...WEB, destinationPorts: '80' }));
  assert.deepEqual(names(), ['tcp 192.0.2.1 80', 'tcp 192.0.2.1 8080']);
  marks.release();
  assert.equal(names().length, 2);
  state.busy = false;
  marks.release();
  assert.deepEqual(names(), ['tcp 192.0.2.1 80']);
  marks.removeMark(4, 7);
  assert.deepEqual(names(), []);
});

test('a rule that comes back finds what lingered', () => {
  const { marks, names, state } = stage();
  marks.addMark(4, 7);
  marks.setOwnReach(reach(WEB));
  state.busy = true;
  marks.setOwnReach([]);
  marks.setOwnReach(reach(WEB));
  state.busy = false;
  marks.release();
  assert.equal(names().length, 2);
});

test('a service that the kernel has no room for is refused, and nothing stays of it; rules are a matter of the log', () => {
  const { marks, names, program, errors } = stage();
  marks.setOwnReach(reach(WEB));
  program.full = true;
  assert.throws(() => marks.addMark(4, 7), { message: 'no room' });
  program.full = false;
  marks.setLocals(prefixes('192.0.2.1/32'));
  assert.deepEqual(names(), []);
  marks.addMark(4, 7);
  program.full = true;
  marks.setOwnReach(reach({ ...WEB, destinationPorts: '443' }));
  assert.deepEqual(errors, ['packets with firewall marks cannot be caught']);
});
