// SPDX-License-Identifier: Apache-2.0
// Who gets a lab when several want it. No network is built.

import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { requirements } from '../../test/support/requirements.ts';
import { createNamespace } from '../linux/netns.ts';
import { claimLab, labNamespaces, removeLab } from './claim.ts';

const skip = requirements('root');
const PREFIX = `blstc${process.pid}`;

/** A process that claims the lab, prints how that went, and lives until it is killed. */
function claimant(t: TestContext): ChildProcessByStdio<null, Readable, null> {
  const script = `const { claimLab } = await import(${JSON.stringify(join(import.meta.dirname, 'claim.js'))});
    console.log(await claimLab('${PREFIX}').then(() => 'mine', (error) => error.name + ': ' + error.message));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function said(child: ChildProcessByStdio<null, Readable, null>): Promise<string> {
  const [line] = await once(child.stdout, 'data');
  return String(line).trim();
}

test('of many that start at once over what a dead lab left, one gets it and its namespaces stay', {
  skip,
}, async (t) => {
  t.after(() => removeLab(PREFIX));
  const dead = claimant(t);
  assert.equal(await said(dead), 'mine');
  dead.kill('SIGKILL');
  await once(dead, 'exit');
  createNamespace(`${PREFIX}-client`);

  const many = Array.from({ length: 6 }, () => claimant(t));
  const answers = await Promise.all(many.map(said));
  const winner = many[answers.indexOf('mine')];
  assert.equal(answers.filter((answer) => answer === 'mine').length, 1, answers.join('\n'));
  for (const answer of answers) assert.match(answer, /^(mine|LabError: (a lab is running already|another lab is) .+)$/);
  assert.deepEqual(labNamespaces(PREFIX), [], 'what the dead one left is gone');

  createNamespace(`${PREFIX}-client`);
  await assert.rejects(claimLab(PREFIX), { name: 'LabError', message: new RegExp(`\\(pid ${winner.pid}\\)`) });
  await assert.rejects(removeLab(PREFIX), { name: 'LabError' });
  assert.deepEqual(labNamespaces(PREFIX), [`${PREFIX}-client`]);
  for (const child of many) child.kill('SIGKILL');
  await Promise.all(many.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
});

test('a lab that is removed leaves no file, and its place is free', { skip }, async () => {
  const { folder, removed } = await claimLab(PREFIX);
  assert.equal(removed, undefined);
  assert.equal(existsSync(folder), true);
  assert.match((await removeLab(PREFIX)) ?? '', /^0 namespaces of process \d+$/);
  assert.equal(existsSync(folder), false);
  assert.equal(existsSync(`${folder}.owner`), false);
  assert.equal(await removeLab(PREFIX), undefined);
});
