// SPDX-License-Identifier: Apache-2.0
// The real director as a data plane without devices, for tests of what stands above it. Its clock stands still.

import { LocalDataPlane } from '../../src/dataplane/engine/local.ts';
import { connectionMemoryBytes, layConnectionMemory } from '../../src/lvs/connection/layout.ts';
import { Director } from '../../src/lvs/director.ts';

const MAX_CONNECTIONS = 1024;

/** A director with no services and room for {@link MAX_CONNECTIONS} connections. */
export function localDataPlane(): LocalDataPlane {
  const buffer = new ArrayBuffer(connectionMemoryBytes(MAX_CONNECTIONS));
  const memory = layConnectionMemory(buffer, MAX_CONNECTIONS);
  return new LocalDataPlane(new Director({ memory, seed: { k0: 1, k1: 2 }, now: 0 }), () => 0);
}
