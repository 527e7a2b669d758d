// SPDX-License-Identifier: Apache-2.0
// lc, as net/netfilter/ipvs/ip_vs_lc.c: the least loaded server; of weights only 0 matters.

import type { Server } from '../service/server.ts';
import { overhead } from './load.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class LeastConnection implements Scheduler {
  readonly name = 'lc';
  readonly #servers: readonly Server[];

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
  }

  pick(): Server | undefined {
    const servers = this.#servers;
    let least: Server | undefined;
    let load = Number.MAX_SAFE_INTEGER;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      const own = overhead(server);
      if (own >= load || server.overloaded || server.weight === 0) continue;
      least = server;
      load = own;
    }
    return least;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}
