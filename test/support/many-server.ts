// SPDX-License-Identifier: Apache-2.0
// A TCP echo server in several processes behind one port, since a process may have only so many files: `node many-server.js
// PORT PROCESSES`. Prints `ready`; for each line of input a ManyCounts.

import cluster from 'node:cluster';
import { createServer } from 'node:net';

export interface ManyCounts {
  /** Connections now. */
  readonly open: number;
  /** Different ports that they come from. */
  readonly ports: number;
  readonly sources: readonly string[];
}

interface WorkerCounts {
  readonly ports: readonly number[];
  readonly sources: readonly string[];
}

const [port, processes] = process.argv.slice(2).map(Number);

if (cluster.isPrimary) lead();
else work();

function lead(): void {
  cluster.schedulingPolicy = cluster.SCHED_RR;
  for (let i = 0; i < processes; i++) cluster.fork();
  let ready = 0;
  let counts: WorkerCounts[] = [];
  cluster.on('message', (_worker, message: WorkerCounts | 'ready') => {
    if (message === 'ready') {
      if (++ready === processes) process.stdout.write('ready\n');
      return;
    }
    counts.push(message);
    if (counts.length < processes) return;
    const ports = counts.flatMap((one) => one.ports);
    const sources = [...new Set(counts.flatMap((one) => one.sources))];
    const sum: ManyCounts = { open: ports.length, ports: new Set(ports).size, sources };
    process.stdout.write(`${JSON.stringify(sum)}\n`);
    counts = [];
  });
  process.stdin.on('data', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.send('count');
  });
  process.on('SIGTERM', () => process.exit());
}

function work(): void {
  // As a list, so that two with the same port would show.
  const open = new Map<object, number>();
  const sources = new Set<string>();
  const server = createServer((socket) => {
    open.set(socket, socket.remotePort ?? 0);
    sources.add(socket.remoteAddress ?? '');
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    socket.pipe(socket);
  });
  server.listen({ port, host: '::', backlog: 8192 }, () => process.send?.('ready'));
  process.on('message', () => process.send?.({ ports: [...open.values()], sources: [...sources] }));
  process.on('disconnect', () => process.exit());
}
