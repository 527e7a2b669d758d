// SPDX-License-Identifier: Apache-2.0
// rr, as net/netfilter/ipvs/ip_vs_rr.c: the next server after the last one that may take a connection, in turn.

import type { Server } from '../service/server.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class RoundRobin implements Scheduler {
  readonly name = 'rr';
  readonly #servers: readonly Server[];
  /** Index of the server picked last; -1 is the head of the list. */
  #cursor = -1;

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
  }

  pick(): Server | undefined {
    const count = this.#servers.length;
    // From the server behind the cursor once around; a cursor on a server comes up last, the head does not.
    for (let step = 1; step <= count; step++) {
      const index = (this.#cursor + step) % count;
      const server = this.#servers[index];
      if (!server.overloaded && server.weight > 0) {
        this.#cursor = index;
        return server;
      }
    }
    return undefined;
  }

  added(index: number): void {
    if (index <= this.#cursor) this.#cursor++;
  }

  removed(index: number): void {
    if (index <= this.#cursor) this.#cursor--;
  }

  edited(): void {}
}
