// SPDX-License-Identifier: Apache-2.0
// The real programs that labs run: whether they are installed, and which Debian package brings one that is not.

import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { LabError } from './lab-error.ts';

/** Program → Debian package. */
const PACKAGES = {
  curl: 'curl',
  haproxy: 'haproxy',
  ip: 'iproute2',
  ip6tables: 'iptables',
  iptables: 'iptables',
  lftp: 'lftp',
  nginx: 'nginx-light',
  ping: 'iputils-ping',
  'redis-cli': 'redis-tools',
  'redis-server': 'redis-server',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  sshd: 'openssh-server',
  tcpdump: 'tcpdump',
  traceroute: 'traceroute',
  vsftpd: 'vsftpd',
} as const satisfies Record<string, string>;

export type LabProgram = keyof typeof PACKAGES;

/** Where programs are that a user's PATH may lack. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Path of a program. Throws a LabError that names the package when it is not there. */
export function programPath(program: LabProgram): string {
  const path = find(program);
  if (path !== undefined) return path;
  throw new LabError(`this lab needs ${program}: apt-get install ${PACKAGES[program]}`);
}

/** Throws a LabError that names all that is missing. */
export function requirePrograms(programs: readonly LabProgram[]): void {
  const missing = programs.filter((program) => find(program) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PACKAGES[program]))];
  throw new LabError(`this lab needs ${missing.join(', ')}: apt-get install ${packages.join(' ')}`);
}

function find(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
