// SPDX-License-Identifier: Apache-2.0
// `ballast lab persistence` as a user runs it: curl, redis-cli and ssh of one client on one server, and nothing left.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { labNamespaces, removeLab } from '../../src/lab/claim.ts';
import type { Answers, PersistenceReport } from '../../src/lab/persistence.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';
import { processesIn } from '../../src/lab/processes.ts';
import { assertNothingLeft, lab, printed, startLab } from '../support/lab-process.ts';
import { requirements } from '../support/requirements.ts';

const skip = requirements(
  ...(['root', 'xdp', 'program:curl', 'program:iptables', 'program:redis-cli', 'program:redis-server'] as const),
  ...(['program:ssh', 'program:ssh-keygen', 'program:sshd'] as const),
);

const asked = (answers: Answers): string[] => answers.map(([what]) => what);
const servers = (answers: Answers): Set<string> => new Set(answers.map(([, server]) => server));

describe('ballast lab persistence', { skip }, () => {
  const hadSshdFolder = existsSync('/run/sshd');

  after(() => removeLab(DEFAULT_PREFIX));

  test('--json: a client stays on its server by address, by port and by mark, another one is on the other', async () => {
    const { status, stdout, stderr } = await lab('persistence', '--json');
    assert.equal(stderr, '');
    const { problem, pcc, ppc, pfwm } = JSON.parse(stdout) as PersistenceReport;
    assert.equal(problem, null);
    assert.equal(status, 0);
    assert.deepEqual(asked(pcc.client), ['curl :80', 'curl :8080', 'redis-cli', 'ssh', 'curl :80']);
    for (const { client, other } of [pcc, ppc]) {
      assert.equal(servers(client).size, 1);
      assert.equal(servers(other).size, 1);
      assert.deepEqual(new Set([...servers(client), ...servers(other)]), new Set(['rs1', 'rs2']));
    }
    assert.equal(servers(pfwm.client).size, 1);
    assert.deepEqual(servers(pfwm.unmarked), new Set(['rs1', 'rs2']));
    assertNothingLeft();
    assert.equal(existsSync('/run/sshd'), hadSshdFolder);
  });

  test('it prints the commands of the recipe and the templates', async () => {
    const { status, stdout } = await lab('persistence');
    assert.equal(status, 0, stdout);
    for (const line of [
      'director$ ipvsadm -A -t 10.77.1.100:0 -s wrr -p\n',
      'director$ ipvsadm -A -t 10.77.1.100:80 -s wrr -p 360\n',
      'director$ ipvsadm -E -f 7 -s wrr -p 1200\n',
      'director$ ipvsadm -A -t 10.77.1.100:6379 -s wrr\n',
      'client$ redis-cli -h 10.77.1.100 -p 6379 get server\n',
      'director$ ipvsadm -Lcn\n',
      'director$ ipvsadm -Ln --persistent-conn\n',
      'FWM  7 wrr persistent 1200\n',
      'ok: clients stay on their servers',
    ]) {
      assert.ok(stdout.includes(line), `${line}\n--- in ---\n${stdout}`);
    }
    assert.match(stdout, /^TCP 0[56]:\d\d {2}ASSURED {5}10\.77\.1\.2:0 {8}10\.77\.1\.100:0 /m);
    assert.match(stdout, /^IP {2}(19:\d\d|20:00) {2}ASSURED {5}10\.77\.1\.2:0 {8}0\.0\.0\.7:0 /m);
    assertNothingLeft();
  });

  test('Ctrl-C ends it with all its daemons; what a killed one left is removed by --down', async () => {
    const child = startLab('persistence');
    await printed(child, 'director$ ipvsadm -A');
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assertNothingLeft();

    const killed = startLab('persistence');
    await printed(killed, 'director$ ipvsadm -A');
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    assert.notDeepEqual(processesIn(labNamespaces(DEFAULT_PREFIX)), [], 'redis and sshd live on');
    assert.match((await lab('persistence', '--down')).stdout, /^removed 5 namespaces/);
    assertNothingLeft();
    assert.equal(existsSync('/run/sshd'), hadSshdFolder);
  });
});
