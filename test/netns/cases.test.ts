// SPDX-License-Identifier: Apache-2.0
// All packet cases over real devices, through the XDP program and the bundled engine of one running daemon.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DeviceStage } from '../cases/device-stage.ts';
import { runCase } from '../cases/run-case.ts';
import { PACKET_CASES } from '../cases/table.ts';
import { requirements } from '../support/requirements.ts';

describe('packet cases over real devices', { skip: requirements('root', 'xdp', 'program:ip') }, () => {
  let stage: DeviceStage;
  before(async () => {
    stage = await DeviceStage.open();
  });
  after(() => stage?.close());

  for (const packetCase of PACKET_CASES) {
    if (packetCase.only === 'engine') continue;
    test(packetCase.description, async () => {
      await stage.reset();
      await runCase(stage, packetCase);
    });
  }

  test('nothing comes after the last packet', async () => {
    await assert.doesNotReject(stage.reset());
  });
});
