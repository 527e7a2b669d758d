// SPDX-License-Identifier: Apache-2.0
// quiesceEndsAffinity: clients of a server whose weight becomes 0 are free to go, in this service alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceKey } from '../../src/lvs/model.ts';
import { tcp } from '../support/frames.ts';
import { TestDirector } from '../support/test-director.ts';

const FIRST = '192.168.1.1:80';
const SECOND = '192.168.1.2:80';

class Site {
  readonly lab = new TestDirector();
  readonly services = new Map<number, ServiceKey>();
  #sport = 4000;

  /** A persistent service at port 80 of 10.0.0.`octet`. */
  serve(octet: number, quiesceEndsAffinity: boolean): ServiceKey {
    const persistence = { timeoutSeconds: 300, prefixLength: 32 };
    const service = this.lab.addService(`tcp:10.0.0.${octet}:80`, 'rr', { persistence });
    this.lab.tune(service, { quiesceEndsAffinity });
    for (const server of [FIRST, SECOND]) this.lab.addServer(service, server);
    return service;
  }

  /** Last octet of the server of a new connection. */
  connect(octet: number, client = '10.7.0.1'): number | undefined {
    const fields = { src: client, dst: `10.0.0.${octet}`, sport: this.#sport++, dport: 80, flags: 'S' };
    return this.lab.packet(tcp(fields)).packet?.[19];
  }
}

test('the clients of a quiesced server go to another and stay there; as in the kernel they stay with it', () => {
  const site = new Site();
  const ends = site.serve(1, true);
  const stays = site.serve(2, false);
  assert.deepEqual([site.connect(1), site.connect(2)], [2, 2]);
  for (const service of [ends, stays]) site.lab.editServer(service, SECOND, 0);
  assert.deepEqual([site.connect(1), site.connect(1), site.connect(2)], [1, 1, 2]);
  for (const service of [ends, stays]) site.lab.editServer(service, SECOND, 1);
  assert.deepEqual([site.connect(1), site.connect(1), site.connect(2)], [1, 1, 2]);
});

test('connections that are open, and clients of other servers, are left alone', () => {
  const site = new Site();
  const service = site.serve(1, true);
  assert.deepEqual([site.connect(1), site.connect(1, '10.7.0.2')], [2, 1]);
  site.lab.editServer(service, SECOND, 0);
  const more = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80, flags: 'A' };
  assert.equal(site.lab.packet(tcp(more)).packet?.[19], 2);
  assert.equal(site.connect(1, '10.7.0.2'), 1);
});

test('the sysctl does the same for every service', () => {
  const site = new Site();
  const service = site.serve(1, false);
  assert.equal(site.connect(1), 2);
  site.lab.editServer(service, SECOND, 0);
  site.lab.sysctl('expire_quiescent_template', 1);
  assert.equal(site.connect(1), 1);
});
