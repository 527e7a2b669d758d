// SPDX-License-Identifier: Apache-2.0
// The daemon's log: one logfmt line per event (`time=… level=info msg="…" key=value`), written at once to a sink that
// the caller owns. Made by the composition (`ballast run`), handed to everybody as a Logger; knows nothing of them.

import type { LogFields, Logger } from '../dataplane/logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** Least severe level that is written. */
  readonly level: LogLevel;
  /** Takes one line with its newline. */
  readonly write: (line: string) => void;
  /** Now, in milliseconds since the epoch. */
  readonly now?: () => number;
}

/** A logger that writes logfmt lines of `options.level` and above. */
export function createLog(options: LogOptions): Logger {
  const now = options.now ?? Date.now;
  const least = LOG_LEVELS.indexOf(options.level);
  const at = (level: LogLevel) => {
    const enabled = LOG_LEVELS.indexOf(level) >= least;
    return (message: string, fields: LogFields = {}): void => {
      if (enabled) options.write(formatLine(now(), level, message, fields));
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** One logfmt line with its newline; fields that are undefined are left out. */
export function formatLine(timeMs: number, level: LogLevel, message: string, fields: LogFields): string {
  let line = `time=${new Date(timeMs).toISOString()} level=${level} msg=${quote(message)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${name}=${typeof value === 'string' ? quote(value) : value}`;
  }
  return `${line}\n`;
}

/** Bare when the value is one plain word, else a JSON string: no value can break a line or forge a field. */
function quote(value: string): string {
  return /^[\w.:/@+,[\]-]+$/.test(value) ? value : JSON.stringify(value);
}
