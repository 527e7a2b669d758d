// SPDX-License-Identifier: Apache-2.0
// One lab at a time: whoever runs the lab of a prefix has locked a file under /run/ballast/lab and written its pid there.
// The kernel ends the lock with its process, so whoever comes next finds a living owner (and says so) or may take the
// lock and remove what a dead one left. Called by lab.ts, tests and benches.

import {
  appendFileSync,
  constants,
  existsSync,
  ftruncateSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SysError } from '../linux/errno.ts';
import { type Fd, openFd } from '../linux/fd.ts';
import { tryLock } from '../linux/file-lock.ts';
import { listNamespaces, removeNamespace } from '../linux/netns.ts';
import { LabError } from './lab-error.ts';
import { endProcessesIn, killProcessesIn } from './processes.ts';

const LAB_FOLDER = '/run/ballast/lab';
/** In a claim's folder: the paths of folders outside of it that the lab has made. */
const MADE_FILE = 'made';

export interface Claim {
  readonly prefix: string;
  /** For sockets, logs and the like; removed with the lab. */
  readonly folder: string;
  /** What a dead lab had left behind and is now gone, for a line to the user. */
  readonly removed: string | undefined;
}

/** Locks of the labs that belong to this process, by prefix. */
const held = new Map<string, Fd>();

/** Takes the prefix for this process, after removing what a dead owner left. Throws a LabError when the owner lives. */
export async function claimLab(prefix: string): Promise<Claim> {
  const lock = takeLock(prefix);
  try {
    const before = ownerPid(prefix);
    ftruncateSync(lock.number);
    writeSync(lock.number, `${process.pid}\n`, 0);
    const removed = await removeRemains(prefix, before);
    const folder = join(LAB_FOLDER, prefix);
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    held.set(prefix, lock);
    return { prefix, folder, removed };
  } catch (error) {
    lock.close();
    throw error;
  }
}

/**
 * Removes everything of a lab: its processes, its namespaces with their devices, its files. Says what there was, or
 * undefined. Throws a LabError when the lab belongs to a living process other than this one.
 */
export async function removeLab(prefix: string): Promise<string | undefined> {
  const lock = held.get(prefix) ?? takeLock(prefix);
  try {
    const removed = await removeRemains(prefix, ownerPid(prefix));
    removeFiles(prefix);
    return removed;
  } finally {
    held.delete(prefix);
    lock.close();
  }
}

/** {@link removeLab} for a process that is about to exit and can't wait: nothing inside gets to say goodbye. */
export function removeLabAtExit(prefix: string): void {
  const namespaces = labNamespaces(prefix);
  killProcessesIn(namespaces);
  for (const name of namespaces) removeNamespace(name);
  removeFiles(prefix);
}

/** Opens and locks the prefix's file, or throws a LabError that names the living process that has it. */
function takeLock(prefix: string): Fd {
  const path = ownerFile(prefix);
  for (;;) {
    const lock = openOwnerFile(path);
    if (lock === undefined) continue;
    if (!tryLock(lock.number, path)) {
      lock.close();
      throw inUse(prefix);
    }
    // The owner before may have removed the file between our opening and locking it: that lock keeps nobody out.
    if (statSync(path, { throwIfNoEntry: false })?.ino === statSync(`/proc/self/fd/${lock.number}`).ino) return lock;
    lock.close();
  }
}

/** Undefined when somebody who is ending has just removed the folder. */
function openOwnerFile(path: string): Fd | undefined {
  mkdirSync(LAB_FOLDER, { recursive: true, mode: 0o755 });
  try {
    return openFd(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  } catch (error) {
    if (error instanceof SysError && error.errno === 'ENOENT') return undefined;
    throw error;
  }
}

function inUse(prefix: string): LabError {
  const pid = ownerPid(prefix);
  if (pid === '') return new LabError('another lab is starting or ending at this moment: try again');
  return new LabError(`a lab is running already (pid ${pid}): end it with Ctrl-C or 'kill ${pid}' first`);
}

/** Ends the processes and removes the namespaces of a lab whose lock is ours; says what there was, or undefined. */
async function removeRemains(prefix: string, owner: string): Promise<string | undefined> {
  const namespaces = labNamespaces(prefix);
  await endProcessesIn(namespaces);
  for (const name of namespaces) removeNamespace(name);
  removeFolder(prefix);
  if (namespaces.length === 0 && owner === '') return undefined;
  return `${namespaces.length} namespaces${owner === '' ? '' : ` of process ${owner}`}`;
}

function removeFiles(prefix: string): void {
  removeFolder(prefix);
  rmSync(ownerFile(prefix), { force: true });
  for (const folder of [LAB_FOLDER, dirname(LAB_FOLDER)]) removeEmpty(folder);
}

/** Makes a folder outside of the claim's own that goes with the lab, unless it is there already. */
export function makeFolder(claim: Claim, path: string): void {
  if (existsSync(path)) return;
  appendFileSync(join(claim.folder, MADE_FILE), `${path}\n`);
  mkdirSync(path, { mode: 0o755 });
}

/** Removes the folders of {@link makeFolder} and the claim's own. */
function removeFolder(prefix: string): void {
  const folder = join(LAB_FOLDER, prefix);
  const list = join(folder, MADE_FILE);
  const made = existsSync(list) ? readFileSync(list, 'utf8').split('\n') : [];
  for (const path of made) if (path !== '') removeEmpty(path);
  rmSync(folder, { recursive: true, force: true });
}

/** Namespaces that stand now for `prefix`. */
export function labNamespaces(prefix: string): string[] {
  const pattern = new RegExp(`^${prefix}-(client|director|router|gateway|switch|rs\\d+)$`);
  return listNamespaces().filter((name) => pattern.test(name));
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Somebody else's files are in it, or it is gone already.
  }
}

function ownerFile(prefix: string): string {
  return join(LAB_FOLDER, `${prefix}.owner`);
}

/** What the last owner wrote; empty when there is none, or it has not come to that yet. */
function ownerPid(prefix: string): string {
  try {
    return readFileSync(ownerFile(prefix), 'latin1').trim();
  } catch {
    return '';
  }
}
