// SPDX-License-Identifier: Apache-2.0
// sed, as net/netfilter/ipvs/ip_vs_sed.c: the server where one connection more is the least for its weight.

import type { Server } from '../service/server.ts';
import { exceeds } from './load.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class ShortestExpectedDelay implements Scheduler {
  readonly name = 'sed';
  readonly #servers: readonly Server[];

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
  }

  pick(): Server | undefined {
    const servers = this.#servers;
    let least: Server | undefined;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      if (server.overloaded) continue;
      if (least === undefined) {
        if (server.weight > 0) least = server;
      } else if (exceeds(least.active + 1, server.weight, server.active + 1, least.weight)) {
        least = server;
      }
    }
    return least;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}
