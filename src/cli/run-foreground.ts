// SPDX-License-Identifier: Apache-2.0
// The daemon in this process: opens the engine, restores the rules, serves the API until SIGTERM or SIGINT, and leaves
// nothing behind. Called by `ballast run --foreground`, also as the child of `ballast run`.

import { once } from 'node:events';
import { Daemon } from '../daemon/daemon.ts';
import { createLog } from '../daemon/log.ts';
import type { DataPlane } from '../dataplane/dataplane.ts';
import type { Logger } from '../dataplane/logger.ts';
import { type RulesFile, RunError, type RunOptions, type StartReport } from './run-options.ts';

/** Runs the daemon to its end, returns the exit status. */
export async function runForeground(options: RunOptions): Promise<number> {
  const log = createLog({ level: options.logLevel, write: (line) => process.stderr.write(line) });
  const failure = new AbortController();
  const fail = (error: Error): void => {
    log.error('data plane failed', { error: error.stack ?? error.message });
    failure.abort();
  };
  const stop = AbortSignal.any([stopSignal(log), failure.signal]);
  let daemon: Daemon;
  try {
    daemon = await Daemon.start({ socket: options.socket }, { open: () => openDataPlane(options, log, fail), log });
  } catch (error) {
    await report({ type: 'failed', message: (error as Error).message });
    throw error;
  }
  if (stop.aborted) await report({ type: 'failed', message: 'stopped before it was ready' });
  else await report({ type: 'ready' });
  if (!stop.aborted) await once(stop, 'abort');
  await daemon.close();
  return failure.signal.aborted ? 1 : 0;
}

async function openDataPlane(options: RunOptions, log: Logger, onFailure: (error: Error) => void): Promise<DataPlane> {
  const { openEngine } = await import('../dataplane/engine/engine-dataplane.ts');
  const { interfaces, maxConnections } = options;
  const dataplane = await openEngine({
    interfaces,
    ...(maxConnections !== undefined && { maxConnections }),
    log,
    onFailure,
  });
  try {
    if (options.rules !== undefined) await restore(options.rules, dataplane, log);
    return dataplane;
  } catch (error) {
    await dataplane.close();
    throw error;
  }
}

/** Applies an `ipvsadm -S` file; a rule that is refused fails the start, with ipvsadm's own words. */
async function restore(rules: RulesFile, dataplane: DataPlane, log: Logger): Promise<void> {
  const { runIpvsadm } = await import('./ipvsadm/run.ts');
  let complaint = '';
  const io = {
    stdin: [rules.text],
    stdout: (): void => {},
    stderr: (text: string): void => {
      complaint += text;
    },
  };
  const status = await runIpvsadm(['-R'], io, dataplane);
  // As the original, -R goes on after a rule that is refused and reports success: what it says is what tells.
  if (status !== 0 || complaint !== '')
    throw new RunError(`rules '${rules.path}': ${complaint.trim().replaceAll('\n', '; ')}`);
  log.info('rules restored', { path: rules.path });
}

/** Aborted by the first SIGTERM or SIGINT; a second one ends the process at once. */
function stopSignal(log: Logger): AbortSignal {
  const controller = new AbortController();
  const onSignal = (signal: string): void => {
    if (controller.signal.aborted) process.exit(1);
    log.info('stopping', { signal });
    controller.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return controller.signal;
}

/** Tells the process that started this one, if it listens, and lets go of it. */
function report(message: StartReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(message, undefined, undefined, () => {
      if (process.connected) process.disconnect();
      resolve();
    });
  });
}
