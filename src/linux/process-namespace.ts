// SPDX-License-Identifier: Apache-2.0
// Starts programs inside a network namespace, without a launcher: Node forks on the calling thread, so a child that is
// spawned while the thread visits the namespace lives there with all its threads. Everything else, mounts included,
// stays the parent's.

import {
  type ChildProcess,
  type SpawnOptions,
  type SpawnSyncOptionsWithStringEncoding,
  type SpawnSyncReturns,
  spawn,
  spawnSync,
} from 'node:child_process';
import { inNamespace } from './netns.ts';

/** Starts a program; the same as `spawn` but for where it runs. A program that cannot start reports it as an `error` event. */
export function spawnInNamespace(
  namespace: string,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  return inNamespace(namespace, () => spawn(command, args, options));
}

/** Runs a program to its end and returns its status and output as text. */
export function runInNamespace(
  namespace: string,
  command: string,
  args: readonly string[],
  options: Omit<SpawnSyncOptionsWithStringEncoding, 'encoding'> = {},
): SpawnSyncReturns<string> {
  return inNamespace(namespace, () => spawnSync(command, args, { ...options, encoding: 'utf8' }));
}
