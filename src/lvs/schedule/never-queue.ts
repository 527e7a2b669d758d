// SPDX-License-Identifier: Apache-2.0
// nq, as net/netfilter/ipvs/ip_vs_nq.c: a server without active connections, whatever its weight; else as sed.

import type { Server } from '../service/server.ts';
import { EXACT, exceeds } from './load.ts';
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
    let load = 1;
    let leastWeight = 0;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      const { active, weight } = server;
      const product = (active + 1) * leastWeight;
      // Most are passed by here, which takes few of their fields.
      if (active > 0 && load * weight <= product && product <= EXACT) continue;
      if (weight === 0 || server.overloaded) continue;
      if (active === 0) return server;
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
