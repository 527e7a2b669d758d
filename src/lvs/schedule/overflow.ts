// SPDX-License-Identifier: Apache-2.0
// ovf, as net/netfilter/ipvs/ip_vs_ovf.c: the heaviest server that has no more active connections than its weight, and
// so takes one more than that.

import type { Server } from '../service/server.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class Overflow implements Scheduler {
  readonly name = 'ovf';
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
      if (server.overloaded || server.weight <= weight || server.active > server.weight) continue;
      heaviest = server;
      weight = server.weight;
    }
    return heaviest;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}
