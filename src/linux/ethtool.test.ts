// SPDX-License-Identifier: Apache-2.0
// Offloads of real veth devices, cross-checked by ethtool where it is installed.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { temporaryNamespace } from '../../test/support/namespaces.ts';
import { requirements } from '../../test/support/requirements.ts';
import { readFeatures, readOffload, setFeatures, setOffloads } from './ethtool.ts';
import { inNamespace } from './netns.ts';
import { runInNamespace } from './process-namespace.ts';
import { createBridge, createVeth } from './route/link.ts';
import { openRouteSocket } from './route/route-socket.ts';

const root = { skip: requirements('root') };

/** A namespace with a veth pair v0, v1 and the bridge br0. */
function withDevices(context: TestContext): string {
  const namespace = temporaryNamespace(context, 'eth');
  const socket = openRouteSocket(namespace);
  try {
    createVeth(socket, { name: 'v0' }, { name: 'v1' });
    createBridge(socket, { name: 'br0' });
  } finally {
    socket.close();
  }
  return namespace;
}

test('transmit checksums are switched off and on again, in every family', root, (t) => {
  inNamespace(withDevices(t), () => {
    assert.equal(readOffload('v0', 'txChecksum'), true);
    setOffloads('v0', { txChecksum: false });
    const features = readFeatures('v0');
    for (const name of ['tx-checksum-ipv4', 'tx-checksum-ip-generic', 'tx-checksum-ipv6', 'tx-checksum-sctp']) {
      assert.equal(features.get(name)?.active, false, name);
    }
    assert.equal(readOffload('v0', 'tso'), false);
    assert.equal(readOffload('v1', 'txChecksum'), true);
    setOffloads('v0', { txChecksum: true });
    assert.equal(readOffload('v0', 'txChecksum'), true);
    assert.equal(readOffload('v0', 'tso'), true);
  });
});

test('GRO, GSO and TSO are switched one by one', root, (t) => {
  inNamespace(withDevices(t), () => {
    setOffloads('v0', { gro: true, gso: false, tso: false });
    assert.deepEqual(
      [readOffload('v0', 'gro'), readOffload('v0', 'gso'), readOffload('v0', 'tso')],
      [true, false, false],
    );
    setOffloads('v0', { gro: false, gso: true });
    assert.deepEqual(
      [readOffload('v0', 'gro'), readOffload('v0', 'gso'), readOffload('v0', 'tso')],
      [false, true, false],
    );
  });
});

test('ethtool agrees with what was switched', { skip: requirements('root', 'program:ethtool') }, (t) => {
  const namespace = withDevices(t);
  inNamespace(namespace, () => setOffloads('v0', { txChecksum: false, gro: true }));
  const { stdout } = runInNamespace(namespace, 'ethtool', ['-k', 'v0']);
  assert.match(stdout, /^tx-checksumming: off$/m);
  assert.match(stdout, /^\ttx-tcp-segmentation: off/m);
  assert.match(stdout, /^\ttx-tcp6-segmentation: off/m);
  assert.match(stdout, /^generic-receive-offload: on$/m);
});

test('what the driver does not let go is told', root, (t) => {
  inNamespace(withDevices(t), () => {
    assert.throws(() => setOffloads('lo', { txChecksum: false }), {
      name: 'UnsupportedError',
      message: /txChecksum of 'lo': the driver keeps it on/,
    });
    assert.throws(() => setFeatures('v0', { 'tx-teleportation': true }), { name: 'UnsupportedError' });
  });
});

test('a device that is not there is named', root, (t) => {
  inNamespace(withDevices(t), () => {
    assert.throws(() => readFeatures('none'), {
      message: "ioctl: ENODEV (settings of device 'none'): no such device in this network namespace",
    });
    assert.throws(() => readFeatures('sixteen-letters-'), RangeError);
  });
});
