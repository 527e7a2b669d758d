// SPDX-License-Identifier: Apache-2.0
// The route table: examples, and random tables against a plain search over all routes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Address, type AddressWords, addressFamily, addressWords, type Family } from '../../packet/address.ts';
import { type EngineRoute, RouteTable } from './route-table.ts';

function route(text: string, more: Partial<EngineRoute> = {}): EngineRoute {
  const [address, length] = text.split('/');
  const family = addressFamily(address as Address);
  const destination = addressWords(address as Address);
  return { family, destination, prefixLength: Number(length), kind: 'unicast', metric: 0, interfaceIndex: 1, ...more };
}

function lookup(table: RouteTable<never>, text: string): EngineRoute | undefined {
  return table.lookup(addressFamily(text as Address), addressWords(text as Address))?.route;
}

test('the longest prefix wins, down to the default route', () => {
  const table = new RouteTable<never>();
  const routes = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.3/32', '::/0', '2001:db8::/32', '2001:db8::1/128'];
  const [any, eight, sixteen, host, any6, net6, host6] = routes.map((text) => route(text));
  assert.equal(lookup(table, '10.0.0.1'), undefined);
  table.replace([any, eight, sixteen, host, any6, net6, host6]);
  assert.equal(lookup(table, '9.255.255.255'), any);
  assert.equal(lookup(table, '255.255.255.255'), any);
  assert.equal(lookup(table, '10.0.0.1'), eight);
  assert.equal(lookup(table, '10.1.255.255'), sixteen);
  assert.equal(lookup(table, '10.1.2.3'), host);
  assert.equal(lookup(table, '10.1.2.2'), sixteen);
  assert.equal(lookup(table, '2001:db7:ffff::1'), any6);
  assert.equal(lookup(table, '2001:db8:ffff::1'), net6);
  assert.equal(lookup(table, '2001:db8::1'), host6);
  table.replace([eight]);
  assert.equal(lookup(table, '10.1.2.3'), eight);
  assert.equal(lookup(table, '9.0.0.1'), undefined);
  assert.equal(lookup(table, '2001:db8::1'), undefined);
});

test('of one prefix the local route wins, then the lowest metric, then the first', () => {
  const table = new RouteTable<never>();
  const prefix = '10.0.0.0/24';
  const [slow, fast, same] = [100, 5, 5].map((metric) => route(prefix, { metric }));
  const local = route(prefix, { metric: 1000, kind: 'local' });
  table.replace([slow, fast, same]);
  assert.equal(lookup(table, '10.0.0.9'), fast);
  for (const order of [
    [slow, local, fast],
    [local, fast, slow],
    [fast, slow, local],
  ]) {
    table.replace(order);
    assert.equal(lookup(table, '10.0.0.9'), local);
  }
});

const word = fc.constantFrom(0, 1, -1, 0x0a000000, 0x0a000001, 0x0a800000, 0x7fffffff, -0x80000000);
const words = fc.tuple(word, word, word, word).map((four): AddressWords => four);
const family = fc.constantFrom<Family>(4, 6);
const anyRoute = fc
  .record({
    family,
    destination: words,
    prefixLength: fc.nat({ max: 128 }),
    kind: fc.constantFrom('unicast' as const, 'local' as const, 'unreachable' as const),
    metric: fc.nat({ max: 3 }),
    interfaceIndex: fc.constant(1),
  })
  .map((r): EngineRoute => (r.family === 4 ? { ...r, prefixLength: r.prefixLength % 33 } : r));

function bitsOf(wanted: AddressWords): string {
  return wanted.map((w) => (w >>> 0).toString(2).padStart(32, '0')).join('');
}

test('any table answers as a search over all routes does', () => {
  fc.assert(
    fc.property(fc.array(anyRoute, { maxLength: 12 }), fc.array(fc.tuple(family, words)), (routes, wanted) => {
      const table = new RouteTable<never>();
      table.replace(routes);
      for (const [kind, destination] of wanted) {
        let best: EngineRoute | undefined;
        for (const one of routes) {
          const length = one.prefixLength;
          if (one.family !== kind) continue;
          if (bitsOf(one.destination).slice(0, length) !== bitsOf(destination).slice(0, length)) continue;
          const rank = (r: EngineRoute): number => r.prefixLength * 100 + (r.kind === 'local' ? 50 : 0) - r.metric;
          if (best === undefined || rank(one) > rank(best)) best = one;
        }
        const found = table.lookup(kind, destination);
        assert.equal(found?.route, best);
        if (kind === 4) assert.equal(table.lookupIpv4(destination[0]), found);
      }
    }),
    { numRuns: 1000 },
  );
});
