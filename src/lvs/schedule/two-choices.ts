// SPDX-License-Identifier: Apache-2.0
// twos, as net/netfilter/ipvs/ip_vs_twos.c: of two servers drawn at random, by weight, the less loaded for its weight
// (Mitzenmacher, "The power of two choices"). Draws from sums of the weights, which are made again after a change.

import type { Server } from '../service/server.ts';
import { overhead } from './load.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

export class TwoChoices implements Scheduler {
  readonly name = 'twos';
  readonly #service: ScheduledService;

  /** By place in the list, of the weights of servers that may be drawn up to there. */
  #sums = new Float64Array(0);
  #isStale = true;
  /** The service's count when the sums were made. */
  #overloadChanges = 0;

  constructor(service: ScheduledService) {
    this.#service = service;
  }

  pick(): Server | undefined {
    if (this.#isStale || this.#overloadChanges !== this.#service.overloadChanges) this.#sum();
    const count = this.#sums.length;
    const total = count === 0 ? 0 : this.#sums[count - 1];
    if (total === 0) return undefined;
    const first = this.#draw(total);
    const second = this.#draw(total);
    // The kernel compares these as 32-bit integers.
    const other = Math.imul(second.weight, overhead(first));
    return other > Math.imul(first.weight, overhead(second)) ? second : first;
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

  #sum(): void {
    const { servers, overloadChanges } = this.#service;
    this.#isStale = false;
    this.#overloadChanges = overloadChanges;
    let sum = 0;
    this.#sums = Float64Array.from(servers, ({ overloaded, weight }) => {
      if (!overloaded) sum += weight;
      return sum;
    });
  }

  /** A server by weight; both ends of 0 … total count, so that the first is a little likelier. */
  #draw(total: number): Server {
    const drawn = Math.max(1, Math.floor((this.#service.random() / 2 ** 32) * (total + 1)));
    const sums = this.#sums;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle] < drawn) low = middle + 1;
      else high = middle;
    }
    return this.#service.servers[low];
  }
}
