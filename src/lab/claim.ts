// SPDX-License-Identifier: Apache-2.0
// One lab at a time: a file under /run/ballast/lab says which process runs the lab of a prefix. Whoever comes next finds
// a living owner (and says so) or a dead one (and removes what it left). Called by lab.ts, tests and benches.

import { linkSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { listNamespaces, removeNamespace } from '../linux/netns.ts';
import { LabError } from './lab-error.ts';
import { endProcessesIn, identify, isAlive, killProcessesIn, type ProcessId } from './processes.ts';

const LAB_FOLDER = '/run/ballast/lab';

export interface Claim {
  readonly prefix: string;
  /** For sockets, logs and the like; removed with the lab. */
  readonly folder: string;
  /** What a dead lab had left behind and is now gone, for a line to the user. */
  readonly removed: string | undefined;
}

/** Takes the prefix for this process, after removing what a dead owner left. Throws a LabError when the owner lives. */
export async function claimLab(prefix: string): Promise<Claim> {
  const removed = await removeLab(prefix);
  const folder = join(LAB_FOLDER, prefix);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const own = identify(process.pid);
  const draft = join(folder, `owner.${process.pid}`);
  writeFileSync(draft, JSON.stringify(own));
  try {
    linkSync(draft, ownerFile(prefix));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new LabError('another lab is starting at this moment: try again');
  } finally {
    rmSync(draft, { force: true });
  }
  return { prefix, folder, removed };
}

/**
 * Removes everything of a lab: its processes, its namespaces with their devices, its files. Says what there was, or
 * undefined. Throws a LabError when the lab belongs to a living process other than this one.
 */
export async function removeLab(prefix: string): Promise<string | undefined> {
  const owner = readOwner(prefix);
  if (owner !== undefined && owner.pid !== process.pid && isAlive(owner)) {
    throw new LabError(`a lab is running already (pid ${owner.pid}): end it with Ctrl-C or 'kill ${owner.pid}' first`);
  }
  const namespaces = labNamespaces(prefix);
  await endProcessesIn(namespaces);
  removeRemains(prefix, namespaces);
  if (namespaces.length === 0 && owner === undefined) return undefined;
  return `${namespaces.length} namespaces${owner === undefined ? '' : ` of process ${owner.pid}`}`;
}

/** {@link removeLab} for a process that is about to exit and can't wait: nothing inside gets to say goodbye. */
export function removeLabAtExit(prefix: string): void {
  const namespaces = labNamespaces(prefix);
  killProcessesIn(namespaces);
  removeRemains(prefix, namespaces);
}

function removeRemains(prefix: string, namespaces: readonly string[]): void {
  for (const name of namespaces) removeNamespace(name);
  rmSync(join(LAB_FOLDER, prefix), { recursive: true, force: true });
  rmSync(ownerFile(prefix), { force: true });
  for (const folder of [LAB_FOLDER, dirname(LAB_FOLDER)]) removeEmpty(folder);
}

/** Namespaces that stand now for `prefix`. */
export function labNamespaces(prefix: string): string[] {
  const pattern = new RegExp(`^${prefix}-(client|director|switch|rs\\d+)$`);
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

function readOwner(prefix: string): ProcessId | undefined {
  try {
    return JSON.parse(readFileSync(ownerFile(prefix), 'utf8')) as ProcessId;
  } catch {
    return undefined;
  }
}
