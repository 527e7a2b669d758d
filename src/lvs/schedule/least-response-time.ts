// SPDX-License-Identifier: Apache-2.0
// lrt, of our own: the server that answers SYNs fastest for its weight and its active connections: the least
// (response time + 1) × (active + 1) / weight. The response time goes from SYN to SYN-ACK as the director sees them
// (service/response-time.ts), so it takes NAT. A server of which nothing is known comes first.

import type { Server } from '../service/server.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class LeastResponseTime implements Scheduler {
  readonly name = 'lrt';
  readonly #servers: readonly Server[];

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
  }

  pick(): Server | undefined {
    const servers = this.#servers;
    let best: Server | undefined;
    let least = 0;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      if (server.overloaded || server.weight === 0) continue;
      const cost = ((server.response.value + 1) * (server.active + 1)) / server.weight;
      if (best === undefined || cost < least) {
        best = server;
        least = cost;
      }
    }
    return best;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}

  tick(now: number): void {
    for (const server of this.#servers) server.response.tick(now);
  }
}
