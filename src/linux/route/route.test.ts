// SPDX-License-Identifier: Apache-2.0
// Addresses, routes and neighbours, really set in namespaces of the test's own, and packets that follow them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { temporaryNamespace } from '../../../test/support/namespaces.ts';
import { requirements } from '../../../test/support/requirements.ts';
import { type Address, addressWords } from '../../packet/address.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { runInNamespace, spawnInNamespace } from '../process-namespace.ts';
import { addAddress, deleteAddress, listAddresses, replaceAddress } from './address.ts';
import { changeLink, createVeth, getLink } from './link.ts';
import {
  deleteNeighbour,
  listNeighbours,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_PERMANENT,
  probeNeighbour,
  setNeighbour,
} from './neighbour.ts';
import { addRoute, defaultPrefix, deleteRoute, listRoutes, replaceRoute } from './route.ts';
import { openRouteSocket } from './route-socket.ts';

const root = { skip: requirements('root') };
const ip = (text: string): Address => text as Address;

interface Pair {
  readonly a: string;
  readonly b: string;
  readonly atA: NetlinkSocket;
  readonly atB: NetlinkSocket;
}

/** Two namespaces joined by eth0, 10.9.0.1 and .2, fd09::1 and ::2. */
function joined(context: TestContext): Pair {
  const [a, b] = [temporaryNamespace(context, 'a'), temporaryNamespace(context, 'b')];
  const [atA, atB] = [openRouteSocket(a), openRouteSocket(b)];
  context.after(() => {
    atA.close();
    atB.close();
  });
  createVeth(atA, { name: 'eth0', mac: '02:00:00:00:00:01' }, { name: 'eth0', mac: '02:00:00:00:00:02', namespace: b });
  for (const [socket, host] of [
    [atA, 1],
    [atB, 2],
  ] as const) {
    changeLink(socket, 'eth0', { up: true });
    addAddress(socket, 'eth0', ip(`10.9.0.${host}`), 24);
    addAddress(socket, 'eth0', ip(`fd09::${host}`), 64, { nodad: true });
  }
  return { a, b, atA, atB };
}

test('an address is listed with its words and prefix until it is deleted', root, (t) => {
  const { atA } = joined(t);
  const mine = listAddresses(atA, 'eth0').filter((entry) => entry.scope === 0);
  assert.deepEqual(
    mine.map((entry) => [entry.family, entry.address, entry.prefixLength, entry.words, entry.tentative]),
    [
      [4, '10.9.0.1', 24, addressWords(ip('10.9.0.1')), false],
      [6, 'fd09::1', 64, addressWords(ip('fd09::1')), false],
    ],
  );
  assert.ok(listAddresses(atA).some((entry) => entry.address === '127.0.0.1' && entry.label === 'lo'));
  assert.throws(() => addAddress(atA, 'eth0', ip('10.9.0.1'), 24), { errno: 'EEXIST' });
  replaceAddress(atA, 'eth0', ip('10.9.0.1'), 24);
  deleteAddress(atA, 'eth0', ip('10.9.0.1'), 24);
  deleteAddress(atA, 'eth0', ip('fd09::1'), 64);
  assert.deepEqual(
    listAddresses(atA, 'eth0').filter((entry) => entry.scope === 0),
    [],
  );
  assert.throws(() => deleteAddress(atA, 'eth0', ip('10.9.0.1'), 24), { errno: 'EADDRNOTAVAIL' });
});

test('an address can come without a route to its prefix', root, (t) => {
  const { atA } = joined(t);
  addAddress(atA, 'eth0', ip('10.8.0.1'), 24, { noPrefixRoute: true });
  assert.ok(!listRoutes(atA, { family: 4 }).some((route) => route.destination.address === '10.8.0.0'));
});

test('an address on a device without IPv6 says how to switch it on', root, (t) => {
  const { a, atA } = joined(t);
  runInNamespace(a, process.execPath, [
    '-e',
    "require('fs').writeFileSync('/proc/sys/net/ipv6/conf/eth0/disable_ipv6', '1')",
  ]);
  assert.throws(() => addAddress(atA, 'eth0', ip('fd0a::1'), 64), { message: /disable_ipv6=0/ });
});

test('routes of every shape are listed as they were set', root, (t) => {
  const { atA } = joined(t);
  const eth0 = getLink(atA, 'eth0').index;
  addRoute(atA, { ...defaultPrefix(4), gateway: ip('10.9.0.2') });
  addRoute(atA, { ...defaultPrefix(6), gateway: ip('fd09::2'), metric: 77 });
  addRoute(atA, { destination: ip('10.50.0.0'), prefixLength: 16, device: 'eth0', preferredSource: ip('10.9.0.1') });
  addRoute(atA, { destination: ip('10.51.0.0'), prefixLength: 16, gateway: ip('fd09::2'), device: 'eth0' });
  addRoute(atA, { destination: ip('10.52.0.0'), prefixLength: 16, type: 'blackhole', table: 1000 });
  addRoute(atA, { destination: ip('10.53.0.0'), prefixLength: 24, type: 'local', device: 'lo' });
  addRoute(atA, {
    destination: ip('10.54.0.0'),
    prefixLength: 16,
    hops: [
      { gateway: ip('10.9.0.2'), weight: 3 },
      { gateway: ip('fd09::3'), device: 'eth0' },
      { gateway: ip('172.16.0.1'), device: eth0, onlink: true },
    ],
  });
  addRoute(atA, {
    destination: ip('fd54::'),
    prefixLength: 32,
    hops: [{ gateway: ip('fd09::2') }, { gateway: ip('fd09::3'), weight: 2 }],
  });

  const routes = listRoutes(atA);
  const find = (destination: string, prefixLength: number) => {
    const route = routes.find((r) => r.destination.address === destination && r.prefixLength === prefixLength);
    assert.ok(route, `${destination}/${prefixLength}`);
    const hops = route.nexthops.map((hop) => [hop.interfaceIndex, hop.gateway?.address, hop.weight, hop.flags & 4]);
    return { ...route, hops };
  };
  assert.deepEqual(find('0.0.0.0', 0).hops, [[eth0, '10.9.0.2', 1, 0]]);
  assert.deepEqual([find('::', 0).hops, find('::', 0).metric], [[[eth0, 'fd09::2', 1, 0]], 77]);
  const onLink = find('10.50.0.0', 16);
  assert.deepEqual(
    [onLink.hops, onLink.preferredSource?.address, onLink.scope],
    [[[eth0, undefined, 1, 0]], '10.9.0.1', 253],
  );
  assert.deepEqual(find('10.51.0.0', 16).nexthops[0].gateway?.words, addressWords(ip('fd09::2')));
  const blackhole = find('10.52.0.0', 16);
  assert.deepEqual([blackhole.type, blackhole.table, blackhole.hops], ['blackhole', 1000, []]);
  assert.deepEqual([find('10.53.0.0', 24).type, find('10.53.0.0', 24).table], ['local', 255]);
  assert.deepEqual(find('10.54.0.0', 16).hops, [
    [eth0, '10.9.0.2', 3, 0],
    [eth0, 'fd09::3', 1, 0],
    [eth0, '172.16.0.1', 1, 4],
  ]);
  assert.deepEqual(
    find('fd54::', 32).hops.map((hop) => hop.slice(1, 3)),
    [
      ['fd09::2', 1],
      ['fd09::3', 2],
    ],
  );
  assert.deepEqual(
    listRoutes(atA, { table: 1000 }).map((route) => route.destination.address),
    ['10.52.0.0'],
  );
  assert.ok(listRoutes(atA, { family: 6 }).every((route) => route.family === 6));
});

test('a route is added once, replaced, and deleted once', root, (t) => {
  const { atA } = joined(t);
  const prefix = { destination: ip('10.60.0.0'), prefixLength: 16 };
  const gateways = (): unknown =>
    listRoutes(atA, { family: 4 })
      .filter((route) => route.destination.address === '10.60.0.0')
      .map((route) => route.nexthops[0].gateway?.address);
  addRoute(atA, { ...prefix, gateway: ip('10.9.0.2') });
  assert.throws(() => addRoute(atA, { ...prefix, gateway: ip('10.9.0.3') }), { errno: 'EEXIST' });
  replaceRoute(atA, { ...prefix, gateway: ip('10.9.0.3') });
  assert.deepEqual(gateways(), ['10.9.0.3']);
  assert.throws(() => deleteRoute(atA, { ...prefix, gateway: ip('10.9.0.2') }), { errno: 'ESRCH' });
  deleteRoute(atA, prefix);
  assert.deepEqual(gateways(), []);
  assert.throws(() => deleteRoute(atA, prefix), { errno: 'ESRCH' });
  assert.throws(() => addRoute(atA, { ...prefix, gateway: ip('192.0.2.1') }), {
    message: 'rtnetlink: ENETUNREACH (add route 10.60.0.0/16 via 192.0.2.1: Nexthop has invalid gateway)',
  });
  assert.throws(() => addRoute(atA, { ...prefix, hops: [{ gateway: ip('10.9.0.2'), weight: 257 }] }), RangeError);
});

test('iproute2 shows the routes that are set here', { skip: requirements('root', 'program:ip') }, (t) => {
  const { a, atA } = joined(t);
  addRoute(atA, { ...defaultPrefix(4), gateway: ip('10.9.0.2') });
  addRoute(atA, { destination: ip('10.51.0.0'), prefixLength: 16, gateway: ip('fd09::2'), device: 'eth0' });
  const { stdout } = runInNamespace(a, 'ip', ['-4', 'route']);
  assert.match(stdout, /^default via 10\.9\.0\.2 dev eth0 proto static/m);
  assert.match(stdout, /^10\.51\.0\.0\/16 via inet6 fd09::2 dev eth0 proto static/m);
});

test('a permanent neighbour is set, replaced and deleted', root, (t) => {
  const { atA } = joined(t);
  const macs = (): unknown =>
    listNeighbours(atA, 'eth0')
      .filter((entry) => entry.address === '10.9.0.9')
      .map((entry) => [entry.mac, entry.state, entry.valid, [...entry.macBytes]]);
  setNeighbour(atA, 'eth0', ip('10.9.0.9'), '02:00:00:00:00:09');
  assert.deepEqual(macs(), [['02:00:00:00:00:09', NUD_PERMANENT, true, [2, 0, 0, 0, 0, 9]]]);
  setNeighbour(atA, 'eth0', ip('10.9.0.9'), '02:00:00:00:00:0a');
  assert.deepEqual(macs(), [['02:00:00:00:00:0a', NUD_PERMANENT, true, [2, 0, 0, 0, 0, 10]]]);
  deleteNeighbour(atA, 'eth0', ip('10.9.0.9'));
  assert.ok(listNeighbours(atA, 'eth0').every((entry) => entry.address !== '10.9.0.9' || !entry.valid));
  assert.throws(() => setNeighbour(atA, 'eth0', ip('10.9.0.9'), 'nonsense'), RangeError);
});

test('probing an address that nobody has leaves an entry that may not be used', root, (t) => {
  const { atA } = joined(t);
  const index = getLink(atA, 'eth0').index;
  probeNeighbour(atA, index, 4, addressWords(ip('10.9.0.77')));
  const entry = listNeighbours(atA, index).find((neighbour) => neighbour.address === '10.9.0.77');
  assert.ok(entry !== undefined && (entry.state & (NUD_INCOMPLETE | NUD_FAILED)) !== 0);
  assert.deepEqual([entry.valid, entry.mac], [false, '']);
});

for (const [family, address] of [
  ['udp4', '10.9.0.2'],
  ['udp6', 'fd09::2'],
] as const) {
  test(`programs in two namespaces exchange a datagram over ${family}`, root, async (t) => {
    const { a, b } = joined(t);
    const server = spawnInNamespace(
      b,
      process.execPath,
      [
        '-e',
        `const s = require('node:dgram').createSocket('${family}');
         s.on('message', (m, from) => s.send('echo ' + m, from.port, from.address));
         s.bind(7, '${address}', () => console.log('ready'));
         process.stdin.on('end', () => process.exit()).resume();`,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    try {
      assert.ok(server.stdout);
      await once(server.stdout, 'data');
      const client = runInNamespace(
        a,
        process.execPath,
        [
          '-e',
          `const s = require('node:dgram').createSocket('${family}');
           s.on('message', (m) => { console.log(String(m)); s.close(); });
           s.send('hello', 7, '${address}');`,
        ],
        { timeout: 20_000 },
      );
      assert.equal(client.stdout, 'echo hello\n');
    } finally {
      server.stdin?.end();
      await once(server, 'exit');
    }
  });
}
