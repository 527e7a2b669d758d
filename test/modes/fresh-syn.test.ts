// SPDX-License-Identifier: Apache-2.0
// freshSyn: a client that uses its port again is never met with silence, whatever became of its connection and server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceKey } from '../../src/lvs/model.ts';
import { CHUNKS, type ChunkName, sctp, tcp } from '../support/frames.ts';
import { Random } from '../support/random.ts';
import { TestDirector } from '../support/test-director.ts';

const FIRST = '192.168.1.1:80';
const SECOND = '192.168.1.2:80';
const ENDS = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };

class Site {
  readonly lab = new TestDirector();
  readonly service: ServiceKey;

  constructor(freshSyn: boolean, isPersistent = false) {
    const persistence = { timeoutSeconds: 300, prefixLength: 32 };
    this.service = this.lab.addService('tcp:10.0.0.1:80', 'rr', isPersistent ? { persistence } : {});
    this.lab.tune(this.service, { freshSyn });
    for (const server of [FIRST, SECOND]) this.lab.addServer(this.service, server);
  }

  /** Last octet of the server that gets a packet of the client, or the verdict. */
  client(flags: string): string {
    const { verdict, packet } = this.lab.packet(tcp({ ...ENDS, flags }));
    return verdict === 'forward' ? String(packet?.[19]) : verdict;
  }

  server(octet: string, flags: string): void {
    this.lab.packet(tcp({ src: `192.168.1.${octet}`, dst: ENDS.src, sport: 80, dport: ENDS.sport, flags }));
  }

  /** Opens a connection to server 2 and leaves it in ESTABLISHED. */
  establish(): void {
    assert.equal(this.client('S'), '2');
    this.server('2', 'SA');
    assert.equal(this.client('A'), '2');
  }
}

test('a SYN on the connection of a removed server is dropped as in the kernel, unless it is to be fresh', () => {
  for (const [freshSyn, expected] of [
    [false, 'drop-server-gone'],
    [true, '1'],
  ] as const) {
    const site = new Site(freshSyn);
    site.establish();
    site.lab.deleteServer(site.service, SECOND);
    assert.equal(site.client('S'), expected);
    assert.equal(site.client('A'), freshSyn ? '1' : 'drop-server-gone');
  }
});

test('a SYN on the connection of a quiesced server goes to it as in the kernel, unless it is to be fresh', () => {
  for (const [freshSyn, expected] of [
    [false, '2'],
    [true, '1'],
  ] as const) {
    const site = new Site(freshSyn);
    site.establish();
    site.lab.editServer(site.service, SECOND, 0);
    assert.equal(site.client('S'), expected);
    assert.equal(site.client('A'), expected);
  }
});

for (const [state, close] of [
  ['FIN_WAIT', (site: Site) => site.server('2', 'FA')],
  ['CLOSE_WAIT', (site: Site) => site.client('FA')],
] as const) {
  test(`a SYN in ${state}, where the kernel stays, is scheduled anew`, () => {
    for (const [freshSyn, expected] of [
      [false, '2'],
      [true, '1'],
    ] as const) {
      const site = new Site(freshSyn);
      site.establish();
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
    const lab = new TestDirector();
    const service = lab.addService('sctp:10.0.0.1:80');
    lab.tune(service, { freshSyn });
    for (const server of [FIRST, SECOND]) lab.addServer(service, server);
    const client = (chunk: ChunkName): string => lab.target(sctp({ ...ENDS, chunks: [CHUNKS[chunk]] }));
    assert.equal(client('INIT'), '2');
    lab.packet(sctp({ src: '192.168.1.2', dst: ENDS.src, sport: 80, dport: 4000, chunks: [CHUNKS['COOKIE ACK']] }));
    assert.equal(client('INIT'), '2', 'it lives');
    assert.equal(client('SHUTDOWN'), '2');
    assert.equal(client('INIT'), expected);
  }
});

test('a repeated SYN of a connection that lives stays where it is', () => {
  const site = new Site(true);
  assert.deepEqual([site.client('S'), site.client('S'), site.client('S')], ['2', '2', '2']);
  site.server('2', 'SA');
  site.client('A');
  assert.equal(site.client('S'), '2');
});

test('other services are as they were', () => {
  const site = new Site(true);
  site.lab.tune(site.service, {});
  site.establish();
  site.lab.deleteServer(site.service, SECOND);
  assert.equal(site.client('S'), 'drop-server-gone');
});

for (const isPersistent of [false, true]) {
  test(`whatever happened before, no SYN is dropped while a server can take it${isPersistent ? ', with persistence' : ''}`, () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new Random(seed);
      const site = new Site(true, isPersistent);
      const weights = new Map([
        [FIRST, 1],
        [SECOND, 1],
      ]);
      const trail: string[] = [];
      for (let step = 0; step < 40; step++) {
        const server = random.pick([FIRST, SECOND]);
        const weight = weights.get(server);
        const action = random.pick(['syn', 'client', 'server', 'remove', 'weigh', 'wait']);
        trail.push(`${action} ${server}`);
        if (action === 'client') site.client(random.pick(['A', 'FA', 'R', 'PA']));
        else if (action === 'server') site.server(random.pick(['1', '2']), random.pick(['SA', 'A', 'FA', 'R', 'S']));
        else if (action === 'wait') site.lab.advance(random.below(20));
        else if (action === 'remove' && weight !== undefined) {
          site.lab.deleteServer(site.service, server);
          weights.delete(server);
        } else if (action === 'remove' || action === 'weigh') {
          const next = random.below(2);
          if (weight === undefined) site.lab.addServer(site.service, server, next);
          else site.lab.editServer(site.service, server, next);
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
