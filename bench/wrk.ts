// SPDX-License-Identifier: Apache-2.0
// Runs the load generator wrk and reads what it prints. Used by the HTTP bench and by tests.

import { type CommandResult, outcome } from '../src/lab/director.ts';
import { spawnInNamespace } from '../src/linux/process-namespace.ts';

export interface WrkOptions {
  readonly connections: number;
  readonly seconds: number;
  readonly headers?: readonly string[];
}

export interface WrkResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly socketErrors: number;
  readonly badStatus: number;
}

/** Runs wrk with one thread in the namespace. */
export async function runWrk(namespace: string, url: string, options: WrkOptions): Promise<WrkResult> {
  const headers = (options.headers ?? []).flatMap((header) => ['-H', header]);
  const args = ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--latency', ...headers, url];
  const child = spawnInNamespace(namespace, 'wrk', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const { status, stdout, stderr }: CommandResult = await outcome(child);
  if (status !== 0) throw new Error(`wrk ended with status ${status}: ${stderr}${stdout}`);
  return parseWrk(stdout);
}

/** wrk prints the lines about errors only when there were some. */
export function parseWrk(text: string): WrkResult {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? [];
  return {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(/50%\s+([\d.]+)(us|ms|s)/.exec(text)),
    p99Ms: milliseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(text)),
    socketErrors: errors.slice(1).reduce((sum, count) => sum + Number(count), 0),
    badStatus: number(/Non-2xx or 3xx responses: (\d+)/),
  };
}

function milliseconds(found: RegExpExecArray | null): number {
  if (found === null) return Number.NaN;
  const factor = { us: 0.001, ms: 1, s: 1000 }[found[2]] ?? Number.NaN;
  return Number(found[1]) * factor;
}
