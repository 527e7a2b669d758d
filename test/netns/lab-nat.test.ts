// SPDX-License-Identifier: Apache-2.0
// `ballast lab nat` as a user runs it: what it prints, that it leaves nothing behind however it ends, and who may run it.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { labNamespaces, removeLab } from '../../src/lab/claim.ts';
import { type CommandResult, outcome } from '../../src/lab/director.ts';
import type { LabReport } from '../../src/lab/nat.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';
import { processesIn } from '../../src/lab/processes.ts';
import { lab as anyLab, assertNothingLeft, printed, startLab as startAnyLab } from '../support/lab-process.ts';
import { requirements } from '../support/requirements.ts';

const startLab = (...args: readonly string[]): ChildProcess => startAnyLab('nat', ...args);
const lab = (...args: readonly string[]): Promise<CommandResult> => anyLab('nat', ...args);

describe('ballast lab nat', { skip: requirements('root', 'xdp') }, () => {
  after(() => removeLab(DEFAULT_PREFIX));

  test('--json: every request is answered, shares are 1:1 and then 2:1', async () => {
    const { status, stdout, stderr } = await lab('--json', '--seconds', '3', '--rate', '100');
    assert.equal(stderr, '');
    const report = JSON.parse(stdout) as LabReport;
    assert.equal(report.problem, null);
    assert.equal(status, 0);
    assert.deepEqual([report.requests, report.ok, report.failed], [300, 300, 0]);
    assert.match(report.dataplane, /engine/);
    const [even, weighted] = report.phases;
    assert.ok(Math.abs(even.perServer.rs1 - even.perServer.rs2) <= 1);
    assert.ok(Math.abs(weighted.perServer.rs1 - 100) <= 1, JSON.stringify(weighted.perServer));
    assert.equal(report.perServer.rs1 + report.perServer.rs2, 300);
    assertNothingLeft();
  });

  test('it prints the ipvsadm commands that it runs, and their listings', async () => {
    const { status, stdout } = await lab('--seconds', '1', '--rate', '50', '--servers', '3');
    assert.equal(status, 0, stdout);
    for (const line of [
      '$ ipvsadm -A -t 10.77.1.100:80 -s wrr',
      '$ ipvsadm -a -t 10.77.1.100:80 -r 10.77.2.13:8080 -m -w 1',
      '$ ipvsadm -e -t 10.77.1.100:80 -r 10.77.2.11:8080 -m -w 2',
      'TCP  10.77.1.100:80 wrr',
      '$ ipvsadm -Ln --stats',
      '$ ipvsadm -Ln --rate',
      'ok: all 50 requests answered',
    ]) {
      assert.ok(stdout.includes(`${line}`), `${line}\n--- in ---\n${stdout}`);
    }
    assertNothingLeft();
  });

  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`${signal} ends it and leaves nothing behind`, async () => {
      const child = startLab('--seconds', '600');
      await printed(child, '$ ipvsadm -A');
      child.kill(signal);
      const [code] = await once(child, 'exit');
      assert.equal(code, status);
      assertNothingLeft();
    });
  }

  test('it leaves nothing behind when nobody reads its output any more', async () => {
    const child = startLab('--seconds', '600');
    await printed(child, '$ ipvsadm -A');
    child.stdout?.destroy();
    await once(child, 'exit');
    assertNothingLeft();
  });

  test('a second lab says that one is running; what a killed lab left is removed by the next', async () => {
    const child = startLab('--seconds', '600');
    await printed(child, '$ ipvsadm -A');
    const second = await lab('--seconds', '1');
    assert.equal(second.status, 1);
    assert.match(second.stderr, new RegExp(`a lab is running already \\(pid ${child.pid}\\)`));
    assert.notDeepEqual(labNamespaces(DEFAULT_PREFIX), [], 'the second one left the first alone');

    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.notDeepEqual(processesIn(labNamespaces(DEFAULT_PREFIX)), [], 'its children live on');
    const next = await lab('--seconds', '1', '--rate', '20');
    assert.equal(next.status, 0, next.stderr);
    assert.match(next.stdout, /removed what an earlier lab left/);
    assertNothingLeft();
  });

  test('--keep leaves it running and says how to enter; --down removes it', async () => {
    const { status, stdout } = await lab('--keep', '--seconds', '1', '--rate', '20');
    assert.equal(status, 0, stdout);
    assert.match(stdout, /nsenter --net=\/run\/netns\/blst-client/);
    assert.notDeepEqual(processesIn(labNamespaces(DEFAULT_PREFIX)), []);
    const listing = /^ {2}(BALLAST_SOCKET=.+ ipvsadm -Ln)$/m.exec(stdout)?.[1] ?? 'exit 9';
    assert.match((await outcome(spawn('sh', ['-c', listing]))).stdout, /TCP {2}10\.77\.1\.100:80 wrr/, listing);
    const down = await lab('--down');
    assert.equal(down.status, 0);
    assert.match(down.stdout, /removed 5 namespaces/);
    assertNothingLeft();
    assert.match((await lab('--down')).stdout, /no lab to remove/);
  });

  test('a plain user is told to use root, and nothing is made', async () => {
    const script = `process.setgid(65534); process.setuid(65534);
      const { runLab } = await import(${JSON.stringify(join(import.meta.dirname, '..', '..', 'src', 'lab', 'lab.js'))});
      process.exitCode = await runLab(['nat']);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    const { status, stdout, stderr } = await outcome(child);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^ballast lab: needs root.*sudo\n$/);
    assertNothingLeft();
  });
});
