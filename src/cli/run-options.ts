// SPDX-License-Identifier: Apache-2.0
// Options of `ballast run`: they are checked, and the rules file is read, before anything is touched. Also what the
// ways of running share: their error, and the word that a daemon gives to the process that started it.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { LogLevel } from '../daemon/log.ts';
import { DEFAULT_SOCKET, socketPath } from '../daemon/protocol.ts';
import { MAX_CONNECTIONS } from '../lvs/connection/layout.ts';
import { UsageError } from './usage-error.ts';

export const RUN_HELP = `usage: ballast run [OPTIONS]

Starts the load balancer as a daemon, and returns when it is ready.

  --interface DEV      serve this device; repeat for more (default: all that are up and have an address)
  --foreground         stay in this terminal, log to stderr, end with SIGTERM or SIGINT
  --rules FILE         begin with the services of this file, written by 'ipvsadm -S -n'
  --max-connections N  most connections that are remembered
  --socket PATH        socket of the API (default BALLAST_SOCKET or ${DEFAULT_SOCKET})
  --log FILE           log of the daemon (default: beside the socket, ending in .log)
  --log-level LEVEL    debug, info, warn or error (default info)
`;

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[];

/** What `ballast run` was asked for; paths are absolute. */
export interface RunOptions {
  readonly interfaces: readonly string[];
  readonly foreground: boolean;
  readonly socket: string;
  readonly maxConnections: number | undefined;
  readonly rules: RulesFile | undefined;
  readonly log: string;
  readonly logLevel: LogLevel;
}

export interface RulesFile {
  readonly path: string;
  readonly text: string;
}

/** What a daemon tells, once, the process that spawned it with an IPC channel. */
export type StartReport = { readonly type: 'ready' } | { readonly type: 'failed'; readonly message: string };

/** What keeps the daemon from starting; printed as one line. */
export class RunError extends Error {
  readonly code = 'BALLAST_RUN';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RunError';
  }
}

/** The options that `args` ask for; throws what names the wrong one. Reads the rules file. */
export function parseRunArgs(args: readonly string[]): RunOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      interface: { type: 'string', multiple: true },
      foreground: { type: 'boolean' },
      socket: { type: 'string' },
      'max-connections': { type: 'string' },
      rules: { type: 'string' },
      log: { type: 'string' },
      'log-level': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) return 'help';
  const socket = resolve(values.socket ?? socketPath(process.env));
  const logLevel = values['log-level'] ?? 'info';
  if (!LEVELS.includes(logLevel)) throw new UsageError(`--log-level '${logLevel}' is none of ${LEVELS.join(', ')}`);
  return {
    interfaces: [...new Set(values.interface)],
    foreground: values.foreground === true,
    socket,
    maxConnections: parseMaxConnections(values['max-connections']),
    rules: values.rules === undefined ? undefined : readRules(resolve(values.rules)),
    log: values.log === undefined ? socket.replace(/(\.sock)?$/, '.log') : resolve(values.log),
    logLevel: logLevel as LogLevel,
  };
}

/** The command line that asks for `options` in the foreground. */
export function foregroundArgs(options: RunOptions): string[] {
  const args = ['run', '--foreground', '--socket', options.socket, '--log-level', options.logLevel];
  for (const name of options.interfaces) args.push('--interface', name);
  if (options.maxConnections !== undefined) args.push('--max-connections', String(options.maxConnections));
  if (options.rules !== undefined) args.push('--rules', options.rules.path);
  return args;
}

function parseMaxConnections(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 0;
  if (count > 0 && count <= MAX_CONNECTIONS) return count;
  throw new UsageError(`--max-connections '${text}' is not a number from 1 to ${MAX_CONNECTIONS}`);
}

function readRules(path: string): RulesFile {
  try {
    return { path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new RunError(`cannot read the rules '${path}' (${code})`, { cause: error });
  }
}
