// SPDX-License-Identifier: Apache-2.0
// What the tests with real programs share: running a program on a host of the lab, and the TCP counters of a namespace.

import { readFileSync } from 'node:fs';
import { type CommandResult, outcome } from '../../src/lab/director.ts';
import { inNamespace } from '../../src/linux/netns.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';

/** Runs a program in the namespace to its end. */
export function runIn(namespace: string, command: string, ...args: readonly string[]): Promise<CommandResult> {
  return outcome(spawnInNamespace(namespace, command, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** The kernel's TCP counters of the namespace, by the names of /proc/net/snmp. */
export function tcpCounters(namespace: string): Record<string, number> {
  const text = inNamespace(namespace, () => readFileSync('/proc/thread-self/net/snmp', 'utf8'));
  const [names, values] = text.split('\n').filter((line) => line.startsWith('Tcp: '));
  const numbers = values.split(' ');
  return Object.fromEntries(names.split(' ').map((name, i) => [name, Number(numbers[i])]));
}

/** What wrk printed, as numbers. */
export interface WrkResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly socketErrors: number;
  readonly badStatus: number;
}

/** Runs wrk with one thread in the namespace. */
export async function runWrk(
  namespace: string,
  url: string,
  options: { readonly connections: number; readonly seconds: number; readonly headers?: readonly string[] },
): Promise<WrkResult> {
  const headers = (options.headers ?? []).flatMap((header) => ['-H', header]);
  const args = ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, ...headers, url];
  const { status, stdout, stderr } = await runIn(namespace, 'wrk', ...args);
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
    socketErrors: errors.slice(1).reduce((sum, count) => sum + Number(count), 0),
    badStatus: number(/Non-2xx or 3xx responses: (\d+)/),
  };
}
