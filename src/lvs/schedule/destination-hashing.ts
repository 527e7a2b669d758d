// SPDX-License-Identifier: Apache-2.0
// dh, as net/netfilter/ipvs/ip_vs_dh.c: the packet's destination address chooses among 256 buckets, which the servers fill
// in turn whatever their weights. A server that may take no connection leaves its buckets without one.

import type { Server } from '../service/server.ts';
import { foldAddress, hash32 } from './address-hash.ts';
import type { ScheduledService, Scheduler, SchedulingRequest } from './scheduler.ts';

const BUCKET_BITS = 8;
const BUCKETS: number = 1 << BUCKET_BITS;

export class DestinationHashing implements Scheduler {
  readonly name = 'dh';
  readonly #service: ScheduledService;
  readonly #buckets: (Server | undefined)[] = new Array(BUCKETS).fill(undefined);
  #isStale = true;

  constructor(service: ScheduledService) {
    this.#service = service;
  }

  pick(request: SchedulingRequest): Server | undefined {
    if (this.#isStale) this.#fill();
    const server = this.#buckets[hash32(foldAddress(request.destination), BUCKET_BITS)];
    return server === undefined || server.weight <= 0 || server.overloaded ? undefined : server;
  }

  added(): void {
    this.#isStale = true;
  }

  removed(): void {
    this.#isStale = true;
  }

  edited(): void {}

  /** At the first pick after one or several changes. */
  #fill(): void {
    this.#isStale = false;
    const { servers } = this.#service;
    for (let i = 0; i < BUCKETS; i++) this.#buckets[i] = servers.length === 0 ? undefined : servers[i % servers.length];
  }
}
