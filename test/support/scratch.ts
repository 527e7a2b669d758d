// SPDX-License-Identifier: Apache-2.0
// A folder of its own for a test, gone with everything in it when the test ends.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Makes an empty folder that `t` removes. */
export function scratchFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
