// SPDX-License-Identifier: Apache-2.0
// freshSyn: a client that uses its port again is never met with silence, whatever became of its connection and server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNKS, type ChunkName } from '../support/frames.ts';
import { Random } from '../support/random.ts';
import { Site } from '../support/site.ts';

/** Port of the only client. */
const PORT = 4000;

class Reused extends Site {
  constructor(freshSyn: boolean, { service = 'tcp:10.0.0.1:80', isPersistent = false } = {}) {
    super({ service, ...(isPersistent && { persistence: 300 }) });
    this.lab.tune(this.service, { freshSyn });
  }

  client(flags: string): string {
    return this.send(PORT, { flags });
  }

  reply(number: number, flags: string): void {
    this.answer(number, PORT, { flags });
  }

  /** A connection to server 2 in ESTABLISHED. */
  open(): void {
    assert.equal(this.establish(PORT), '2');
  }
}

test('a SYN on the connection of a removed server is dropped as in the kernel, unless it is to be fresh', () => {
  for (const [freshSyn, expected] of [
    [false, 'drop-server-gone'],
    [true, '1'],
  ] as const) {
    const site = new Reused(freshSyn);
    site.open();
    site.delete(2);
    assert.equal(site.client('S'), expected);
    assert.equal(site.client('A'), freshSyn ? '1' : 'drop-server-gone');
  }
});

test('a SYN on the connection of a quiesced server goes to it as in the kernel, unless it is to be fresh', () => {
  for (const [freshSyn, expected] of [
    [false, '2'],
    [true, '1'],
  ] as const) {
    const site = new Reused(freshSyn);
    site.open();
    site.edit(2, 0);
    assert.equal(site.client('S'), expected);
    assert.equal(site.client('A'), expected);
  }
});

for (const [state, close] of [
  ['FIN_WAIT', (site: Reused) => site.reply(2, 'FA')],
  ['CLOSE_WAIT', (site: Reused) => site.client('FA')],
] as const) {
  test(`a SYN in ${state}, where the kernel stays, is scheduled anew`, () => {
    for (const [freshSyn, expected] of [
      [false, '2'],
      [true, '1'],
    ] as const) {
      const site = new Reused(freshSyn);
      site.open();
      close(site);
      assert.equal(site.lab.connections()[0].state, state);
      assert.equal(site.client('S'), expected);
      assert.equal(site.lab.connections().length, 1);
    }
  });
}

test('the same holds for an INIT on an association that is closing', () => {
  for (const [freshSyn, expected] of [
    [false, '2'],
    [true, '1'],
  ] as const) {
    const site = new Reused(freshSyn, { service: 'sctp:10.0.0.1:80' });
    const client = (chunk: ChunkName): string => site.send(PORT, { chunks: [CHUNKS[chunk]] });
    assert.equal(client('INIT'), '2');
    site.answer(2, PORT, { chunks: [CHUNKS['COOKIE ACK']] });
    assert.equal(client('INIT'), '2', 'it lives');
    assert.equal(client('SHUTDOWN'), '2');
    assert.equal(client('INIT'), expected);
  }
});

test('a repeated SYN of a connection that lives stays where it is', () => {
  const site = new Reused(true);
  assert.deepEqual([site.client('S'), site.client('S'), site.client('S')], ['2', '2', '2']);
  site.reply(2, 'SA');
  site.client('A');
  assert.equal(site.client('S'), '2');
});

test('other services are as they were', () => {
  const site = new Reused(true);
  site.lab.tune(site.service, {});
  site.open();
  site.delete(2);
  assert.equal(site.client('S'), 'drop-server-gone');
});

for (const isPersistent of [false, true]) {
  test(`whatever happened before, no SYN is dropped while a server can take it${isPersistent ? ', with persistence' : ''}`, () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new Random(seed);
      const site = new Reused(true, { isPersistent });
      const weights = new Map([
        [1, 1],
        [2, 1],
      ]);
      const trail: string[] = [];
      for (let step = 0; step < 40; step++) {
        const server = random.pick([1, 2]);
        const weight = weights.get(server);
        const action = random.pick(['syn', 'client', 'server', 'remove', 'weigh', 'wait']);
        trail.push(`${action} ${server}`);
        if (action === 'client') site.client(random.pick(['A', 'FA', 'R', 'PA']));
        else if (action === 'server') site.reply(random.pick([1, 2]), random.pick(['SA', 'A', 'FA', 'R', 'S']));
        else if (action === 'wait') site.lab.advance(random.below(20));
        else if (action === 'remove' && weight !== undefined) {
          site.delete(server);
          weights.delete(server);
        } else if (action === 'remove' || action === 'weigh') {
          const next = random.below(2);
          if (weight === undefined) site.add(server, next);
          else site.edit(server, next);
          weights.set(server, next);
        } else if (action === 'syn') {
          const isAble = [...weights.values()].some((value) => value > 0);
          const got = site.client('S');
          if (isAble) assert.match(got, /^[12]$/, `seed ${seed}: ${trail.join(', ')}`);
        }
      }
    }
  });
}
