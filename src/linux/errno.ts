// SPDX-License-Identifier: Apache-2.0
// Failed system calls as errors for people: the call, the errno, what it was about and what to do.

import koffi from 'koffi';

/** Second names of a number that has a better known one on Linux. */
const ALIASES: ReadonlySet<string> = new Set(['EWOULDBLOCK', 'ENOTSUP', 'EDEADLOCK']);

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(koffi.os.errno as Record<string, number>)
    .filter(([name]) => !ALIASES.has(name))
    .map(([name, value]) => [value, name]),
);

/** Name of an errno, `EPERM`, or `errno 133` where koffi has no name for it. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** A system call that failed. The message reads `bpf: EPERM (load program 'xdp'): run as root or grant CAP_BPF`. */
export class SysError extends Error {
  readonly code = 'BALLAST_SYS';
  readonly syscall: string;
  /** Errno as a name: `EPERM`. */
  readonly errno: string;
  readonly context: string;
  readonly remedy: string | undefined;

  constructor(syscall: string, errno: number | string, context: string, remedy?: string) {
    const name = typeof errno === 'string' ? errno : errnoName(errno);
    super(`${syscall}: ${name} (${context})${remedy === undefined ? '' : `: ${remedy}`}`);
    this.name = 'SysError';
    this.syscall = syscall;
    this.errno = name;
    this.context = context;
    this.remedy = remedy;
  }
}

/** The running kernel lacks a feature. Callers fall back or say so once; tests skip with it. */
export class UnsupportedError extends Error {
  readonly code = 'BALLAST_UNSUPPORTED';
  readonly feature: string;

  constructor(feature: string, remedy: string, options?: ErrorOptions) {
    super(`this kernel has no ${feature}: ${remedy}`, options);
    this.name = 'UnsupportedError';
    this.feature = feature;
  }
}
