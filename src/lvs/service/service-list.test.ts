// SPDX-License-Identifier: Apache-2.0
// Services and servers as they are changed: what is refused changes nothing, what is taken out and put back is found
// again, and the observer knows exactly what the director wants to see.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Address } from '../../packet/address.ts';
import { TICKS_PER_SECOND } from '../connection/layout.ts';
import { StateTimes } from '../connection/state-times.ts';
import { LvsError, type ServerKey, type ServerOptions, type ServiceKey, type ServiceOptions } from '../model.ts';
import { formatServerKey, formatServiceKey, parseServerKey, parseServiceKey } from '../service-key.ts';
import { Sysctls } from '../sysctl.ts';
import { ServiceList, type ServiceObserver } from './service-list.ts';

const RR: ServiceOptions = { scheduler: 'rr', schedulerFlags: [], onePacket: false };
const NAT: ServerOptions = { method: 'nat', weight: 1, upperThreshold: 0, lowerThreshold: 0 };

function service(text: string): ServiceKey {
  return parseServiceKey(text) as ServiceKey;
}

function server(text: string): ServerKey {
  return parseServerKey(text) as ServerKey;
}

const WEB = service('tcp:10.0.0.1:80');
const WEB6 = service('tcp:[2001:db8::1]:80');
const RS1 = server('192.168.1.1:8080');

/** What an observer was told, and what it knows by that; it can be made to refuse. */
class Watcher implements ServiceObserver {
  readonly services = new Set<string>();
  readonly servers = new Map<string, number>();
  refuses = false;

  serviceAdded(key: ServiceKey): void {
    this.#refuse();
    assert.ok(!this.services.has(formatServiceKey(key)));
    this.services.add(formatServiceKey(key));
  }

  serviceRemoved(key: ServiceKey): void {
    assert.ok(this.services.delete(formatServiceKey(key)));
  }

  serverKnown(key: ServiceKey, serverKey: ServerKey): void {
    this.#refuse();
    const name = `${formatServiceKey(key)} ${formatServerKey(serverKey)}`;
    assert.ok(!this.servers.has(name), name);
    this.servers.set(name, 1);
  }

  serverForgotten(key: ServiceKey, serverKey: ServerKey): void {
    assert.ok(this.servers.delete(`${formatServiceKey(key)} ${formatServerKey(serverKey)}`));
  }

  #refuse(): void {
    if (this.refuses) throw new Error('refused');
  }
}

const REFUSED: readonly [string, string, (list: ServiceList) => void][] = [
  ['a service twice', 'EEXIST', (list) => list.addService(WEB, RR)],
  ['an unknown scheduler', 'ENOENT', (list) => list.addService(service('tcp:10.0.0.2:80'), { ...RR, scheduler: 'x' })],
  ['an edit to no scheduler', 'ENOENT', (list) => list.editService(WEB, { ...RR, scheduler: '' })],
  [
    'an unknown persistence engine',
    'ENOENT',
    (list) => list.editService(WEB, { ...RR, persistence: { timeoutSeconds: 1, prefixLength: 32, engine: 'x' } }),
  ],
  [
    'a persistence of no time',
    'EINVAL',
    (list) => list.editService(WEB, { ...RR, persistence: { timeoutSeconds: 0, prefixLength: 32 } }),
  ],
  [
    'a prefix longer than an address',
    'EINVAL',
    (list) => list.editService(WEB, { ...RR, persistence: { timeoutSeconds: 1, prefixLength: 33 } }),
  ],
  [
    'no prefix at all for IPv6',
    'EINVAL',
    (list) => list.editService(WEB6, { ...RR, persistence: { timeoutSeconds: 1, prefixLength: 0 } }),
  ],
  ['a firewall mark of 0', 'EINVAL', (list) => list.addService({ kind: 'fwmark', mark: 0, family: 4 }, RR)],
  ['a slow start for ever', 'EINVAL', (list) => list.tuneService(WEB, { slowStartSeconds: 2 ** 31 })],
  [
    'a timeout of an unknown state',
    'EINVAL',
    (list) => list.tuneService(WEB, { timeouts: { tcp: { OPEN: 5 } as never } }),
  ],
  ['a timeout of no time', 'EINVAL', (list) => list.tuneService(WEB, { timeouts: { tcp: { CLOSE: 0 } } })],
  ['an edit of no service', 'ESRCH', (list) => list.editService(service('udp:10.0.0.1:80'), RR)],
  ['deleting no service', 'ESRCH', (list) => list.deleteService(service('tcp:10.0.0.1:81'))],
  ['deleting no firewall mark', 'ESRCH', (list) => list.deleteService(service('fwm:1'))],
  ['zeroing no service', 'ESRCH', (list) => list.zero(service('tcp:10.0.0.1:81'))],
  ['a server twice', 'EEXIST', (list) => list.addServer(WEB, RS1, NAT)],
  ['a server of no service', 'ESRCH', (list) => list.addServer(service('tcp:10.0.0.9:80'), RS1, NAT)],
  ['editing no server', 'ENOENT', (list) => list.editServer(WEB, server('192.168.1.1:8081'), NAT)],
  ['deleting no server', 'ENOENT', (list) => list.deleteServer(WEB, server('192.168.1.2:8080'))],
  ['a server of another family', 'EINVAL', (list) => list.addServer(WEB, server('[2001:db8::2]:80'), NAT)],
  ['a server of another family', 'EINVAL', (list) => list.addServer(WEB6, server('192.168.1.1:80'), NAT)],
  [
    'a server of another family without a tunnel',
    'EINVAL',
    (list) => list.addServer(WEB6, server('192.168.1.1:80'), { ...NAT, method: 'dr' }),
  ],
  ...['0.0.0.0', '224.0.0.1', '239.255.255.255', '255.255.255.255'].map((address): (typeof REFUSED)[number] => [
    `server address ${address}`,
    'EINVAL',
    (list) => list.addServer(WEB, { address: address as Address, port: 80 }, NAT),
  ]),
  ...['::', 'ff02::1', 'fe80::1', 'febf::1', '::ffff:192.0.2.1'].map((address): (typeof REFUSED)[number] => [
    `server address ${address}`,
    'EINVAL',
    (list) => list.addServer(WEB6, { address: address as Address, port: 80 }, NAT),
  ]),
  ...(['local'] as const).map((method): (typeof REFUSED)[number] => [
    `method ${method}`,
    'EOPNOTSUPP',
    (list) => list.editServer(WEB, RS1, { ...NAT, method }),
  ]),
  ...[-1, 0.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY].map((weight): (typeof REFUSED)[number] => [
    `weight ${weight}`,
    'ERANGE',
    (list) => list.addServer(WEB, server('192.168.1.9:80'), { ...NAT, weight }),
  ]),
  [
    'a lower threshold above the upper one',
    'ERANGE',
    (list) => list.editServer(WEB, RS1, { ...NAT, lowerThreshold: 1 }),
  ],
  ['a threshold that is no number', 'ERANGE', (list) => list.editServer(WEB, RS1, { ...NAT, upperThreshold: 0.5 })],
  ['an upper threshold of 2³¹', 'EINVAL', (list) => list.editServer(WEB, RS1, { ...NAT, upperThreshold: 2 ** 31 })],
  ['port 65536', 'EINVAL', (list) => list.addServer(WEB, { ...RS1, port: 65_536 }, NAT)],
];

function newList(observer: Watcher): ServiceList {
  const environment = { sysctls: new Sysctls(), times: new StateTimes(), random: () => 0 };
  return new ServiceList({ environment, servers: [undefined], now: 0, observer });
}

function twoServices(watcher: Watcher): ServiceList {
  const list = newList(watcher);
  list.addService(WEB, RR);
  list.addServer(WEB, RS1, NAT);
  list.addService(WEB6, { ...RR, scheduler: 'wrr' });
  return list;
}

for (const [name, code, change] of REFUSED) {
  test(`${name} is refused with ${code}, and everything is as before`, () => {
    const watcher = new Watcher();
    const list = twoServices(watcher);
    const before = JSON.stringify([list.snapshot(), list.totals(), [...watcher.services], [...watcher.servers]]);
    assert.throws(
      () => change(list),
      (error: unknown) => error instanceof LvsError && error.code === code && error.message !== '',
    );
    assert.equal(JSON.stringify([list.snapshot(), list.totals(), [...watcher.services], [...watcher.servers]]), before);
  });
}

test('server addresses that the kernel takes are taken', () => {
  const list = twoServices(new Watcher());
  for (const address of ['1.0.0.1', '127.0.0.1', '223.255.255.255', '240.0.0.1']) {
    list.addServer(WEB, server(`${address}:80`), { ...NAT, weight: 2 ** 31 - 1 });
  }
  for (const address of ['::1', 'fec0::1', '2001:db8::2']) list.addServer(WEB6, server(`[${address}]:80`), NAT);
});

test('what the observer refuses to see is not added', () => {
  const watcher = new Watcher();
  const list = twoServices(watcher);
  const before = JSON.stringify(list.snapshot());
  watcher.refuses = true;
  assert.throws(() => list.addService(service('tcp:10.0.0.2:80'), RR), /refused/);
  assert.throws(() => list.addServer(WEB, server('192.168.1.2:8080'), NAT), /refused/);
  assert.equal(JSON.stringify(list.snapshot()), before);
  assert.equal(list.serversByIndex.filter((known) => known !== undefined).length, 1);
  watcher.refuses = false;
  list.addService(service('tcp:10.0.0.2:80'), RR);
  list.addServer(WEB, server('192.168.1.2:8080'), NAT);
  assert.equal(watcher.services.size, 3);
  assert.equal(watcher.servers.size, 2);
});

test('a server that connections refer to is known until the last of them is gone, then its place is used again', () => {
  const watcher = new Watcher();
  const list = twoServices(watcher);
  const known = list.serversByIndex[1];
  assert.ok(known !== undefined);
  known.total = 1;
  list.deleteServer(WEB, RS1);
  list.tick(0);
  assert.equal(watcher.servers.size, 1);
  assert.equal(list.serversByIndex[1], known);
  assert.equal(known.available, false);
  list.addServer(WEB, server('192.168.1.2:8080'), NAT);
  assert.equal(list.serversByIndex.length, 3);
  list.deleteService(WEB);
  assert.equal(watcher.servers.size, 1);
  known.total = 0;
  list.tick(0);
  assert.equal(watcher.servers.size, 0);
  assert.equal(list.serversByIndex[1], known);
  for (const second of [60, 120, 180]) list.tick(second * TICKS_PER_SECOND);
  assert.deepEqual([...list.serversByIndex], [undefined, undefined, undefined]);
  list.addServer(WEB6, server('[2001:db8::2]:80'), NAT);
  assert.equal(list.serversByIndex.length, 3);
});

test('a deleted service is known for as long as connections to its servers last', () => {
  const watcher = new Watcher();
  const list = twoServices(watcher);
  const known = list.serversByIndex[1];
  assert.ok(known !== undefined);
  known.total = 1;
  list.deleteService(WEB);
  assert.ok(watcher.services.has(formatServiceKey(WEB)));
  list.addService(WEB, RR);
  list.deleteService(WEB);
  known.total = 0;
  list.tick(0);
  assert.ok(!watcher.services.has(formatServiceKey(WEB)));
});

test('a server comes back as itself to its own service only, with new options', () => {
  const list = twoServices(new Watcher());
  const known = list.serversByIndex[1];
  assert.ok(known !== undefined);
  known.total = 1;
  list.deleteServer(WEB, RS1);
  const other = service('udp:10.0.0.1:80');
  list.addService(other, RR);
  list.addServer(other, RS1, NAT);
  assert.equal(known.available, false);
  list.deleteService(WEB);
  list.addService(WEB, RR);
  list.addServer(WEB, RS1, { ...NAT, weight: 7 });
  assert.equal(list.find(WEB).servers[0], known);
  assert.equal(known.available, true);
  assert.equal(known.weight, 7);
});
