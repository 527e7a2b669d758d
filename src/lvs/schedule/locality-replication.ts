// SPDX-License-Identifier: Apache-2.0
// lblcr, as net/netfilter/ipvs/ip_vs_lblcr.c: connections to one destination address stay on a set of servers, the least
// loaded of them first; the set grows when that one is overburdened while another is idle, and shrinks with time.

import { TICKS_PER_SECOND } from '../connection/layout.ts';
import type { Server } from '../service/server.ts';
import { exceeds, isOverburdened, leastLoaded, overhead } from './load.ts';
import { LocalityCache, type Remembered } from './locality-cache.ts';
import type { ScheduledService, Scheduler, SchedulingRequest } from './scheduler.ts';

class Homes implements Remembered {
  used: number;
  /** Newest first. */
  readonly servers: Server[] = [];
  /** Tick of the last change. */
  changed = 0;

  constructor(server: Server, now: number) {
    this.used = now;
    this.add(server, now);
  }

  add(server: Server, now: number): void {
    this.servers.unshift(server);
    this.changed = now;
    server.remembered++;
  }

  remove(server: Server, now: number): void {
    this.servers.splice(this.servers.indexOf(server), 1);
    this.changed = now;
    server.remembered--;
  }

  release(): void {
    for (const server of this.servers) server.remembered--;
  }
}

export class LocalityReplication implements Scheduler {
  readonly name = 'lblcr';
  readonly #service: ScheduledService;
  readonly #homes = new LocalityCache<Homes>();

  constructor(service: ScheduledService) {
    this.#service = service;
  }

  pick(request: SchedulingRequest): Server | undefined {
    const { servers } = this.#service;
    const { now } = request;
    const homes = this.#homes.get(request.destination, now);
    if (homes !== undefined) {
      const home = leastLoaded(homes.servers);
      this.#shrink(homes, now);
      if (home !== undefined && !isOverburdened(home, servers)) return home;
    }
    const server = leastLoaded(servers);
    if (server === undefined) return undefined;
    if (homes === undefined) {
      this.#homes.add(request.destination, new Homes(server, now));
    } else if (!homes.servers.includes(server)) {
      homes.add(server, now);
    }
    return server;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}

  close(): void {
    this.#homes.clear();
  }

  tick(now: number): void {
    this.#homes.tick(now, this.#service.sysctls.values.lblcrExpiration);
  }

  /** Takes the most loaded server out of a set that was not changed for long. */
  #shrink(homes: Homes, now: number): void {
    const lasting = this.#service.sysctls.values.lblcrExpiration * TICKS_PER_SECOND;
    if (homes.servers.length < 2 || (now - homes.changed) >>> 0 <= lasting) return;
    const most = mostLoaded(homes.servers);
    if (most !== undefined) homes.remove(most, now);
  }
}

function mostLoaded(servers: readonly Server[]): Server | undefined {
  let most: Server | undefined;
  for (const server of servers) {
    if (server.weight === 0) continue;
    if (most === undefined || exceeds(overhead(server), most.weight, overhead(most), server.weight)) most = server;
  }
  return most;
}
