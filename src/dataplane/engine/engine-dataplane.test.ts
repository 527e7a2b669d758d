// SPDX-License-Identifier: Apache-2.0
// The engine as the daemon opens it, on a real device: what it refuses to start on, what it says, how it ends.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { requirements } from '../../../test/support/requirements.ts';
import { VethLab } from '../../../test/support/veth-lab.ts';
import type { DataPlane } from '../dataplane.ts';
import { openEngine } from './engine-dataplane.ts';

const skip = requirements('root', 'xdp', 'program:ip');

const log = { debug: (): void => {}, info: (): void => {}, warn: (): void => {}, error: (): void => {} };

/** Opens the engine on `veth-near`, which has the MTU given. */
function open(t: TestContext, options: { mtu?: number; onFailure?: (error: Error) => void } = {}): Promise<DataPlane> {
  const lab = new VethLab();
  t.after(() => lab.close());
  const { near } = lab.addPair('veth');
  lab.ip('link', 'set', near.name, 'mtu', String(options.mtu ?? 1500));
  const { onFailure } = options;
  const interfaces = [near.name];
  return lab.run(() => openEngine({ interfaces, maxConnections: 100, log, ...(onFailure && { onFailure }) }));
}

test('it says what the kernel lost on the way to it, and serves until it is closed, not longer', {
  skip,
}, async (t) => {
  const failures: Error[] = [];
  const engine = await open(t, { mtu: 1778, onFailure: (error) => failures.push(error) });
  assert.match(engine.describe(), /^engine \(af-xdp (native|generic): veth-near\)$/);
  const { verdicts } = await engine.snapshot();
  const lost = Object.entries(verdicts).filter(([name]) => name.startsWith('drop-rx-'));
  assert.deepEqual(lost, [
    ['drop-rx-ring-full', 0],
    ['drop-rx-no-frame', 0],
    ['drop-rx-other', 0],
  ]);
  await engine.close();
  await assert.rejects(engine.snapshot(), /^Error: the engine is closed$/);
  assert.deepEqual(failures, []);
});

test('a device whose packets no frame takes in is refused with the remedy', { skip }, async (t) => {
  await assert.rejects(open(t, { mtu: 1779 }), {
    message:
      "device 'veth-near' has an MTU of 1779, the engine takes packets of up to 1778 bytes: " +
      "set it with 'ip link set veth-near mtu 1500', or name other devices with --interface DEV",
  });
});
