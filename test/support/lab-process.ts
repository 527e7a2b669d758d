// SPDX-License-Identifier: Apache-2.0
// `ballast lab …` as a user runs it, for the tests of labs.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { labNamespaces } from '../../src/lab/claim.ts';
import { type CommandResult, outcome } from '../../src/lab/director.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';

const BALLAST = join(import.meta.dirname, '..', '..', 'src', 'cli', 'ballast.js');

export function startLab(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [BALLAST, 'lab', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs a lab to its end. */
export function lab(...args: readonly string[]): Promise<CommandResult> {
  return outcome(startLab(...args));
}

/** Resolves when the lab has printed `text`: it stands. Its output is read on, so that it does not end for that. */
export function printed(child: ChildProcess, text: string): Promise<void> {
  let seen = '';
  return new Promise((done, fail) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      seen += String(chunk);
      if (seen.includes(text)) done();
    });
    child.once('exit', () => fail(new Error(`the lab ended without '${text}': ${seen}`)));
  });
}

export function assertNothingLeft(): void {
  assert.deepEqual(labNamespaces(DEFAULT_PREFIX), []);
  assert.equal(existsSync(`/run/ballast/lab/${DEFAULT_PREFIX}`), false);
  assert.equal(existsSync(`/run/ballast/lab/${DEFAULT_PREFIX}.owner`), false);
}
