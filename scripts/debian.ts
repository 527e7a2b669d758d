// SPDX-License-Identifier: Apache-2.0
// Installs the Debian packages that tests and benches lack. Called by scripts/test.ts and bench/*. As a plain user, or
// on another distribution, it only says what is missing. No service is left running: installed daemons do not start.

import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { findProgram, missingPrograms, type Program, packagesOf } from './packages.ts';

/** invoke-rc.d asks this file before it starts the service of a package; exit 101 forbids it. */
const POLICY_FILE = '/usr/sbin/policy-rc.d';
/** A machine that has just started may be installing updates by itself. */
const LOCK_PATIENCE_SECONDS = 300;

/** Installs what `programs` need, telling `say` each step; returns the programs that are still missing. */
export function installPrograms(programs: readonly Program[], say: (line: string) => void): Program[] {
  const missing = missingPrograms(programs);
  if (missing.length === 0) return [];
  const packages = [...new Set(missing.flatMap((program) => packagesOf(program)))];
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) {
    say(`missing programs: ${missing.join(', ')}; on Debian, root installs them with: ${command}`);
    return missing;
  }
  say(`installing Debian packages: ${packages.join(' ')}`);
  withoutServices(() => {
    if (aptInstall(packages)) return;
    say('the package lists are missing or old: apt-get update');
    apt(['update']);
    if (!aptInstall(packages)) say(`apt-get failed; see above, then try: ${command}`);
  });
  return missingPrograms(programs);
}

function withoutServices(install: () => void): void {
  const ours = !existsSync(POLICY_FILE);
  if (ours) writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    if (ours) rmSync(POLICY_FILE, { force: true });
  }
}

function aptInstall(packages: readonly string[]): boolean {
  return apt(['install', '-y', '--no-install-recommends', ...packages]);
}

/** Runs apt-get; its output is shown only when it fails. */
function apt(args: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-q', '-o', `DPkg::Lock::Timeout=${LOCK_PATIENCE_SECONDS}`];
  const result = spawnSync('apt-get', [...options, ...args], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status !== 0) process.stderr.write(`${result.stdout}${result.stderr}`);
  return result.status === 0;
}
