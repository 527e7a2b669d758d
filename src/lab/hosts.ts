// SPDX-License-Identifier: Apache-2.0
// The hosts of a lab as processes: real servers and the client. They are Node scripts of ours that run inside their
// namespaces; whoever starts them ends them with endChild, or by ending everything in the namespace.

import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { spawnInNamespace } from '../linux/process-namespace.ts';
import type { ClientMessage, PhaseOrder } from './client-protocol.ts';
import { LabError } from './lab-error.ts';
import type { LabPlan } from './plan.ts';
import { endChild } from './processes.ts';
import type { Tally } from './tally.ts';

/** Starts an HTTP and UDP server for each port on each real server and waits until all listen. Logs go to `folder`. */
export async function startServers(
  plan: LabPlan,
  folder: string,
  ports: readonly number[] = [plan.serverPort],
): Promise<ChildProcess[]> {
  const children = plan.servers.map((server) => {
    const args = [join(import.meta.dirname, 'server-process.js'), server.name, ...ports.map(String)];
    const log = openSync(join(folder, `${server.name}.log`), 'w');
    try {
      return spawnInNamespace(server.namespace, process.execPath, args, {
        detached: true,
        stdio: ['ignore', 'pipe', log],
      });
    } finally {
      closeSync(log);
    }
  });
  await Promise.all(children.map((child, i) => firstOutput(child, `server ${plan.servers[i].name}`)));
  return children;
}

/** Resolves at the child's first output, which says that it is ready; then lets go of its output. */
export function firstOutput(child: ChildProcess, name: string): Promise<void> {
  return new Promise((done, fail) => {
    child.once('error', (error) => fail(new LabError(`${name} does not start: ${error.message}`, { cause: error })));
    child.once('exit', (status, signal) => fail(new LabError(`${name} ended with ${signal ?? `status ${status}`}`)));
    child.stdout?.once('data', () => {
      child.removeAllListeners('exit');
      child.stdout?.destroy();
      child.unref();
      done();
    });
  });
}

/** The client process of a lab; one phase at a time. */
export class LabClient {
  readonly #child: ChildProcess;

  constructor(plan: LabPlan) {
    const script = join(import.meta.dirname, 'client-process.js');
    this.#child = spawnInNamespace(plan.client.namespace, process.execPath, [script], {
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  /** Makes the requests of one phase and resolves with their counts when none is open any more. */
  runPhase(order: PhaseOrder, onProgress: (tally: Tally) => void): Promise<Tally> {
    const child = this.#child;
    return new Promise((done, fail) => {
      const finish = (settle: () => void): void => {
        child.off('message', onMessage);
        child.off('exit', onExit);
        child.off('error', fail);
        settle();
      };
      const onExit = (): void => finish(() => fail(new LabError('the client process ended')));
      const onMessage = (message: ClientMessage): void => {
        onProgress(message.tally);
        if (message.type === 'done') finish(() => done(message.tally));
      };
      child.on('message', onMessage);
      child.once('exit', onExit);
      child.once('error', fail);
      child.send(order);
    });
  }

  close(): Promise<void> {
    return endChild(this.#child);
  }
}
