// SPDX-License-Identifier: Apache-2.0
// Adjacencies: what routes and neighbours make of a destination, what waits for a neighbour, and that the cache never
// says anything else than the tables.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Random } from '../../../test/support/random.ts';
import { type Address, type AddressWords, addressFamily, addressWords, formatAddress } from '../../packet/address.ts';
import { parseMac } from '../../packet/ethernet.ts';
import {
  type Adjacency,
  AdjacencyTable,
  LOCAL_ADDRESS,
  NO_LINK,
  NO_ROUTE,
  REACHABLE,
  UNRESOLVED,
} from './adjacency.ts';
import { FramePool } from './frame-pool.ts';
import { MemoryLink } from './memory-link.ts';
import type { EngineRoute } from './route-table.ts';

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 0xa);

function mac(text: string): Uint8Array {
  return parseMac(text) as Uint8Array;
}

function route(text: string, more: Partial<EngineRoute> & { via?: string } = {}): EngineRoute {
  const [address, length] = text.split('/');
  const { via, ...rest } = more;
  const end = (of: string): { family: 4 | 6; words: AddressWords } => ({
    family: addressFamily(of as Address),
    words: addressWords(of as Address),
  });
  const { family, words: destination } = end(address);
  const gateway = via === undefined ? {} : { gateway: end(via) };
  const common = { family, destination, prefixLength: Number(length), kind: 'unicast' as const, metric: 0 };
  return { ...common, interfaceIndex: 1, ...rest, ...gateway };
}

/** A table over two devices, 1 and 2, that notes what it asks for. */
class Stage {
  readonly asked: string[] = [];
  readonly table = new AdjacencyTable((index, family, words) => {
    this.asked.push(`${index} ${formatAddress(family, words)}`);
  });
  readonly #view = new DataView(new ArrayBuffer(16));

  constructor() {
    const bytes = new Uint8Array(0);
    for (const index of [1, 2]) {
      const link = new MemoryLink({ name: `m${index}`, index, pool: new FramePool(1), bytes });
      this.table.setLink(index, { link, mac: Uint8Array.of(2, 0, 0, 0, 0, index), mtu: 1500 });
    }
  }

  resolve(text: string): Adjacency {
    const words = addressWords(text as Address);
    if (addressFamily(text as Address) === 4) return this.table.resolveIpv4(words[0]);
    for (const [i, word] of words.entries()) this.#view.setInt32(4 * i, word);
    return this.table.resolveIpv6(this.#view, 0);
  }

  learn(index: number, text: string, stale = false, octets: Uint8Array = MAC): Adjacency | undefined {
    return this.table.setNeighbour(index, addressFamily(text as Address), addressWords(text as Address), octets, stale);
  }

  unlearn(index: number, text: string): Adjacency | undefined {
    return this.table.deleteNeighbour(index, addressFamily(text as Address), addressWords(text as Address));
  }

  setRoutes(...routes: readonly EngineRoute[]): void {
    this.table.routes.replace(routes);
    this.table.forget(() => {});
  }
}

test('a destination is local, on a link, behind a gateway or nowhere, as its route says', () => {
  const stage = new Stage();
  stage.setRoutes(
    route('10.0.0.0/24'),
    route('10.0.0.1/32', { kind: 'local' }),
    route('10.1.0.0/16', { via: '10.0.0.9' }),
    route('10.2.0.0/16', { kind: 'unreachable' }),
    route('10.3.0.0/16', { interfaceIndex: 7 }),
    route('2001:db8::/64', { interfaceIndex: 2 }),
    route('2001:db8:1::/64', { via: '2001:db8::9', interfaceIndex: 2 }),
    route('10.4.0.0/16', { via: 'fe80::1', interfaceIndex: 2 }),
  );
  const states = ['10.0.0.1', '10.0.0.2', '10.1.0.1', '10.2.0.1', '10.3.0.1', '10.9.0.1', '2001:db9::1'].map(
    (text) => stage.resolve(text).state,
  );
  assert.deepEqual(states, [LOCAL_ADDRESS, UNRESOLVED, UNRESOLVED, NO_ROUTE, NO_LINK, NO_ROUTE, NO_ROUTE]);
  const hops = ['10.0.0.2', '10.1.0.1', '2001:db8::5', '2001:db8:1::5', '10.4.0.1'].map((text) => {
    const { interfaceIndex, family, words, link } = stage.resolve(text);
    return `${link?.name} ${interfaceIndex} ${formatAddress(family, words)}`;
  });
  assert.deepEqual(hops, ['m1 1 10.0.0.2', 'm1 1 10.0.0.9', 'm2 2 2001:db8::5', 'm2 2 2001:db8::9', 'm2 2 fe80::1']);
  assert.deepEqual(stage.asked, []);
});

test('all destinations behind one gateway share its adjacency', () => {
  const stage = new Stage();
  stage.setRoutes(route('0.0.0.0/0', { via: '10.0.0.9' }), route('10.0.0.0/24'));
  const gateway = stage.resolve('10.0.0.9');
  for (const text of ['1.2.3.4', '5.6.7.8', '10.0.1.1']) assert.equal(stage.resolve(text), gateway);
  assert.notEqual(stage.resolve('10.0.0.8'), gateway);
  // Nobody keeps the one that was forgotten, which is not told of changes any more.
  stage.table.forget(() => {});
  const next = stage.resolve('1.2.3.4');
  assert.notEqual(next, gateway);
  assert.equal(stage.learn(1, '10.0.0.9'), next);
});

test('a neighbour that is learned makes what was found reachable, with both addresses of the frame', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/24'));
  const adjacency = stage.resolve('10.0.0.2');
  assert.equal(stage.learn(2, '10.0.0.2'), undefined);
  assert.equal(stage.learn(1, '10.0.0.3'), undefined);
  assert.equal(adjacency.state, UNRESOLVED);
  assert.equal(stage.learn(1, '10.0.0.2', false, mac('fe:dc:ba:98:76:54')), adjacency);
  assert.equal(stage.resolve('10.0.0.2'), adjacency);
  const { state, dstHigh, dstLow, srcHigh, srcLow, mtu } = adjacency;
  assert.deepEqual(
    [state, dstHigh >>> 0, dstLow, srcHigh, srcLow, mtu],
    [REACHABLE, 0xfedcba98, 0x7654, 0x02000000, 1, 1500],
  );
  // The neighbour learned before anybody asked is known at once.
  assert.equal(stage.resolve('10.0.0.3').state, REACHABLE);
  assert.equal(stage.learn(1, '10.0.0.2', false, mac('02:00:00:00:00:0b')), adjacency);
  assert.equal(adjacency.dstLow, 0x0b);
});

test('a neighbour that goes can come back, packets ask for it', () => {
  const stage = new Stage();
  stage.setRoutes(route('2001:db8::/64'));
  const adjacency = stage.resolve('2001:db8::2');
  stage.learn(1, '2001:db8::2');
  assert.equal(stage.unlearn(1, '2001:db8::2'), adjacency);
  assert.equal(adjacency.state, UNRESOLVED);
  stage.table.hold(adjacency, 0, 60);
  assert.deepEqual(stage.asked, ['1 2001:db8::2']);
  stage.learn(1, '2001:db8::2');
  assert.equal(adjacency.state, REACHABLE);
  assert.equal(stage.unlearn(1, '2001:db8::3'), undefined);
});

test('a route that changes is seen once the ways are forgotten, what waits is handed out', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/24'));
  const before = stage.resolve('10.0.0.2');
  stage.table.hold(before, 2048, 60);
  const { token } = before;
  assert.equal(stage.table.recall(token), before);
  stage.table.routes.replace([route('10.0.0.0/24', { interfaceIndex: 2 })]);
  const dropped: Adjacency[] = [];
  stage.table.forget((adjacency) => dropped.push(adjacency));
  assert.deepEqual(dropped, [before]);
  assert.equal(stage.table.recall(token), undefined);
  assert.equal(stage.resolve('10.0.0.2').interfaceIndex, 2);
  stage.table.deleteLink(2);
  stage.table.forget(() => {});
  assert.equal(stage.resolve('10.0.0.2').state, NO_LINK);
});

test('neighbours outlive a change of routes, not a reset', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/24'));
  stage.learn(1, '10.0.0.2');
  stage.table.forget(() => {});
  assert.equal(stage.resolve('10.0.0.2').state, REACHABLE);
  stage.table.reset(() => {});
  assert.equal(stage.resolve('10.0.0.2').state, UNRESOLVED);
});

test('a token leads back to its adjacency, a reason has none', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/8'));
  const found = Array.from({ length: 300 }, (_, i) => stage.resolve(`10.0.${i >> 8}.${i & 255}`));
  for (const adjacency of found) assert.equal(stage.table.recall(adjacency.token), adjacency);
  assert.equal(new Set(found.map(({ token }) => token)).size, 300);
  assert.equal(stage.resolve('11.0.0.1').token, 0);
  assert.equal(stage.table.recall(0), undefined);
});

test('a hundred packets wait in order, one more drops the oldest, and the kernel is asked once', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/24'));
  const adjacency = stage.resolve('10.0.0.2');
  for (let i = 0; i < 100; i++) assert.equal(stage.table.hold(adjacency, i * 2048, 60 + i), -1);
  assert.equal(stage.table.hold(adjacency, 100 * 2048, 160), 0);
  assert.equal(stage.table.hold(adjacency, 101 * 2048, 161), 2048);
  assert.deepEqual(adjacency.held, Array.from({ length: 100 }, (_, i) => [(i + 2) * 2048, 62 + i]).flat());
  assert.deepEqual(stage.asked, ['1 10.0.0.2']);
  adjacency.held.length = 0;
  stage.table.hold(adjacency, 0, 60);
  assert.equal(stage.asked.length, 2);
});

test('what is in use and unknown or stale is asked for again, nothing else', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/24'));
  stage.learn(1, '10.0.0.2', true);
  stage.learn(1, '10.0.0.3', false);
  stage.learn(1, '10.0.0.4', true);
  const [stale, fresh, idle, unknown, gone] = [2, 3, 4, 5, 6].map((host) => stage.resolve(`10.0.0.${host}`));
  stage.unlearn(1, '10.0.0.6');
  for (const adjacency of [stale, fresh, unknown, gone]) adjacency.used = true;
  stage.table.confirm();
  assert.deepEqual(stage.asked, ['1 10.0.0.2', '1 10.0.0.5', '1 10.0.0.6']);
  stage.table.confirm();
  assert.equal(stage.asked.length, 3);
  idle.used = true;
  stage.learn(1, '10.0.0.4', false);
  stage.table.confirm();
  assert.equal(stage.asked.length, 3);
});

test('who makes up neighbours makes the kernel be asked 512 times a second at most', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/8'));
  const flood = Array.from({ length: 600 }, (_, i) => stage.table.resolveIpv4(0x0a000000 + i));
  for (const [i, adjacency] of flood.entries()) stage.table.hold(adjacency, i * 2048, 60);
  assert.equal(stage.asked.length, 512);
  for (const adjacency of flood.slice(0, 512)) adjacency.held.length = 0;
  stage.table.confirm();
  assert.equal(stage.asked.length, 600, 'those that packets wait for are asked for later');
  assert.equal(stage.asked.at(-1), '1 10.0.2.87');
});

test('more neighbours than can be remembered push out those that nothing waits for', () => {
  const stage = new Stage();
  stage.setRoutes(route('10.0.0.0/8'));
  stage.learn(1, '10.255.0.1');
  const waiting = stage.resolve('10.255.0.2');
  stage.table.hold(waiting, 2048, 60);
  const known = stage.resolve('10.255.0.1');
  for (let i = 0; i < 70_000; i++) {
    assert.equal(stage.table.resolveIpv4(0x0a000000 + i).state, UNRESOLVED);
  }
  assert.equal(stage.resolve('10.255.0.2'), waiting);
  assert.equal(stage.table.recall(waiting.token), waiting);
  assert.equal(stage.learn(1, '10.255.0.2'), waiting);
  assert.equal(stage.resolve('10.255.0.1').state, REACHABLE);
  // The one that was pushed out is not updated any more, so that nobody may still be handed it.
  assert.notEqual(stage.table.recall(known.token), known);
  assert.notEqual(stage.resolve('10.255.0.1'), known);
});

// ---- the cache against the tables ----

const ROUTES: readonly EngineRoute[][] = [
  [route('10.0.0.0/8'), route('2001:db8::/64')],
  [route('10.0.0.0/8', { interfaceIndex: 2 }), route('10.0.16.0/20', { via: '10.0.0.1' })],
  [route('10.0.0.0/9', { kind: 'local' }), route('::/0', { via: '2001:db8::1', interfaceIndex: 2 })],
  [route('0.0.0.0/0', { via: '10.0.0.2' }), route('10.0.0.0/8', { interfaceIndex: 3 })],
];

test('whatever happened before, a destination is what a new table with the same facts says', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const used = new Stage();
      let routes: EngineRoute[] = [];
      const neighbours = new Map<string, [number, string, boolean]>();
      // So many that places of the cache are shared.
      const destination = (): string => {
        const host = random.below(9000);
        return random.chance(0.7) ? `10.0.${host >> 8}.${host & 255}` : `2001:db8::${host.toString(16)}`;
      };
      for (let step = 0; step < 40; step++) {
        if (random.chance(0.1)) {
          routes = random.pick(ROUTES);
          used.setRoutes(...routes);
        }
        for (let i = 0; i < 300; i++) used.resolve(destination());
        for (let i = 0; i < 100; i++) {
          const [index, text] = [random.pick([1, 2]), destination()];
          if (random.chance(0.6)) {
            neighbours.set(`${index} ${text}`, [index, text, random.chance(0.5)]);
            used.learn(...(neighbours.get(`${index} ${text}`) as [number, string, boolean]));
          } else {
            neighbours.delete(`${index} ${text}`);
            used.unlearn(index, text);
          }
        }
        if (step % 8 !== 7) continue;
        const fresh = new Stage();
        fresh.setRoutes(...routes);
        for (const neighbour of neighbours.values()) fresh.learn(...neighbour);
        for (let i = 0; i < 300; i++) {
          const text = destination();
          const [seen, expected] = [used.resolve(text), fresh.resolve(text)];
          const facts = ({ state, interfaceIndex, family, words, stale }: Adjacency): unknown => ({
            ...{ state, interfaceIndex, hop: formatAddress(family, words) },
            stale: state === REACHABLE && stale,
          });
          assert.deepEqual(facts(seen), facts(expected), text);
        }
      }
    }),
    { numRuns: 6 },
  );
});
