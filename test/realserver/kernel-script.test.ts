// SPDX-License-Identifier: Apache-2.0
// The printed script on a kernel with tunnel devices (User Mode Linux on a tap): curl through each of the kernel's own
// devices, answered from the virtual address, and everything back to what was before.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CASES, KernelSite, skip } from './kernel-site.ts';

const BALLAST = join(import.meta.dirname, '..', '..', 'src', 'cli', 'ballast.js');
const DONE = { status: 0, stdout: '', stderr: '' };

describe('the printed script of a real server', { skip }, () => {
  let site: KernelSite;

  before(async () => {
    site = await KernelSite.open();
  });
  after(() => site?.close());

  for (const one of CASES) {
    test(one.name, async () => {
      const { server } = site;
      const printed = spawnSync(process.execPath, [BALLAST, 'realserver', 'print', ...one.options], {
        encoding: 'utf8',
      });
      assert.equal(printed.status, 0, printed.stderr);
      const script = server.write('realserver.sh', printed.stdout);
      const before = await server.look();
      assert.deepEqual(await server.run('sh', script, 'up'), DONE);
      if (one.twice) {
        const during = await server.look();
        assert.deepEqual(await server.run('sh', script, 'up'), DONE);
        assert.equal(await server.look(), during);
      }
      await site.assertAnswered(one);
      assert.deepEqual(await server.run('sh', script, 'down'), DONE);
      assert.equal(await server.look(), before);
      if (one.twice) {
        const again = await server.run('sh', script, 'down');
        assert.deepEqual([again.status, again.stderr], [0, `${script}: nothing is up\n`]);
      }
    });
  }
});
