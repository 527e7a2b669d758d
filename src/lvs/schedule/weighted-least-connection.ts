// SPDX-License-Identifier: Apache-2.0
// wlc, as net/netfilter/ipvs/ip_vs_wlc.c: the least loaded server for its weight. The default of ipvsadm.

import type { Server } from '../service/server.ts';
import { leastLoaded } from './load.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class WeightedLeastConnection implements Scheduler {
  readonly name = 'wlc';
  readonly #servers: readonly Server[];

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
  }

  pick(): Server | undefined {
    return leastLoaded(this.#servers);
  }

  added(): void {}

  removed(): void {}

  edited(): void {}
}
