// SPDX-License-Identifier: Apache-2.0
// Processes of a lab: finding those that live in its namespaces, and ending them. A namespace that a lab made holds
// nothing but the lab, so whatever runs inside belongs to it, even after the lab itself has died.

import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { namespaceExists, namespacePath } from '../linux/netns.ts';

/** After SIGTERM a process has so long before SIGKILL. */
const GRACE_MS = 3_000;
const KILL_MS = 2_000;
const LOOK_MS = 15;

/** A process by number and start time, so that a reused number is not taken for it. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks after boot, field 22 of /proc/PID/stat. */
  readonly startTicks: string;
}

/** The process `pid` as it is now, or undefined when there is none (or only its corpse). */
export function identify(pid: number): ProcessId | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : { pid, startTicks: fields[19] };
  } catch {
    return undefined;
  }
}

export function isAlive(process: ProcessId): boolean {
  return identify(process.pid)?.startTicks === process.startTicks;
}

/** Processes whose network namespace is one of `namespaces`, without this one. */
export function processesIn(namespaces: readonly string[]): ProcessId[] {
  const links = new Set(namespaces.filter(namespaceExists).map((name) => `net:[${statSync(namespacePath(name)).ino}]`));
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid && links.has(namespaceOf(entry)))
    .map((entry) => identify(Number(entry)))
    .filter((found) => found !== undefined);
}

/** Ends every process in `namespaces`, and returns when they are gone. */
export async function endProcessesIn(namespaces: readonly string[]): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGTERM', GRACE_MS],
    ['SIGKILL', KILL_MS],
  ] as const) {
    const processes = processesIn(namespaces);
    for (const found of processes) signalProcess(found, signal);
    const deadline = performance.now() + patienceMs;
    while (processes.some(isAlive) && performance.now() < deadline) await delay(LOOK_MS);
  }
}

/** Kills every process in `namespaces` and does not wait. */
export function killProcessesIn(namespaces: readonly string[]): void {
  for (const found of processesIn(namespaces)) signalProcess(found, 'SIGKILL');
}

/** Ends a child of this process and waits for it. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((done) => child.once('exit', () => done()));
  const killer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  child.kill('SIGTERM');
  await gone;
  clearTimeout(killer);
}

function signalProcess(target: ProcessId, signal: NodeJS.Signals): void {
  try {
    if (isAlive(target)) process.kill(target.pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

function namespaceOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return '';
  }
}
