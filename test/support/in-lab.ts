// SPDX-License-Identifier: Apache-2.0
// What the tests with real programs share: running a program on a host of the lab, and the TCP counters of a namespace.

import { readFileSync } from 'node:fs';
import { type CommandResult, outcome } from '../../src/lab/director.ts';
import { inNamespace } from '../../src/linux/netns.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';

/** States of /proc/net/tcp (include/net/tcp_states.h). */
const TCP_TIME_WAIT = '06';
const TCP_LISTEN = '0A';

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

/** Whether the namespace has a TCP socket that is neither listening nor in TIME_WAIT. */
export function hasOpenTcp(namespace: string): boolean {
  const read = (file: string): string =>
    inNamespace(namespace, () => readFileSync(`/proc/thread-self/net/${file}`, 'utf8'));
  const states = ['tcp', 'tcp6'].flatMap((file) =>
    read(file)
      .split('\n')
      .slice(1)
      .filter((line) => line !== '')
      .map((line) => line.trim().split(/\s+/)[3]),
  );
  return states.some((state) => state !== TCP_LISTEN && state !== TCP_TIME_WAIT);
}
