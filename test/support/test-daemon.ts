// SPDX-License-Identifier: Apache-2.0
// A daemon over a director without devices, on a socket of its own, for tests of the programs that speak with one.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Daemon } from '../../src/daemon/daemon.ts';
import { createLog } from '../../src/daemon/log.ts';
import type { DataPlane } from '../../src/dataplane/dataplane.ts';
import { localDataPlane } from './local-dataplane.ts';
import { scratchFolder } from './scratch.ts';

export interface TestDaemon {
  /** The environment in which programs find it. */
  readonly env: { readonly BALLAST_SOCKET: string };
  readonly dataplane: DataPlane;
}

/** Runs until the test ends. */
export async function testDaemon(t: TestContext, dataplane: DataPlane = localDataPlane()): Promise<TestDaemon> {
  const socket = join(scratchFolder(t), 'a.sock');
  const log = createLog({ level: 'error', write: assert.fail });
  const daemon = await Daemon.start({ socket }, { open: async () => dataplane, log });
  t.after(() => daemon.close());
  return { env: { BALLAST_SOCKET: socket }, dataplane };
}
