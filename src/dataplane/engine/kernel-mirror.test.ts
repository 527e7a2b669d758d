// SPDX-License-Identifier: Apache-2.0
// The kernel's tables as the engine sees them, on real devices: what routes, devices and neighbours become, and that
// their changes are followed.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { requirements } from '../../../test/support/requirements.ts';
import { VethLab, type VethPair } from '../../../test/support/veth-lab.ts';
import { PollSet } from '../../linux/poll.ts';
import { writeSysctl } from '../../linux/sysctl.ts';
import { type Address, addressWords, parseAddress } from '../../packet/address.ts';
import { parseMac } from '../../packet/ethernet.ts';
import type { Prefix } from '../../packet/prefix.ts';
import { type Adjacency, LOCAL_ADDRESS, NO_LINK, NO_ROUTE, REACHABLE } from './adjacency.ts';
import { FramePool } from './frame-pool.ts';
import { KernelMirror } from './kernel-mirror.ts';
import { MemoryLink } from './memory-link.ts';

const skip = requirements('root', 'program:ip');

const PATIENCE_MS = 5000;
const GATEWAY_MAC = '02:00:00:00:00:fe';

const log = { debug: (): void => {}, info: (): void => {}, warn: (): void => {}, error: (): void => {} };

/** A mirror that drives the device `in` and knows of the device `out`, each with a gateway that needs no asking. */
class Stage {
  readonly lab = new VethLab();
  readonly driven: VethPair;
  readonly other: VethPair;
  readonly mirror: KernelMirror;
  readonly gone: number[] = [];
  locals: readonly Address[] = [];
  localPrefixes: readonly Prefix[] = [];
  readonly #poll = new PollSet(1);
  /** A clock that is never too soon. */
  #ms = 0;

  constructor(t: TestContext) {
    t.after(() => this.lab.close());
    // IPv6 tells of each route that goes with a device, and would hide that IPv4 does not.
    this.lab.run(() => writeSysctl('net.ipv6.conf.default.disable_ipv6', '1'));
    this.driven = this.lab.addPair('in');
    this.other = this.lab.addPair('out');
    for (const [net, { near }] of [
      [1, this.driven],
      [2, this.other],
    ] as const) {
      this.lab.ip('addr', 'add', `10.0.${net}.1/24`, 'dev', near.name);
      this.lab.ip('neigh', 'add', `10.0.${net}.254`, 'lladdr', GATEWAY_MAC, 'dev', near.name);
    }
    this.mirror = this.lab.run(
      () =>
        new KernelMirror({
          log,
          onDevice: () => {},
          onDeviceGone: (index) => {
            this.gone.push(index);
            this.mirror.release(index);
          },
          onLocals: (addresses) => {
            this.locals = addresses;
          },
          onLocalPrefixes: (prefixes) => {
            this.localPrefixes = prefixes;
          },
          onResolved: () => {},
          onForgotten: () => {},
        }),
    );
    t.after(() => this.mirror.close());
    const { index, mac } = this.driven.near;
    const link = new MemoryLink({ name: 'in', index, pool: new FramePool(1), bytes: new Uint8Array(0) });
    this.mirror.drive(index, { link, mac: parseMac(mac)!, mtu: 1500 });
    this.mirror.list();
    this.#poll.add(this.mirror.number);
  }

  way(text: string): Adjacency {
    return this.mirror.adjacencies.resolveIpv4(addressWords(parseAddress(text)!)[0]);
  }

  /** Waits for the kernel's events until `holds` does. */
  follow(what: string, holds: () => boolean): void {
    while (!holds()) {
      assert.equal(this.#poll.wait(PATIENCE_MS), 1, `an event comes before this holds: ${what}`);
      this.mirror.drain();
      this.#ms += 10_000;
      this.mirror.refresh(() => this.#ms);
    }
  }
}

test('routes lead to neighbours, to other devices, to the director itself or nowhere', { skip }, (t) => {
  const stage = new Stage(t);
  const near = stage.way('10.0.1.254');
  assert.deepEqual([near.state, near.dstHigh, near.dstLow], [REACHABLE, 0x02000000, 0xfe]);
  assert.equal(stage.way('10.0.1.1').state, LOCAL_ADDRESS);
  assert.equal(stage.way('10.0.2.254').state, NO_LINK);
  assert.equal(stage.way('203.0.113.1').state, NO_ROUTE);
  assert.ok(stage.locals.includes('10.0.1.1' as Address) && stage.locals.includes('10.0.2.1' as Address));
});

test('a route over a device of others goes with that device, and the next one is taken', { skip }, (t) => {
  const stage = new Stage(t);
  stage.lab.ip('route', 'add', 'default', 'via', '10.0.2.254', 'metric', '10');
  stage.lab.ip('route', 'add', 'default', 'via', '10.0.1.254', 'metric', '20');
  stage.follow('the default route leads over the other device', () => stage.way('203.0.113.1').state === NO_LINK);
  stage.lab.ip('link', 'set', stage.other.near.name, 'down');
  stage.follow('the default route leads over the own device', () => stage.way('203.0.113.1').state === REACHABLE);
});

test('a gateway’s new MAC is used, a device that goes leads nowhere', { skip }, (t) => {
  const stage = new Stage(t);
  stage.lab.ip('neigh', 'replace', '10.0.1.254', 'lladdr', '02:00:00:00:00:fd', 'dev', stage.driven.near.name);
  stage.follow('the new MAC', () => stage.way('10.0.1.254').dstLow === 0xfd);
  stage.lab.ip('link', 'del', stage.driven.near.name);
  stage.follow('no route', () => stage.way('10.0.1.254').state === NO_ROUTE);
  assert.deepEqual(stage.gone, [stage.driven.near.index]);
});
