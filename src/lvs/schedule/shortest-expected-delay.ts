// SPDX-License-Identifier: Apache-2.0
// sed, as net/netfilter/ipvs/ip_vs_sed.c: the server where one connection more is the least for its weight.

import type { Server } from '../service/server.ts';
import { EXACT, exceeds } from './load.ts';
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
    // So that at first nobody but a server of weight 0 is passed by.
    let load = 1;
    let leastWeight = 0;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      const { active, weight } = server;
      // Most are passed by here, which takes few of their fields.
      const product = (active + 1) * leastWeight;
      if ((load * weight <= product && product <= EXACT) || server.overloaded) continue;
      if (!exceeds(load, weight, active + 1, leastWeight)) continue;
      least = server;
      load = active + 1;
      leastWeight = weight;
    }
    return least;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}
