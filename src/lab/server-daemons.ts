// SPDX-License-Identifier: Apache-2.0
// Real daemons on the real servers of a lab: redis and sshd, each of which says on which server it runs. They live in the
// servers' namespaces and end with them; their files are in the lab's folder.

import { type ChildProcess, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runInNamespace, spawnInNamespace } from '../linux/process-namespace.ts';
import { type Claim, makeFolder } from './claim.ts';
import { LabError } from './lab-error.ts';
import type { HostPlan } from './plan.ts';
import { programPath } from './programs.ts';
import type { NatLab } from './session.ts';

export const REDIS_PORT = 6379;
export const SSH_PORT = 22;
/** Key under which each redis holds its server's name. */
export const REDIS_KEY = 'server';

const PATIENCE_MS = 10_000;
const LOOK_MS = 50;
/** Where sshd locks up the part of it that speaks to strangers; its package leaves the folder to the service manager. */
const SSHD_FOLDER = '/run/sshd';

/** Starts redis on each server and gives it its server's name. */
export async function startRedis(lab: NatLab): Promise<void> {
  for (const server of lab.plan.servers) {
    const folder = join(lab.claim.folder, `${server.name}-redis`);
    mkdirSync(folder);
    const options = ['--port', String(REDIS_PORT), '--bind', '*', '--protected-mode', 'no', '--dir', folder];
    startDaemon(lab.claim, server, programPath('redis-server'), 'redis', [
      ...options,
      '--save',
      '',
      '--appendonly',
      'no',
    ]);
  }
  await Promise.all(
    lab.plan.servers.map((server) =>
      eventually(`redis on ${server.name}`, () => {
        const args = ['-p', String(REDIS_PORT), 'set', REDIS_KEY, server.name];
        return runInNamespace(server.namespace, programPath('redis-cli'), args).stdout.trim() === 'OK';
      }),
    ),
  );
}

/** Starts sshd on each server; whoever logs in hears its server's name. Returns the client's configuration file. */
export async function startSshd(lab: NatLab): Promise<string> {
  const { claim, plan } = lab;
  makeFolder(claim, SSHD_FOLDER);
  const key = makeKey(claim, 'client-key');
  for (const server of plan.servers) {
    const hostKey = makeKey(claim, `${server.name}-host-key`);
    const config = join(claim.folder, `${server.name}-sshd.conf`);
    const lines = [
      `Port ${SSH_PORT}`,
      `HostKey ${hostKey}`,
      'PidFile none',
      'UsePAM no',
      'StrictModes no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      `AuthorizedKeysFile ${key}.pub`,
      `ForceCommand echo ${server.name}`,
    ];
    writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 });
    startDaemon(claim, server, programPath('sshd'), 'sshd', ['-D', '-e', '-f', config]);
  }
  const config = join(claim.folder, 'ssh.conf');
  const lines = ['User root', `IdentityFile ${key}`, 'StrictHostKeyChecking no', 'UserKnownHostsFile /dev/null'];
  writeFileSync(config, `${[...lines, 'LogLevel ERROR', 'ConnectTimeout 5', 'BatchMode yes'].join('\n')}\n`);
  await Promise.all(
    plan.servers.map((server) =>
      eventually(`sshd on ${server.name}`, () => {
        const args = ['-F', config, '-p', String(SSH_PORT), '127.0.0.1'];
        return runInNamespace(server.namespace, programPath('ssh'), args).stdout.trim() === server.name;
      }),
    ),
  );
  return config;
}

/** Starts a daemon on a server; its output goes to a log in the lab's folder. */
export function startDaemon(
  claim: Claim,
  server: HostPlan,
  program: string,
  name: string,
  args: readonly string[],
): ChildProcess {
  const log = openSync(join(claim.folder, `${server.name}-${name}.log`), 'w');
  try {
    const child = spawnInNamespace(server.namespace, program, args, { detached: true, stdio: ['ignore', log, log] });
    // Whether it runs shows when it is asked.
    child.on('error', () => {});
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

function makeKey(claim: Claim, name: string): string {
  const path = join(claim.folder, name);
  const made = spawnSync(programPath('ssh-keygen'), ['-q', '-t', 'ed25519', '-N', '', '-f', path], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new LabError(`ssh-keygen: ${made.stderr.trim()}`);
  return path;
}

/** Waits until `look` says yes. */
export async function eventually(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!look()) {
    if (performance.now() > deadline) throw new LabError(`${what} does not answer`);
    await delay(LOOK_MS);
  }
}
