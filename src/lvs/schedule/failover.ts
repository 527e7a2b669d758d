// SPDX-License-Identifier: Apache-2.0
// fo, as net/netfilter/ipvs/ip_vs_fo.c: the heaviest server that may take connections, all of them.

import type { Server } from '../service/server.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class Failover implements Scheduler {
  readonly name = 'fo';
  readonly #servers: readonly Server[];

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
  }

  pick(): Server | undefined {
    const servers = this.#servers;
    let heaviest: Server | undefined;
    let weight = 0;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      if (server.overloaded || server.weight <= weight) continue;
      heaviest = server;
      weight = server.weight;
    }
    return heaviest;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}
