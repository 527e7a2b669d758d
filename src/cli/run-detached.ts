// SPDX-License-Identifier: Apache-2.0
// `ballast run` without --foreground: starts this program again, detached from the terminal and logging to a file, and
// waits for its word. Prints one line about the daemon that runs, or fails with the daemon's own message.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiDataPlane } from './client.ts';
import { foregroundArgs, RunError, type RunOptions, type StartReport } from './run-options.ts';

const ENTRY = fileURLToPath(new URL('./ballast.js', import.meta.url));

/** Runs the command, returns its exit status; throws a RunError with the daemon's message when it did not start. */
export async function runDetached(options: RunOptions): Promise<number> {
  const isNewLog = !existsSync(options.log);
  const child = spawnDaemon(options);
  const cancel = (): void => void child.kill('SIGTERM');
  process.on('SIGINT', cancel);
  process.on('SIGTERM', cancel);
  const report = await startReport(child, options.log);
  if (report.type === 'failed') {
    if (isNewLog) rmSync(options.log, { force: true });
    throw new RunError(report.message);
  }
  child.unref();
  process.stdout.write(await describeDaemon(options.socket));
  return 0;
}

function spawnDaemon(options: RunOptions): ChildProcess {
  const log = openLog(options.log);
  try {
    return spawn(process.execPath, [...process.execArgv, ENTRY, ...foregroundArgs(options)], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
  } finally {
    closeSync(log);
  }
}

/** What the daemon said; that it ended without a word is a failure. Resolves upon failure when the process is gone. */
async function startReport(child: ChildProcess, log: string): Promise<StartReport> {
  let said: StartReport | undefined;
  child.once('message', (message) => {
    said = message as StartReport;
  });
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`));
    child.once('error', (error) => resolve(error.message));
  });
  // The channel ends when the daemon lets go of it, or dies; every message came before that.
  await new Promise<void>((resolve) => {
    child.once('disconnect', resolve);
    child.once('error', () => resolve());
  });
  if (said?.type === 'ready') return said;
  const how = await ended;
  return said ?? { type: 'failed', message: `the daemon ended with ${how} before it was ready, see ${log}` };
}

async function describeDaemon(socket: string): Promise<string> {
  const client = new ApiDataPlane(socket);
  try {
    const { pid, dataplane } = await client.status();
    return `ballast: running, pid ${pid}, ${dataplane}, socket ${socket}\n`;
  } finally {
    await client.close();
  }
}

function openLog(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    return openSync(path, 'a', 0o640);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const remedy = code === 'EACCES' ? 'run as root' : 'choose another --log';
    throw new RunError(`cannot write the log '${path}' (${code}): ${remedy}`, { cause: error });
  }
}
