// SPDX-License-Identifier: Apache-2.0
// `ballast run`: the daemon, in the foreground or as a detached child of which the caller hears whether it started.
// The child reports through the IPC channel that it was given, so that there is nothing to poll; anybody who spawns
// `ballast run --foreground` with one may listen for its `StartReport`.

import { parseRunArgs, RUN_HELP } from './run-options.ts';

/** Runs the command, returns its exit status. */
export async function runDaemon(args: readonly string[]): Promise<number> {
  const options = parseRunArgs(args);
  if (options === 'help') {
    process.stdout.write(RUN_HELP);
    return 0;
  }
  if (options.foreground) {
    const { runForeground } = await import('./run-foreground.ts');
    return await runForeground(options);
  }
  const { runDetached } = await import('./run-detached.ts');
  return await runDetached(options);
}
