// SPDX-License-Identifier: Apache-2.0
// lblc, as net/netfilter/ipvs/ip_vs_lblc.c: connections to one destination address stay on one server, for the sake of its
// cache, until it is overburdened while another is idle; then wlc chooses anew.

import type { Server } from '../service/server.ts';
import { isOverburdened, leastLoaded } from './load.ts';
import { LocalityCache, type Remembered } from './locality-cache.ts';
import type { ScheduledService, Scheduler, SchedulingRequest } from './scheduler.ts';

class Home implements Remembered {
  used: number;
  #server: Server;

  constructor(server: Server, now: number) {
    this.#server = server;
    this.used = now;
    server.remembered++;
  }

  get server(): Server {
    return this.#server;
  }

  set server(server: Server) {
    this.release();
    this.#server = server;
    server.remembered++;
  }

  release(): void {
    this.#server.remembered--;
  }
}

export class Locality implements Scheduler {
  readonly name = 'lblc';
  readonly #service: ScheduledService;
  readonly #homes = new LocalityCache<Home>();

  constructor(service: ScheduledService) {
    this.#service = service;
  }

  pick(request: SchedulingRequest): Server | undefined {
    const { servers } = this.#service;
    const home = this.#homes.get(request.destination, request.now);
    if (home !== undefined) {
      const { server } = home;
      if (server.available && server.weight > 0 && !isOverburdened(server, servers)) return server;
    }
    const server = leastLoaded(servers);
    if (server === undefined) return undefined;
    if (home !== undefined) home.server = server;
    else this.#homes.add(request.destination, new Home(server, request.now));
    return server;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}

  close(): void {
    this.#homes.clear();
  }

  tick(now: number): void {
    this.#homes.tick(now, this.#service.sysctls.values.lblcExpiration);
  }
}
