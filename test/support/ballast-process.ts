// SPDX-License-Identifier: Apache-2.0
// Runs the built program as users do, as a child process with an end, and gives back what it said.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { inNamespace } from '../../src/linux/netns.ts';

export const BALLAST: string = fileURLToPath(new URL('../../src/cli/ballast.js', import.meta.url));

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Program to run in place of `ballast`, for links and other entries. */
  readonly entry?: string;
  readonly uid?: number;
  /** Network namespace to run in; the caller's own without. */
  readonly namespace?: string;
}

/** Runs `ballast` with `args` to its end. */
export async function ballast(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const start = (): ChildProcessByStdio<null, Readable, Readable> =>
    spawn(process.execPath, [options.entry ?? BALLAST, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      timeout: 60_000,
      ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
    });
  const child = options.namespace === undefined ? start() : inNamespace(options.namespace, start);
  const ended = new Promise<Pick<Outcome, 'status' | 'signal'>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status, signal }));
  });
  const [end, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { ...end, stdout, stderr };
}
