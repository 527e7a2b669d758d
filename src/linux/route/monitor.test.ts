// SPDX-License-Identifier: Apache-2.0
// Events of the kernel as they arrive on the monitor's descriptor.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { temporaryNamespace } from '../../../test/support/namespaces.ts';
import { requirements } from '../../../test/support/requirements.ts';
import { type Address, addressWords } from '../../packet/address.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { inNamespace } from '../netns.ts';
import { PollSet } from '../poll.ts';
import { writeSysctl } from '../sysctl.ts';
import { addAddress, deleteAddress } from './address.ts';
import { changeLink, createBridge, createVeth, deleteLink, getLink } from './link.ts';
import { type RouteEvent, RouteMonitor, type RouteMonitorOptions } from './monitor.ts';
import { probeNeighbour, setNeighbour } from './neighbour.ts';
import { addRoute, deleteRoute } from './route.ts';
import { openRouteSocket } from './route-socket.ts';

const root = { skip: requirements('root') };
const ip = (text: string): Address => text as Address;

/** Far more than the kernel takes for any event here; only a failing test waits for it. */
const PATIENCE_MS = 20_000;

interface Scene {
  readonly namespace: string;
  readonly socket: NetlinkSocket;
  readonly monitor: RouteMonitor;
}

function scene(context: TestContext, options: RouteMonitorOptions = {}): Scene {
  const namespace = temporaryNamespace(context, 'm');
  const socket = openRouteSocket(namespace);
  const monitor = new RouteMonitor({ ...options, namespace });
  context.after(() => {
    socket.close();
    monitor.close();
  });
  return { namespace, socket, monitor };
}

function drained(monitor: RouteMonitor): RouteEvent[] {
  const events: RouteEvent[] = [];
  monitor.drain((event) => events.push(event));
  return events;
}

/** Waits on the descriptor until an event that `wanted` accepts. */
function awaitEvent(monitor: RouteMonitor, wanted: (event: RouteEvent) => boolean): RouteEvent {
  const set = new PollSet(1);
  set.add(monitor.number);
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const event = drained(monitor).find(wanted);
    if (event !== undefined) return event;
    if (performance.now() > end) assert.fail('the event did not come');
    set.wait(1000);
  }
}

test('a quiet monitor has nothing to read, and reading it does not wait', root, (t) => {
  const { monitor } = scene(t);
  drained(monitor);
  const set = new PollSet(1);
  set.add(monitor.number);
  assert.equal(set.wait(0), 0);
  assert.deepEqual(drained(monitor), []);
});

test('a device tells when it comes, changes and goes', root, (t) => {
  const { socket, monitor } = scene(t);
  createVeth(socket, { name: 'v0' }, { name: 'v1' });
  awaitEvent(monitor, (event) => event.type === 'link' && !event.removed && event.link.name === 'v0');
  changeLink(socket, 'v0', { mtu: 1400 });
  awaitEvent(monitor, (event) => event.type === 'link' && event.link.name === 'v0' && event.link.mtu === 1400);
  deleteLink(socket, 'v0');
  awaitEvent(monitor, (event) => event.type === 'link' && event.removed && event.link.name === 'v0');
});

test('a port that leaves its bridge is not told as a device that goes', root, (t) => {
  const { socket, monitor } = scene(t);
  createBridge(socket, { name: 'br0' });
  createVeth(socket, { name: 'v0' }, { name: 'v1' });
  changeLink(socket, 'v0', { master: 'br0' });
  drained(monitor);
  changeLink(socket, 'v0', { master: 0 });
  changeLink(socket, 'v1', { mtu: 1400 });
  const seen: RouteEvent[] = [];
  awaitEvent(monitor, (event) => {
    seen.push(event);
    return event.type === 'link' && event.link.name === 'v1';
  });
  assert.ok(seen.some((event) => event.type === 'link' && event.link.name === 'v0'));
  assert.ok(seen.every((event) => event.type !== 'link' || !event.removed));
});

test('addresses and routes tell when they come and go, in both families', root, (t) => {
  const { socket, monitor } = scene(t);
  createVeth(socket, { name: 'v0' }, { name: 'v1' });
  changeLink(socket, 'v0', { up: true });
  changeLink(socket, 'v1', { up: true });
  for (const [address, length, destination] of [
    ['10.7.0.1', 24, '10.70.0.0'],
    ['fd07::1', 64, 'fd70::'],
  ] as const) {
    addAddress(socket, 'v0', ip(address), length, { nodad: true });
    awaitEvent(monitor, (e) => e.type === 'address' && !e.removed && e.address.address === address);
    addRoute(socket, { destination: ip(destination), prefixLength: 16, device: 'v0' });
    awaitEvent(monitor, (e) => e.type === 'route' && !e.removed && e.route.destination.address === destination);
    deleteRoute(socket, { destination: ip(destination), prefixLength: 16 });
    awaitEvent(monitor, (e) => e.type === 'route' && e.removed && e.route.destination.address === destination);
    deleteAddress(socket, 'v0', ip(address), length);
    awaitEvent(monitor, (e) => e.type === 'address' && e.removed && e.address.address === address);
  }
});

for (const [family, own, wanted, length] of [
  [4, '10.6.0.1', '10.6.0.2', 24],
  [6, 'fd06::1', 'fd06::2', 64],
] as const) {
  test(`a probed IPv${family} neighbour is told with its MAC once it has answered`, root, (t) => {
    const { namespace, socket, monitor } = scene(t);
    const far = temporaryNamespace(t, 'far');
    const farSocket = openRouteSocket(far);
    t.after(() => farSocket.close());
    // The kernel asks from its link-local address, which it else checks for a second or two first.
    for (const place of [namespace, far]) {
      inNamespace(place, () => writeSysctl('net.ipv6.conf.default.accept_dad', 0));
    }
    createVeth(socket, { name: 'v0' }, { name: 'v0', mac: '02:00:00:00:06:02', namespace: far });
    changeLink(socket, 'v0', { up: true });
    changeLink(farSocket, 'v0', { up: true });
    addAddress(socket, 'v0', ip(own), length, { nodad: true });
    addAddress(farSocket, 'v0', ip(wanted), length, { nodad: true });
    probeNeighbour(socket, getLink(socket, 'v0').index, family, addressWords(ip(wanted)));
    const event = awaitEvent(
      monitor,
      (e) => e.type === 'neighbour' && e.neighbour.address === wanted && e.neighbour.valid,
    );
    assert.ok(event.type === 'neighbour');
    assert.deepEqual([event.neighbour.mac, event.neighbour.words], ['02:00:00:00:06:02', addressWords(ip(wanted))]);
  });
}

test('events that do not fit are told as an overrun, and later ones arrive again', root, (t) => {
  const { socket, monitor } = scene(t, { bufferBytes: 4096 });
  createVeth(socket, { name: 'v0' }, { name: 'v1' });
  changeLink(socket, 'v0', { up: true });
  for (let i = 1; i < 200; i++) setNeighbour(socket, 'v0', ip(`10.5.0.${i}`), '02:00:00:00:00:05');
  assert.ok(drained(monitor).some((event) => event.type === 'overrun'));
  setNeighbour(socket, 'v0', ip('10.5.0.250'), '02:00:00:00:00:05');
  awaitEvent(monitor, (event) => event.type === 'neighbour' && event.neighbour.address === '10.5.0.250');
});
