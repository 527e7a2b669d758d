// SPDX-License-Identifier: Apache-2.0
// TUN devices with the kernel's own network stack at the other end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { temporaryNamespace } from '../../test/support/namespaces.ts';
import { requirements } from '../../test/support/requirements.ts';
import type { Address } from '../packet/address.ts';
import { inNamespace } from './netns.ts';
import { PollSet } from './poll.ts';
import { runInNamespace, spawnInNamespace } from './process-namespace.ts';
import { addAddress } from './route/address.ts';
import { changeLink, findLink } from './route/link.ts';
import { openRouteSocket } from './route/route-socket.ts';
import { TunDevice } from './tun.ts';

const root = { skip: requirements('root') };
const ip = (text: string): Address => text as Address;

/** A TUN device with 10.4.0.1/24 that is up. */
function openTun(context: TestContext): { namespace: string; tun: TunDevice } {
  const namespace = temporaryNamespace(context, 'tun');
  const tun = inNamespace(namespace, () => new TunDevice('tun0'));
  context.after(() => tun.close());
  const socket = openRouteSocket(namespace);
  try {
    addAddress(socket, 'tun0', ip('10.4.0.1'), 24);
    changeLink(socket, 'tun0', { up: true });
  } finally {
    socket.close();
  }
  return { namespace, tun };
}

/** The next IPv4 packet; the kernel sends IPv6 ones of its own. */
function readIpv4(tun: TunDevice): Buffer {
  const buffer = new Uint8Array(2048);
  const set = new PollSet(1);
  set.add(tun.number);
  for (;;) {
    assert.ok(set.wait(20_000) > 0, 'a packet came');
    for (let length = tun.read(buffer); length !== -1; length = tun.read(buffer)) {
      if (buffer[0] >>> 4 === 4) return Buffer.from(buffer.subarray(0, length));
    }
  }
}

test('what the kernel sends to the device is read from it', root, (t) => {
  const { namespace, tun } = openTun(t);
  const script = `const s = require('node:dgram').createSocket('udp4'); s.send('hello', 9, '10.4.0.2', () => s.close());`;
  assert.equal(runInNamespace(namespace, process.execPath, ['-e', script]).status, 0);
  const packet = readIpv4(tun);
  assert.deepEqual([...packet.subarray(12, 20)], [10, 4, 0, 1, 10, 4, 0, 2]);
  assert.equal(packet.subarray(28).toString(), 'hello');
});

test('what is written to the device arrives at a socket of its namespace', root, async (t) => {
  const { namespace, tun } = openTun(t);
  const script = `
    const s = require('node:dgram').createSocket('udp4');
    s.on('message', (message, from) => { console.log(from.address, from.port, String(message)); s.close(); });
    s.bind(7000, '10.4.0.1', () => console.log('ready'));`;
  const child = spawnInNamespace(namespace, process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  try {
    assert.ok(child.stdout);
    assert.equal(String((await once(child.stdout, 'data', { signal: AbortSignal.timeout(20_000) }))[0]), 'ready\n');
    // IPv4 and UDP (checksum 0: none) from 10.4.0.2:9 to 10.4.0.1:7000 with 'hi'.
    const packet = Buffer.from('4500001e00004000401126c50a0400020a04000100091b58000a00006869', 'hex');
    assert.equal(tun.write(packet), true);
    assert.equal(
      String((await once(child.stdout, 'data', { signal: AbortSignal.timeout(20_000) }))[0]),
      '10.4.0.2 9 hi\n',
    );
  } finally {
    child.kill();
    await ended;
  }
});

test('a device without packets answers at once, and goes when it is closed', root, (t) => {
  const namespace = temporaryNamespace(t, 'tun');
  const first = inNamespace(namespace, () => new TunDevice('tap%d', 'tap'));
  assert.equal(first.name, 'tap0');
  assert.equal(first.read(new Uint8Array(64)), -1);
  assert.throws(() => first.write(new Uint8Array(64)), { message: "write: EIO (device 'tap0')" });
  assert.throws(() => inNamespace(namespace, () => new TunDevice('tap0', 'tap')), {
    message: "ioctl: EBUSY (create tap device 'tap0'): another program has it open",
  });
  first.close();
  const socket = openRouteSocket(namespace);
  t.after(() => socket.close());
  assert.equal(findLink(socket, 'tap0'), undefined);
});

test('a name that no device can have is refused', root, () => {
  assert.throws(() => new TunDevice('sixteen-letters-'), RangeError);
});
