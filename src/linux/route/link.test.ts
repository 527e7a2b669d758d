// SPDX-License-Identifier: Apache-2.0
// Devices, really made in namespaces of the test's own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { temporaryNamespace } from '../../../test/support/namespaces.ts';
import { requirements } from '../../../test/support/requirements.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { NetlinkFormatError } from '../netlink-message.ts';
import { runInNamespace } from '../process-namespace.ts';
import { changeLink, createBridge, createVeth, deleteLink, findLink, getLink, linkIndex, listLinks } from './link.ts';
import { linkHeader, parseLink } from './link-message.ts';
import { openRouteSocket, RTM_NEWLINK } from './route-socket.ts';

const root = { skip: requirements('root') };

function socketIn(context: TestContext, namespace: string): NetlinkSocket {
  const socket = openRouteSocket(namespace);
  context.after(() => socket.close());
  return socket;
}

test('a veth pair is made with names, MACs, MTU and queues, each end in its namespace', root, (t) => {
  const [a, b] = [temporaryNamespace(t, 'a'), temporaryNamespace(t, 'b')];
  const [atA, atB] = [socketIn(t, a), socketIn(t, b)];
  createVeth(
    atA,
    { name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1400, queues: 4 },
    { name: 'eth1', mac: '02:00:00:00:00:02', namespace: b },
  );
  const end = getLink(atA, 'eth0');
  const other = getLink(atB, 'eth1');
  assert.deepEqual(
    { name: end.name, mac: end.mac, bytes: [...end.macBytes], mtu: end.mtu, kind: end.kind, type: end.type },
    { name: 'eth0', mac: '02:00:00:00:00:01', bytes: [2, 0, 0, 0, 0, 1], mtu: 1400, kind: 'veth', type: 1 },
  );
  assert.deepEqual([end.numRxQueues, end.numTxQueues, end.up, end.operState], [4, 4, false, 'down']);
  assert.deepEqual([other.mac, other.mtu], ['02:00:00:00:00:02', 1500]);
  assert.deepEqual([end.peer, other.peer], [other.index, end.index]);
  assert.deepEqual(
    listLinks(atA).map((link) => link.name),
    ['lo', 'eth0'],
  );
});

test('a pair comes up when both ends are switched on, and goes with either of them', root, (t) => {
  const [a, b] = [temporaryNamespace(t, 'a'), temporaryNamespace(t, 'b')];
  const [atA, atB] = [socketIn(t, a), socketIn(t, b)];
  createVeth(atA, { name: 'eth0' }, { name: 'eth0', namespace: b });
  changeLink(atA, 'eth0', { up: true });
  assert.deepEqual([getLink(atA, 'eth0').up, getLink(atA, 'eth0').carrier], [true, false]);
  changeLink(atB, 'eth0', { up: true });
  assert.deepEqual([getLink(atA, 'eth0').carrier, getLink(atA, 'eth0').operState], [true, 'up']);
  changeLink(atB, 'eth0', { up: false });
  assert.equal(getLink(atA, 'eth0').carrier, false);
  deleteLink(atB, 'eth0');
  assert.equal(findLink(atA, 'eth0'), undefined);
});

test('a device changes its name, MTU, MAC and namespace', root, (t) => {
  const [a, b] = [temporaryNamespace(t, 'a'), temporaryNamespace(t, 'b')];
  const [atA, atB] = [socketIn(t, a), socketIn(t, b)];
  createVeth(atA, { name: 'eth0' }, { name: 'eth1' });
  changeLink(atA, 'eth0', { name: 'client', mtu: 9000, mac: '02:00:00:00:00:aa' });
  const changed = getLink(atA, 'client');
  assert.deepEqual([changed.mtu, changed.mac], [9000, '02:00:00:00:00:aa']);
  assert.equal(findLink(atA, 'eth0'), undefined);
  changeLink(atA, 'eth1', { namespace: b, name: 'server' });
  assert.equal(findLink(atA, 'eth1'), undefined);
  assert.equal(getLink(atB, 'server').kind, 'veth');
  assert.equal(linkIndex(atB, 'server'), getLink(atB, linkIndex(atB, 'server')).index);
});

test('a bridge takes devices in and lets them go', root, (t) => {
  const socket = socketIn(t, temporaryNamespace(t, 'a'));
  createBridge(socket, { name: 'br0', mac: '02:00:00:00:00:01', multicastSnooping: false });
  createVeth(socket, { name: 'p0' }, { name: 'p1' });
  const bridge = getLink(socket, 'br0');
  assert.deepEqual([bridge.kind, bridge.up, bridge.mac], ['bridge', true, '02:00:00:00:00:01']);
  changeLink(socket, 'p0', { master: 'br0', up: true });
  assert.equal(getLink(socket, 'p0').master, bridge.index);
  changeLink(socket, 'p0', { master: 0 });
  assert.equal(getLink(socket, 'p0').master, 0);
  deleteLink(socket, bridge.index);
  assert.equal(findLink(socket, bridge.index), undefined);
});

test('iproute2 sees the devices that are made here', { skip: requirements('root', 'program:ip') }, (t) => {
  const name = temporaryNamespace(t, 'a');
  const socket = socketIn(t, name);
  createBridge(socket, { name: 'br0', multicastSnooping: false });
  createVeth(socket, { name: 'p0', queues: 2, mtu: 1280 }, { name: 'p1' });
  changeLink(socket, 'p0', { master: 'br0', up: true });
  const { stdout } = runInNamespace(name, 'ip', ['-details', '-json', 'link', 'show']);
  const links = JSON.parse(stdout) as { ifname: string; mtu: number; master?: string; num_rx_queues: number }[];
  const p0 = links.find((link) => link.ifname === 'p0');
  assert.deepEqual([p0?.mtu, p0?.master, p0?.num_rx_queues], [1280, 'br0', 2]);
  const bridge = links.find((link) => link.ifname === 'br0') as unknown as {
    linkinfo: { info_kind: string; info_data: { mcast_snooping: number; stp_state: number } };
  };
  assert.equal(bridge.linkinfo.info_kind, 'bridge');
  assert.deepEqual([bridge.linkinfo.info_data.mcast_snooping, bridge.linkinfo.info_data.stp_state], [0, 0]);
});

test("what the kernel refuses is told with its errno and the kernel's words", root, (t) => {
  const socket = socketIn(t, temporaryNamespace(t, 'a'));
  createVeth(socket, { name: 'p0' }, { name: 'p1' });
  assert.throws(() => createVeth(socket, { name: 'p0' }, { name: 'p2' }), { name: 'SysError', errno: 'EEXIST' });
  assert.throws(() => deleteLink(socket, 'none'), { message: /^rtnetlink: ENODEV \(delete device 'none'/ });
  assert.throws(() => changeLink(socket, 'p0', { mtu: 10 }), {
    message: "rtnetlink: EINVAL (change device 'p0': mtu less than device minimum)",
  });
  assert.throws(() => changeLink(socket, 'p0', { namespace: 'blst-none' }), { errno: 'ENOENT' });
});

test('a name or MAC that no device can have is refused before the kernel sees it', root, (t) => {
  const socket = socketIn(t, temporaryNamespace(t, 'a'));
  for (const name of ['', '.', '..', 'a b', 'a/b', 'a:b', 'sixteen-letters-']) {
    assert.throws(() => createBridge(socket, { name }), RangeError);
  }
  assert.throws(() => createBridge(socket, { name: 'br0', mac: '02:00' }), RangeError);
});

test('a plain user is told which capability is missing', root, (t) => {
  const namespace = temporaryNamespace(t, 'a');
  const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
  const script = `
    const { createBridge, listLinks } = await import(${module('./link.js')});
    const { openRouteSocket } = await import(${module('./route-socket.js')});
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    const socket = openRouteSocket();
    console.log(listLinks(socket).map((link) => link.name).join());
    try { createBridge(socket, { name: 'br0' }); } catch (error) { console.log(error.message); }`;
  const { stdout } = runInNamespace(namespace, process.execPath, ['--input-type=module', '-e', script]);
  assert.deepEqual(stdout.trim().split('\n'), [
    'lo',
    "rtnetlink: EPERM (create bridge 'br0'): run as root, or grant CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN)",
  ]);
});

test('a message about a bridge port is no device, one that is cut off is refused', () => {
  const message = (payload: Uint8Array) => ({
    type: RTM_NEWLINK,
    flags: 0,
    sequence: 0,
    port: 0,
    payload: new DataView(payload.buffer, payload.byteOffset, payload.byteLength),
  });
  const port = linkHeader(5);
  port[0] = 7;
  assert.equal(parseLink(message(port)), undefined);
  const bare = parseLink(message(linkHeader(5, 1)));
  assert.deepEqual([bare?.index, bare?.name, bare?.mac, bare?.up, bare?.operState], [5, '', '', true, 'unknown']);
  assert.throws(() => parseLink(message(linkHeader(5).subarray(0, 15))), NetlinkFormatError);
});

test('nothing of the tests is left in the own namespace', { skip: requirements('root', 'program:ip') }, () => {
  assert.doesNotMatch(spawnSync('ip', ['link'], { encoding: 'utf8' }).stdout, /\b(p0|p1|br0)[@:]/);
});
