// SPDX-License-Identifier: Apache-2.0
// sh, as net/netfilter/ipvs/ip_vs_sh.c: the client's address (with sh-port its port too) chooses among 256 buckets, of
// which each server takes as many in a row as it weighs, and at least one. A server that may take no connection leaves its
// clients without one, unless sh-fallback looks on from there.

import type { Server } from '../service/server.ts';
import { foldAddress, hash32 } from './address-hash.ts';
import {
  SCHEDULER_FLAG_1,
  SCHEDULER_FLAG_2,
  type ScheduledService,
  type Scheduler,
  type SchedulingRequest,
} from './scheduler.ts';

const BUCKET_BITS = 8;
const BUCKETS: number = 1 << BUCKET_BITS;

export class SourceHashing implements Scheduler {
  readonly name = 'sh';
  readonly #service: ScheduledService;
  readonly #buckets: (Server | undefined)[] = new Array(BUCKETS).fill(undefined);
  #isStale = true;

  constructor(service: ScheduledService) {
    this.#service = service;
  }

  pick(request: SchedulingRequest): Server | undefined {
    if (this.#isStale) this.#fill();
    const { flags } = this.#service;
    const port = (flags & SCHEDULER_FLAG_2) !== 0 ? request.sourcePort : 0;
    const hash = hash32((foldAddress(request.source) + port) | 0, BUCKET_BITS);
    const server = this.#buckets[hash];
    if (server === undefined || isAble(server)) return server;
    return (flags & SCHEDULER_FLAG_1) !== 0 ? this.#fallBack(hash) : undefined;
  }

  added(): void {
    this.#isStale = true;
  }

  removed(): void {
    this.#isStale = true;
  }

  edited(): void {
    this.#isStale = true;
  }

  #fallBack(hash: number): Server | undefined {
    for (let offset = 0; offset < BUCKETS; offset++) {
      const server = this.#buckets[(((offset + hash) % BUCKETS) + hash) % BUCKETS];
      if (server === undefined || isAble(server)) return server;
    }
    return undefined;
  }

  /** At the first pick after one or several changes. */
  #fill(): void {
    this.#isStale = false;
    const { servers } = this.#service;
    let index = 0;
    let taken = 0;
    for (let i = 0; i < BUCKETS; i++) {
      if (servers.length === 0) {
        this.#buckets[i] = undefined;
        continue;
      }
      const server = servers[index];
      this.#buckets[i] = server;
      if (++taken >= server.weight) {
        index = (index + 1) % servers.length;
        taken = 0;
      }
    }
  }
}

function isAble(server: Server): boolean {
  return server.weight > 0 && !server.overloaded;
}
