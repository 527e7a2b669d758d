// SPDX-License-Identifier: Apache-2.0
// The one table of the programs that tests and benchmarks run but do not bring along, and the Debian packages that
// hold them. Read by the installer, the test script, the benches and test/support/requirements.ts.

import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Program → Debian packages that make it work. */
const PACKAGES = {
  clang: ['clang'],
  curl: ['curl'],
  ethtool: ['ethtool'],
  gcc: ['gcc', 'libc6-dev'],
  haproxy: ['haproxy'],
  ip: ['iproute2'],
  ipvsadm: ['ipvsadm'],
  nft: ['nftables'],
  nginx: ['nginx-light'],
  tshark: ['tshark'],
  wrk: ['wrk'],
} as const satisfies Record<string, readonly string[]>;

export type Program = keyof typeof PACKAGES;

/** What `npm test` uses. A test that requires a program outside this list is refused. */
export const TEST_PROGRAMS: readonly Program[] = ['clang', 'curl', 'ethtool', 'gcc', 'ip', 'ipvsadm', 'wrk'];

/** What `npm run bench -- http` uses. */
export const BENCH_PROGRAMS: readonly Program[] = ['haproxy', 'nft', 'nginx', 'wrk'];

/** A plain user's PATH lacks the folders of system programs. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Path of an installed program, or undefined. */
export function findProgram(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

/** Debian packages of `program`. */
export function packagesOf(program: Program): readonly string[] {
  return PACKAGES[program];
}

/** Those of `programs` that are not installed. */
export function missingPrograms(programs: readonly Program[]): Program[] {
  return programs.filter((program) => findProgram(program) === undefined);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
