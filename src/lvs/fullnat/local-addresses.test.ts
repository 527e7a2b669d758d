// SPDX-License-Identifier: Apache-2.0
// Local addresses of FULLNAT: no two connections alike, everything comes back, ports rest, memory and steps are bounded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Random } from '../../../test/support/random.ts';
import { type Address, addressFamily, addressWords } from '../../packet/address.ts';
import { LvsError } from '../model.ts';
import type { AddressPool } from './address-pool.ts';
import { LocalAddresses, NO_MEMORY, NO_PORT } from './local-addresses.ts';

const SEED = { k0: 0x1234567, k1: 0x7654321 };
const TCP = 6;
const UDP = 17;

interface Remote {
  readonly protocol: number;
  readonly address: string;
  readonly port: number;
}

const SERVER: Remote = { protocol: TCP, address: '192.168.1.1', port: 80 };

function take(locals: LocalAddresses, pool: AddressPool, { protocol, address, port }: Remote): number {
  const words = Int32Array.from(addressWords(address as Address));
  return locals.take(pool, addressFamily(address as Address), protocol, words, port);
}

/** The 5-tuple of the last lease. */
function tuple(locals: LocalAddresses, { protocol, address, port }: Remote): string {
  return `${protocol} ${locals.address?.address}:${locals.port} ${address}:${port}`;
}

function add(locals: LocalAddresses, pool: AddressPool, address: string, lowPort?: number, highPort?: number) {
  const ports = lowPort === undefined || highPort === undefined ? {} : { lowPort, highPort };
  return locals.addAddress(pool, { address: address as Address, ...ports });
}

function site(rings = 16): { locals: LocalAddresses; pool: AddressPool } {
  const locals = new LocalAddresses({ seed: SEED, rings });
  return { locals, pool: locals.createPool('lan') };
}

function refusal(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LvsError && error.code === code;
}

test('60000 connections from one address to one server all differ, up to the last of its ports', () => {
  const { locals, pool } = site();
  add(locals, pool, '10.0.0.9');
  const leases = new Map<number, number>();
  for (let i = 0; i < 60_000; i++) leases.set(take(locals, pool, SERVER), locals.port);
  assert.equal(leases.size, 60_000);
  assert.equal(new Set(leases.values()).size, 60_000);
  assert.equal(pool.live, 60_000);
  for (let i = 60_000; i < 65535 - 1025 + 1; i++) leases.set(take(locals, pool, SERVER), locals.port);
  const ports = [...leases.values()].sort((a, b) => a - b);
  assert.deepEqual([ports.length, ports[0], ports.at(-1)], [64511, 1025, 65535]);
  assert.equal(take(locals, pool, SERVER), NO_PORT);
  assert.equal(pool.exhausted, 1);
  // To another server, and over another protocol, the same ports serve again.
  for (const other of [
    { ...SERVER, port: 81 },
    { ...SERVER, protocol: UDP },
    { ...SERVER, address: '192.168.1.2' },
  ]) {
    assert.ok(take(locals, pool, other) > 0);
  }
  for (const lease of leases.keys()) assert.ok(locals.giveBack(lease));
  assert.equal(pool.live, 3);
});

test('a connection costs a bounded number of steps, however many there are', () => {
  const { locals, pool } = site(256);
  for (let i = 1; i <= 8; i++) add(locals, pool, `10.0.0.${i}`);
  const servers = Array.from({ length: 100 }, (_, i) => ({ ...SERVER, address: `192.168.1.${i + 1}` }));
  const leases: number[] = [];
  let most = 0;
  const measured = <T>(operate: () => T): T => {
    const before = locals.steps;
    const result = operate();
    most = Math.max(most, locals.steps - before);
    return result;
  };
  for (let i = 0; i < 100_000; i++) {
    const lease = measured(() => take(locals, pool, servers[(i * 7) % 100]));
    assert.ok(lease > 0);
    leases.push(lease);
  }
  for (const lease of leases) measured(() => locals.giveBack(lease));
  assert.ok(most <= 12, `${most} steps`);
  assert.ok(locals.steps < 3 * 200_000, `${locals.steps} steps in all`);
});

test('a port that comes back is the last to be given again', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer(), (count, seed) => {
      const { locals, pool } = site();
      add(locals, pool, '10.0.0.9', 2000, 2000 + count - 1);
      const random = new Random(seed);
      const live: { lease: number; port: number }[] = [];
      // Free ports as a plain queue: as they were first given, then as they came back.
      const queue: number[] = [];
      let fresh = count;
      for (let i = 0; i < 300; i++) {
        if (live.length > 0 && (live.length === count || random.chance(0.5))) {
          const [{ lease, port }] = live.splice(random.below(live.length), 1);
          assert.ok(locals.giveBack(lease));
          queue.push(port);
        } else {
          const lease = take(locals, pool, SERVER);
          assert.ok(lease > 0);
          if (fresh > 0) fresh--;
          else assert.equal(locals.port, queue.shift());
          live.push({ lease, port: locals.port });
        }
      }
    }),
  );
});

test('where a range begins hangs on the seed', () => {
  const firsts = Array.from({ length: 20 }, (_, i) => {
    const locals = new LocalAddresses({ seed: { k0: i, k1: 99 }, rings: 4 });
    const pool = locals.createPool('lan');
    add(locals, pool, '10.0.0.9');
    take(locals, pool, SERVER);
    return locals.port;
  });
  assert.ok(new Set(firsts).size > 15, `${firsts}`);
});

test('connections take turns among the addresses of the family', () => {
  const { locals, pool } = site();
  for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3', '2001:db8::1']) add(locals, pool, address);
  const turns = Array.from({ length: 6 }, () => {
    take(locals, pool, SERVER);
    return locals.address?.address.at(-1);
  });
  assert.deepEqual([...new Set(turns)].sort(), ['1', '2', '3']);
  assert.deepEqual(turns.slice(0, 3).sort(), turns.slice(3).sort());
  const six = { protocol: TCP, address: '2001:db8:1::10', port: 80 };
  assert.ok(take(locals, pool, six) > 0);
  assert.equal(locals.address?.address, '2001:db8::1');
  assert.ok(take(locals, pool, { ...six, address: '2001:db8:1::11' }) > 0);
});

test('of an IPv4 server only the first word counts', () => {
  const { locals, pool } = site();
  add(locals, pool, '10.0.0.1', 3000, 3001);
  const ports = [0, 7].map((rest) => {
    assert.ok(locals.take(pool, 4, TCP, Int32Array.of(0x0a000001, rest, rest, rest), 80) > 0);
    return locals.port;
  });
  assert.deepEqual(ports.sort(), [3000, 3001]);
  assert.equal(locals.openRings, 1);
});

test('a pool without an address of the family has no port', () => {
  const { locals, pool } = site();
  add(locals, pool, '2001:db8::1');
  assert.equal(take(locals, pool, SERVER), NO_PORT);
  assert.equal(pool.exhausted, 1);
  assert.equal(locals.openRings, 0);
});

test('with more than half of the rings in use a server gets another only when it needs it', () => {
  const { locals, pool } = site(8);
  for (let i = 1; i <= 4; i++) add(locals, pool, `10.0.0.${i}`, 3000, 3001);
  const server = (i: number) => ({ ...SERVER, port: i });
  for (let i = 0; i < 4; i++) take(locals, pool, server(1));
  assert.equal(locals.openRings, 4);
  for (let i = 0; i < 2; i++) assert.ok(take(locals, pool, server(2)) > 0);
  assert.equal(locals.openRings, 5);
  assert.ok(take(locals, pool, server(2)) > 0);
  assert.equal(locals.openRings, 6);
});

test('without room for one server more there is no lease, until a server becomes idle', () => {
  const { locals, pool } = site(4);
  add(locals, pool, '10.0.0.1');
  const servers = Array.from({ length: 6 }, (_, i) => ({ ...SERVER, port: i + 1 }));
  const leases = servers.slice(0, 4).map((server) => take(locals, pool, server));
  assert.equal(take(locals, pool, servers[4]), NO_MEMORY);
  assert.deepEqual([pool.refused, pool.exhausted], [1, 0]);
  locals.giveBack(leases[2]);
  locals.giveBack(leases[1]);
  assert.ok(take(locals, pool, servers[4]) > 0);
  // The server that was idle longest was forgotten, the other one still has its ring.
  assert.ok(take(locals, pool, servers[1]) > 0);
  assert.equal(take(locals, pool, servers[2]), NO_MEMORY);
  assert.equal(locals.openRings, 4);
});

test('a removed address gives no more ports, and those in use come back', () => {
  const { locals, pool } = site();
  add(locals, pool, '10.0.0.1', 3000, 3009);
  const removed = add(locals, pool, '10.0.0.2', 3000, 3009);
  const leases = Array.from({ length: 10 }, () => take(locals, pool, SERVER));
  locals.removeAddress(pool, removed.address);
  assert.equal(removed.live, 5);
  for (let i = 0; i < 5; i++) {
    assert.ok(take(locals, pool, SERVER) > 0);
    assert.equal(locals.address?.address, '10.0.0.1');
  }
  assert.equal(take(locals, pool, SERVER), NO_PORT);
  for (const lease of leases) assert.ok(locals.giveBack(lease));
  assert.equal(removed.live, 0);
  assert.equal(removed.rings, 0);
  assert.equal(pool.live, 5);
  assert.throws(() => locals.removeAddress(pool, removed.address), refusal('ENOENT'));
});

test('an address that drains can come back to its pool, with its ports still in use', () => {
  const { locals, pool } = site();
  const address = add(locals, pool, '10.0.0.1', 3000, 3009);
  const held = Array.from({ length: 4 }, () => [take(locals, pool, SERVER), locals.port]);
  locals.removeAddress(pool, address.address);
  assert.throws(() => add(locals, pool, '10.0.0.1', 3000, 3010), refusal('EEXIST'));
  assert.throws(() => add(locals, locals.createPool('other'), '10.0.0.1', 3000, 3009), refusal('EEXIST'));
  assert.equal(add(locals, pool, '10.0.0.1', 3000, 3009), address);
  const ports = held.map(([, port]) => port);
  for (let i = 0; i < 6; i++) {
    assert.ok(take(locals, pool, SERVER) > 0);
    ports.push(locals.port);
  }
  assert.equal(new Set(ports).size, 10);
  assert.equal(take(locals, pool, SERVER), NO_PORT);
  for (const [lease] of held) locals.giveBack(lease);
  assert.ok(take(locals, pool, SERVER) > 0);
  assert.equal(address.rings, 1);
});

test('a pool that drains is taken up again by its name, and forgotten when it has drained', () => {
  const { locals, pool } = site();
  add(locals, pool, '10.0.0.1');
  const lease = take(locals, pool, SERVER);
  locals.removePool('lan');
  assert.equal(locals.findPool('lan'), undefined);
  assert.equal(take(locals, pool, SERVER), NO_PORT);
  assert.throws(() => locals.removePool('lan'), refusal('ENOENT'));
  assert.equal(locals.createPool('lan'), pool);
  add(locals, pool, '10.0.0.1');
  const second = take(locals, pool, SERVER);
  assert.ok(locals.giveBack(second));
  locals.removePool('lan');
  locals.giveBack(lease);
  assert.equal(locals.openRings, 0);
  assert.notEqual(locals.createPool('lan'), pool);
});

test('what is no lease, or was given back, changes nothing', () => {
  const { locals, pool } = site(4);
  add(locals, pool, '10.0.0.1', 3000, 3003);
  const lease = take(locals, pool, SERVER);
  for (const wrong of [0, -1, 1, 0x7fffffff, lease + 0x10000, lease ^ 8, NO_MEMORY]) {
    assert.equal(locals.giveBack(wrong), false, `${wrong}`);
  }
  assert.equal(pool.live, 1);
  assert.equal(locals.giveBack(lease), true);
  assert.equal(locals.giveBack(lease), false);
  assert.equal(pool.live, 0);
});

test('wrong ranges, names and addresses that are there are refused and change nothing', () => {
  const { locals, pool } = site();
  add(locals, pool, '10.0.0.1');
  for (const [low, high] of [
    [0, 10],
    [10, 65536],
    [11, 10],
    [1.5, 10],
  ]) {
    assert.throws(() => add(locals, pool, '10.0.0.2', low, high), refusal('EINVAL'));
  }
  assert.throws(() => add(locals, pool, '10.0.0.1'), refusal('EEXIST'));
  assert.throws(() => add(locals, locals.createPool('other'), '10.0.0.1'), refusal('EEXIST'));
  assert.throws(() => locals.createPool('lan'), refusal('EEXIST'));
  assert.throws(() => new LocalAddresses({ seed: SEED, rings: 0 }), refusal('EINVAL'));
  assert.throws(() => new LocalAddresses({ seed: SEED, rings: 32768 }), refusal('EINVAL'));
  assert.deepEqual(
    pool.ipv4.map((one) => one.address),
    ['10.0.0.1'],
  );
});

test('whatever comes and goes, no two connections are alike, and all is free in the end', () => {
  const counts = { leases: 0, exhausted: 0, memory: 0, resumed: 0 };
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 24 }), (seed, rings) => {
      const random = new Random(seed);
      const locals = new LocalAddresses({ seed: { k0: seed, k1: 1 }, rings });
      const pools = ['a', 'b'].map((name) => locals.createPool(name));
      const own = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '2001:db8::1', '2001:db8::2'];
      const servers: Remote[] = [80, 81, 82].flatMap((port) =>
        ['192.168.1.1', '192.168.1.2', '2001:db8:1::1'].map((address) => ({
          protocol: random.pick([TCP, UDP]),
          address,
          port,
        })),
      );
      const live = new Map<string, { lease: number; pool: AddressPool; local: string; server: Remote }>();
      const width = 1 + random.below(5);
      for (let i = 0; i < 600; i++) {
        const what = random.below(100);
        const pool = random.pick(pools);
        if (what < 55) {
          const server = random.pick(servers);
          const lease = take(locals, pool, server);
          const inPool = pool.of(addressFamily(server.address as Address));
          if (lease > 0) {
            counts.leases++;
            const key = tuple(locals, server);
            assert.ok(!live.has(key), `${key} twice`);
            assert.ok(locals.address !== undefined && inPool.includes(locals.address), 'an address of the pool');
            assert.ok(locals.port >= 3000 && locals.port < 3000 + width);
            live.set(key, { lease, pool, local: locals.address.address, server });
          } else if (lease === NO_PORT) {
            counts.exhausted++;
            const used = [...live.values()].filter(
              (one) => one.server === server && inPool.some(({ address }) => address === one.local),
            );
            assert.equal(used.length, inPool.length * width, 'no port is left');
          } else {
            counts.memory++;
            // The server has no free port in a ring, and every ring is a server's with connections.
            const busy = new Set([...live.values()].map((one) => `${one.pool.name} ${JSON.stringify(one.server)}`));
            assert.equal(locals.openRings, rings);
            assert.ok(busy.size <= rings && busy.size > 0);
          }
        } else if (what < 90) {
          if (live.size === 0) continue;
          const key = random.pick([...live.keys()]);
          assert.ok(locals.giveBack(live.get(key)?.lease ?? 0));
          live.delete(key);
        } else if (what < 95) {
          try {
            const before = pool.live;
            add(locals, pool, random.pick(own), 3000, 3000 + width - 1);
            if (before > 0) counts.resumed++;
          } catch (error) {
            assert.ok(refusal('EEXIST')(error));
          }
        } else {
          const victim = random.pick([...pool.ipv4, ...pool.ipv6, undefined]);
          if (victim !== undefined) locals.removeAddress(pool, victim.address);
        }
        assert.equal(pools[0].live + pools[1].live, live.size);
        assert.ok(locals.openRings <= rings);
      }
      for (const { lease } of live.values()) assert.ok(locals.giveBack(lease));
      for (const pool of pools) {
        assert.equal(pool.live, 0);
        locals.removePool(pool.name);
      }
      assert.equal(locals.openRings, 0);
    }),
    { numRuns: 150 },
  );
  for (const [name, count] of Object.entries(counts)) assert.ok(count > 50, `${name}: ${count}`);
});
