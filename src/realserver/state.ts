// SPDX-License-Identifier: Apache-2.0
// What `ballast realserver` has done, in a file of its own for each network namespace: under /run, because nothing of it
// survives a reboot. Written whole beside and renamed, so that it is always one or the other; a lock on the folder
// keeps two commands apart.

import { constants, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SysError } from '../linux/errno.ts';
import { openFd } from '../linux/fd.ts';
import { waitForLock } from '../linux/file-lock.ts';
import { namespaceId } from '../linux/netns.ts';
import { SetupError } from './plan.ts';
import type { Done } from './reconcile.ts';
import type { Method, Setup } from './setup.ts';

const STATE_FOLDER = '/run/ballast/realserver';
const VERSION = 1;

export interface State {
  /** What is up, by method. */
  readonly setups: Readonly<Partial<Record<Method, Setup>>>;
  readonly journal: readonly Done[];
}

/** Where the calling thread's namespace has its state. */
export function defaultStateFile(): string {
  return join(STATE_FOLDER, `${namespaceId()}.json`);
}

/** Runs `body`, which must be synchronous, while nobody else works on the folder of `file`. */
export function withState<T>(file: string, body: () => T): T {
  const folder = dirname(file);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw fileError(error, 'mkdir', folder);
  }
  const lock = openFd(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    waitForLock(lock.number, folder);
    return body();
  } finally {
    lock.close();
  }
}

/** What `file` says; nothing is up when there is none. */
export function readState(file: string): State {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { setups: {}, journal: [] };
    throw fileError(error, 'read', file);
  }
  try {
    const { version, setups, journal } = JSON.parse(text) as State & { version: unknown };
    if (version === VERSION && typeof setups === 'object' && Array.isArray(journal)) return { setups, journal };
  } catch {
    // Said below.
  }
  throw new SetupError(`'${file}' is not what this version of Ballast writes: undo by hand what it names, remove it`);
}

/** Writes the state; nothing to remember is no file. */
export function writeState(file: string, { setups, journal }: State): void {
  if (journal.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  const next = `${file}.new`;
  try {
    writeFileSync(next, `${JSON.stringify({ version: VERSION, setups, journal }, undefined, 1)}\n`, { mode: 0o644 });
    renameSync(next, file);
  } catch (error) {
    throw fileError(error, 'write', file);
  }
}

function fileError(error: unknown, syscall: string, path: string): SysError {
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
  const mayNot = code === 'EACCES' || code === 'EPERM';
  return new SysError(syscall, code, `'${path}'`, mayNot ? 'run as root' : undefined);
}
