// SPDX-License-Identifier: Apache-2.0
// nq, as net/netfilter/ipvs/ip_vs_nq.c: a server without active connections, whatever its weight; else as sed.

import type { Server } from '../service/server.ts';
import { exceeds } from './load.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class NeverQueue implements Scheduler {
  readonly name = 'nq';
  readonly #servers: readonly Server[];

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
  }

  pick(): Server | undefined {
    const servers = this.#servers;
    let least: Server | undefined;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      if (server.overloaded || server.weight === 0) continue;
      if (server.active === 0) return server;
      if (least === undefined || exceeds(least.active + 1, server.weight, server.active + 1, least.weight)) {
        least = server;
      }
    }
    return least;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}
