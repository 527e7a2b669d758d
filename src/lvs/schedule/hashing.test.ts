// SPDX-License-Identifier: Apache-2.0
// sh, dh and mh: who shares a server, and who moves when servers change. Single picks as captured: test/golden; quiesced
// servers of mh: test/modes/maglev.test.ts.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { tcp } from '../../../test/support/frames.ts';
import { countLooks } from '../../../test/support/loaded-service.ts';
import { Site, type SiteOptions } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';

const CLIENTS = 512;

/** Server of each of many clients; '-' for none. Each look uses a port of its own. */
class Hashed extends Site {
  #sport = 1000;

  constructor(options: SiteOptions) {
    super({ lab: new TestDirector({ maxConnections: 60_000 }), ...options });
  }

  clients(): string[] {
    const sport = this.#sport++;
    return Array.from({ length: CLIENTS }, (_, i) => name(this.send(sport, { from: 256 + 7 * i })));
  }

  /** The same by destination; the service is a mark's that has them all. */
  destinations(): string[] {
    const sport = this.#sport++;
    return Array.from({ length: CLIENTS }, (_, i) => name(this.send(sport, { to: `10.20.${i >> 8}.${i & 255}` })));
  }

  /** Server of one client by its address. */
  of(src: string, dst = '2001:db8::1'): string {
    return name(this.lab.target(tcp({ src, dst, sport: this.#sport++, dport: 80, flags: 'S' })));
  }
}

function name(target: string): string {
  return /^\d+$/.test(target) ? target : '-';
}

function destinationSite(weights: readonly number[]): Hashed {
  const site = new Hashed({ service: 'fwm:7', scheduler: 'dh', weights });
  site.lab.mark(7);
  return site;
}

suite('sh', () => {
  test('a weight of 256 or more takes all buckets when its turn comes first, and what is left when it comes later', () => {
    assert.deepEqual(new Set(new Hashed({ scheduler: 'sh', weights: [1, 256] }).clients()), new Set(['2']));
    assert.deepEqual(new Set(new Hashed({ scheduler: 'sh', weights: [1, 2 ** 31 - 1] }).clients()), new Set(['2']));
    const late = new Hashed({ scheduler: 'sh', weights: [1000, 1] }).clients();
    const share = late.filter((server) => server === '2').length;
    assert.ok(share > 0 && share < 10, `one bucket of 256: ${share} of ${CLIENTS}`);
  });

  test('a server of weight 0 still has a bucket, whose clients are not served', () => {
    const site = new Hashed({ scheduler: 'sh', weights: [3, 0] });
    const lost = site.clients().filter((server) => server === '-').length;
    assert.ok(lost > CLIENTS / 8 && lost < CLIENTS / 2, `${lost} of ${CLIENTS}`);
  });

  test('an edit of a weight moves clients, an overloaded server does not: its clients are not served', () => {
    const site = new Hashed({ scheduler: 'sh', weights: [1, 1] });
    const before = site.clients();
    site.edit(2, 1, { upperThreshold: 1 });
    assert.deepEqual(
      site.clients(),
      before.map((server) => (server === '2' ? '-' : server)),
    );
    site.edit(2, 3);
    const after = site.clients().filter((server) => server === '2').length;
    assert.ok(after > (CLIENTS * 5) / 8, `${after} of ${CLIENTS}`);
  });

  test('a server that comes or goes moves clients; without one nobody is served', () => {
    const site = new Hashed({ scheduler: 'sh', weights: [1, 1] });
    const before = site.clients();
    site.add(3);
    assert.deepEqual(new Set(site.clients()), new Set(['1', '2', '3']));
    site.delete(3);
    assert.deepEqual(site.clients(), before);
    site.delete(2);
    assert.deepEqual(new Set(site.clients()), new Set(['1']));
    site.delete(1);
    assert.deepEqual(new Set(site.clients()), new Set(['-']));
  });

  test('with sh-fallback nobody is left without a server while one can, and with none all are', () => {
    const site = new Hashed({ scheduler: 'sh', schedulerFlags: ['flag-1'], weights: [1, 0, 0] });
    assert.deepEqual(new Set(site.clients()), new Set(['1']));
    site.edit(1, 0);
    assert.deepEqual(new Set(site.clients()), new Set(['-']));
  });
});

suite('dh', () => {
  test('destinations are spread evenly whatever the weights, and an edit of one moves nobody', () => {
    const site = destinationSite([1, 100]);
    const before = site.destinations();
    const share = before.filter((server) => server === '2').length;
    assert.ok(share > CLIENTS / 3 && share < (CLIENTS * 2) / 3, `${share} of ${CLIENTS}`);
    site.edit(1, 7);
    assert.deepEqual(site.destinations(), before);
    site.edit(1, 0);
    assert.deepEqual(
      site.destinations(),
      before.map((server) => (server === '1' ? '-' : server)),
    );
    site.edit(1, 1);
    assert.deepEqual(site.destinations(), before);
  });

  test('a server that comes or goes moves destinations; without one nothing is served', () => {
    const site = destinationSite([1, 1]);
    const before = site.destinations();
    site.add(3);
    assert.deepEqual(new Set(site.destinations()), new Set(['1', '2', '3']));
    site.delete(3);
    assert.deepEqual(site.destinations(), before);
    site.delete(1);
    assert.deepEqual(new Set(site.destinations()), new Set(['2']));
    site.delete(2);
    assert.deepEqual(new Set(site.destinations()), new Set(['-']));
  });

  test('an overloaded server leaves its destinations without one', () => {
    const site = destinationSite([1, 1]);
    const before = site.destinations();
    site.edit(1, 1, { upperThreshold: 1 });
    assert.deepEqual(
      site.destinations(),
      before.map((server) => (server === '1' ? '-' : server)),
    );
  });
});

suite('mh', () => {
  test('with mh-fallback nobody is left without a server while one can, and with none all are', () => {
    const site = new Hashed({ scheduler: 'mh', schedulerFlags: ['flag-1'], weights: [1, 1, 1] });
    site.edit(2, 0);
    site.edit(3, 0);
    assert.deepEqual(new Set(site.clients()), new Set(['1']));
    site.edit(1, 0);
    assert.deepEqual(new Set(site.clients()), new Set(['-']));
  });

  test('a service reads addresses of servers of the other family as its own, as the kernel does', () => {
    const seats = (server: string): string[] => {
      const site = new Hashed({ scheduler: 'mh', weights: [1] });
      site.lab.addServer(site.service, server, 1, { method: 'tun' });
      site.clients();
      return site.lab
        .flows()
        .filter((flow) => flow.includes('192.168.1.1:'))
        .map((flow) => flow.split(' ')[1])
        .sort();
    };
    assert.deepEqual(seats('[2001:db8:1::1]:80'), seats('32.1.13.184:80'));
    assert.notDeepEqual(seats('[2001:db8:1::1]:80'), seats('32.1.13.185:80'));
  });

  test('mh-fallback does not search where nobody can be found', () => {
    const site = new Hashed({ scheduler: 'mh', schedulerFlags: ['flag-1'], weights: [1, 1, 1] });
    for (const number of [1, 2, 3]) site.edit(number, 0);
    site.send(1);
    const counter = countLooks(site.lab.director.services.find(site.service), 100);
    site.send(2);
    assert.equal(counter.looks, 4, 'once at each, and at the first choice');
  });

  test('without servers, or with none that ever had a weight, nobody is served', () => {
    assert.deepEqual(new Set(new Hashed({ scheduler: 'mh', weights: [] }).clients()), new Set(['-']));
    const site = new Hashed({ scheduler: 'mh', weights: [0, 0] });
    assert.deepEqual(new Set(site.clients()), new Set(['-']));
    site.edit(1, 1);
    assert.deepEqual(new Set(site.clients()), new Set(['1']));
    site.delete(1);
    assert.deepEqual(new Set(site.clients()), new Set(['-']));
  });

  test('few clients move with a server that comes or goes', () => {
    const site = new Hashed({ scheduler: 'mh', weights: [1, 1, 1, 1] });
    const before = site.clients();
    site.add(5);
    const during = site.clients();
    const moved = before.filter((server, i) => server !== during[i]);
    assert.ok(moved.length < CLIENTS / 3, `${moved.length} of ${CLIENTS}`);
    site.delete(5);
    assert.deepEqual(site.clients(), before);
  });

  test('weights that are multiples of one another share as their quotients do, however large', () => {
    const small = new Hashed({ scheduler: 'mh', weights: [1, 3] }).clients();
    const large = new Hashed({ scheduler: 'mh', weights: [2 ** 29, 3 * 2 ** 29] }).clients();
    assert.deepEqual(large, small);
    const share = small.filter((server) => server === '2').length / CLIENTS;
    assert.ok(share > 0.65 && share < 0.85, `${share}`);
  });
});

test('the four words of an IPv6 address are folded: clients whose words have the same sum by bits share a server', () => {
  for (const scheduler of ['sh', 'mh']) {
    const site = new Hashed({ service: 'tcp:[2001:db8::1]:80', scheduler, weights: [1, 1, 1, 1, 1] });
    const found = new Set<string>();
    for (let i = 1; i < 200; i++) {
      const [low, high] = [i.toString(16), (i ^ 0x5a5a).toString(16)];
      const server = site.of(`2001:db8:0:${low}::`);
      assert.equal(site.of(`2001:db8::${low}:0:0`), server);
      assert.equal(site.of(`2001:db8::${low}`), server);
      assert.equal(site.of(`2001:db8:0:5a5a::${high}`), server);
      found.add(server);
    }
    assert.equal(found.size, 5);
  }
});

test('the port of a client counts only with sh-port and mh-port', () => {
  for (const scheduler of ['sh', 'mh']) {
    for (const schedulerFlags of [[], ['flag-2']] as const) {
      const site = new Hashed({ scheduler, schedulerFlags, weights: [1, 1, 1] });
      const servers = new Set(Array.from({ length: 50 }, (_, i) => site.send(5000 + i)));
      assert.equal(servers.size, schedulerFlags.length === 0 ? 1 : 3);
    }
  }
});
