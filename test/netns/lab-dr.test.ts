// SPDX-License-Identifier: Apache-2.0
// `ballast lab dr` as a user runs it: shares, one client on one server, answers past the director, and nothing left.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { removeLab } from '../../src/lab/claim.ts';
import type { DrReport } from '../../src/lab/dr.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';
import { assertNothingLeft, lab, printed, startLab } from '../support/lab-process.ts';
import { requirements } from '../support/requirements.ts';

describe('ballast lab dr', { skip: requirements('root', 'xdp', 'program:curl') }, () => {
  after(() => removeLab(DEFAULT_PREFIX));

  test('--json: 2:3 by weights, one server with sh, no answer at the director, in both families', async () => {
    const { status, stdout, stderr } = await lab('dr', '--json');
    assert.equal(stderr, '');
    const { problem, ipv4, ipv6 } = JSON.parse(stdout) as DrReport;
    assert.equal(problem, null);
    assert.equal(status, 0);
    for (const { tally, sticky, frames, forwarded } of [ipv4, ipv6]) {
      assert.deepEqual([tally.requests, tally.perServer.rs1, tally.perServer.rs2], [20, 8, 12]);
      assert.equal(new Set(sticky).size, 1);
      assert.ok(frames.rs1.sent + frames.rs2.sent > 1300);
      assert.ok(frames.director.sent >= forwarded && frames.director.sent < forwarded + 40);
    }
    assertNothingLeft();
  });

  test('it prints the commands of the recipe and the picture of the path', async () => {
    const { status, stdout } = await lab('dr');
    assert.equal(status, 0, stdout);
    for (const line of [
      'rs1$ ballast realserver up --method dr --vip 10.77.2.100 --vip fd77:2::64\n',
      'director$ ipvsadm -a -t 10.77.2.100:80 -r 10.77.2.11:80 -g -w 2\n',
      'director$ ipvsadm -a -t 10.77.2.100:80 -r 10.77.2.12:80 -g -w 3\n',
      'director$ ipvsadm -E -t [fd77:2::64]:80 -s sh\n',
      '   requests  client   ──→ router ──→ director ──→ rs1, rs2\n',
      '   answers   rs1, rs2 ──→ router ──→ client\n',
      'ok: shares as the weights ask',
    ]) {
      assert.ok(stdout.includes(line), `${line}\n--- in ---\n${stdout}`);
    }
    assertNothingLeft();
  });

  test('Ctrl-C ends it and leaves nothing behind', async () => {
    const child = startLab('dr');
    await printed(child, 'director$ ipvsadm -A');
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assertNothingLeft();
  });
});
