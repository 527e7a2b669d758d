// SPDX-License-Identifier: Apache-2.0
// twos, as net/netfilter/ipvs/ip_vs_twos.c: of two servers drawn at random, by weight, the less loaded for its weight
// (Mitzenmacher, "The power of two choices").

import type { Server } from '../service/server.ts';
import { overhead } from './load.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class TwoChoices implements Scheduler {
  readonly name = 'twos';
  readonly #service: ScheduledService;

  constructor(service: ScheduledService) {
    this.#service = service;
  }

  pick(): Server | undefined {
    const { servers } = this.#service;
    let total = 0;
    for (let i = 0; i < servers.length; i++) if (!servers[i].overloaded) total += servers[i].weight;
    if (total === 0) return undefined;
    const first = this.#draw(total);
    const second = this.#draw(total);
    if (first === undefined || second === undefined) return first;
    // The kernel compares these as 32-bit integers.
    const other = Math.imul(second.weight, overhead(first));
    return other > Math.imul(first.weight, overhead(second)) ? second : first;
  }

  added(): void {}

  removed(): void {}

  edited(): void {}

  /** A server by weight; both ends of 0 … total count, so that the first is a little likelier. */
  #draw(total: number): Server | undefined {
    const { servers } = this.#service;
    let left = Math.floor((this.#service.random() / 2 ** 32) * (total + 1));
    for (let i = 0; i < servers.length; i++) {
      const server = servers[i];
      if (server.overloaded || server.weight === 0) continue;
      left -= server.weight;
      if (left <= 0) return server;
    }
    return undefined;
  }
}
