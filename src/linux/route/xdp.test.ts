// SPDX-License-Identifier: Apache-2.0
// Programs that stay on a device: put there, replaced, taken away, and never somebody else's.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requirements } from '../../../test/support/requirements.ts';
import { VethLab } from '../../../test/support/veth-lab.ts';
import { loadDecapsulator } from '../../realserver/decapsulator.ts';
import type { SysError } from '../errno.ts';
import { openRouteSocket } from './route-socket.ts';
import { attachXdp, detachXdp, findXdp } from './xdp.ts';

test('a program outlives its descriptor, is replaced by whoever knows it, and detached only as itself', {
  skip: requirements('xdp', 'program:ip'),
}, (t) => {
  const lab = new VethLab();
  t.after(() => lab.close());
  const { near } = lab.addPair('v');
  const socket = openRouteSocket(lab.namespace);
  t.after(() => socket.close());
  const attach = (before?: ReturnType<typeof findXdp>): NonNullable<ReturnType<typeof findXdp>> => {
    const program = loadDecapsulator({ tunnels: ['ipip'], guePort: 0, virtual: [], local: [] });
    try {
      return attachXdp(socket, near.name, program.fd, before);
    } finally {
      program.close();
    }
  };

  assert.equal(findXdp(socket, near.name), undefined);
  const first = attach();
  assert.equal(first.mode, 'native');
  assert.deepEqual(findXdp(socket, near.index), first);

  assert.throws(() => attach(), { name: 'SysError', errno: 'EBUSY' } satisfies Partial<SysError>);
  assert.deepEqual(findXdp(socket, near.name), first);

  const second = attach(first);
  assert.notEqual(second.id, first.id);
  assert.equal(detachXdp(socket, near.name, first), false);
  assert.deepEqual(findXdp(socket, near.name), second);
  assert.equal(detachXdp(socket, near.name, second), true);
  assert.equal(detachXdp(socket, near.name, second), false);
  assert.equal(findXdp(socket, near.name), undefined);

  // What was there before and is gone is no reason not to attach.
  assert.deepEqual(findXdp(socket, near.name), undefined);
  assert.equal(attach(second).mode, 'native');
});
