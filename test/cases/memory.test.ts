// SPDX-License-Identifier: Apache-2.0
// All packet cases through the engine in memory, each on a director of its own.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemoryStage } from './memory-stage.ts';
import { ipvsadm, runCase } from './run-case.ts';
import { PACKET_CASES } from './table.ts';

suite('packet cases through the engine in memory', () => {
  for (const packetCase of PACKET_CASES) {
    if (packetCase.only === 'xdp') continue;
    test(packetCase.description, async () => {
      const stage = new MemoryStage();
      await runCase(stage, packetCase);
      assert.equal(stage.lostFrames, 0, 'every frame is free again');
    });
  }
});

test('packet cases come out the same while the clock wraps', async () => {
  for (const packetCase of PACKET_CASES) {
    if (packetCase.only !== 'xdp') await runCase(new MemoryStage(2 ** 32 - 1), packetCase);
  }
});

test('packet cases do not disturb each other on one director', async () => {
  const stage = new MemoryStage();
  for (const packetCase of PACKET_CASES) {
    if (packetCase.only === 'xdp') continue;
    await ipvsadm(stage, ['-C']);
    await ipvsadm(stage, ['--set', '900', '120', '300']);
    await runCase(stage, packetCase);
  }
});

test('descriptions of packet cases are unique', () => {
  const descriptions = PACKET_CASES.map((packetCase) => packetCase.description);
  assert.equal(new Set(descriptions).size, descriptions.length);
});
