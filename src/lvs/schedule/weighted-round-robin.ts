// SPDX-License-Identifier: Apache-2.0
// wrr, as net/netfilter/ipvs/ip_vs_wrr.c: rounds over the list with a falling current weight; a round takes the servers
// that weigh at least as much. A change of the list starts a round anew but keeps the current weight where it can, so
// that servers added one by one start in mid-cycle.

import type { Server } from '../service/server.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';

/** Position before the first server. */
const HEAD = -1;
/** No stop element. */
const NOWHERE = -2;

export class WeightedRoundRobin implements Scheduler {
  readonly name = 'wrr';
  readonly #servers: readonly Server[];
  /** Index of the server picked last, or HEAD. */
  #position = HEAD;
  #currentWeight: number;
  /** Of the weights above 0, 0 when there is none: the step of a cycle. */
  #divisor = 0;
  #heaviest = 0;
  #step = 1;
  /** The weight that a cycle starts with. */
  #maxWeight = 0;

  constructor(service: ScheduledService) {
    this.#servers = service.servers;
    this.#measure();
    this.#currentWeight = this.#maxWeight;
  }

  pick(): Server | undefined {
    if (this.#maxWeight === 0) return undefined;
    const servers = this.#servers;
    const last = this.#position;
    let at = last;
    let stop = NOWHERE;
    let lastPass = false;
    let restarted = false;
    let heaviest = -1;
    for (;;) {
      for (at++; at < servers.length; at++) {
        const server = servers[at];
        if (!server.overloaded && server.weight >= this.#currentWeight) {
          this.#position = at;
          return server;
        }
        if (at === stop) {
          this.#position = at;
          return undefined;
        }
      }
      at = HEAD;
      this.#currentWeight -= this.#step;
      if (heaviest === -1) heaviest = this.#heaviestAble();
      this.#currentWeight -= this.#idleRounds(heaviest) * this.#step;
      if (this.#currentWeight <= 0) {
        this.#currentWeight = this.#maxWeight;
        if (lastPass || last === HEAD) {
          this.#position = HEAD;
          return undefined;
        }
        restarted = true;
      }
      lastPass = this.#currentWeight <= this.#step;
      if (lastPass && restarted && last !== HEAD) stop = last;
    }
  }

  added(index: number): void {
    this.#include(this.#servers[index].weight);
    this.#changed();
  }

  removed(): void {
    this.#measure();
    this.#changed();
  }

  edited(): void {
    this.#measure();
    this.#changed();
  }

  /**
   * Rounds from now on in which nobody weighs enough and that are not the last of a cycle, where the walk may stop: the
   * kernel walks them too, in vain, which with weights of two thousand million takes it that long.
   */
  #idleRounds(heaviest: number): number {
    const ahead = this.#currentWeight - Math.max(heaviest, this.#step);
    return ahead <= 0 ? 0 : Math.ceil(ahead / this.#step);
  }

  #heaviestAble(): number {
    let heaviest = 0;
    for (const { overloaded, weight } of this.#servers) if (!overloaded && weight > heaviest) heaviest = weight;
    return heaviest;
  }

  #changed(): void {
    this.#position = HEAD;
    if (this.#currentWeight > this.#maxWeight || this.#currentWeight === 0) {
      this.#currentWeight = this.#maxWeight;
    } else if (this.#step > 1) {
      this.#currentWeight = Math.floor(this.#currentWeight / this.#step) * this.#step + 1;
    }
  }

  #measure(): void {
    this.#divisor = 0;
    this.#heaviest = 0;
    for (const { weight } of this.#servers) this.#include(weight);
  }

  /** One weight more, so that adding many servers does not look at all of them each time. */
  #include(weight: number): void {
    if (weight > 0) this.#divisor = greatestCommonDivisor(this.#divisor, weight);
    if (weight > this.#heaviest) this.#heaviest = weight;
    this.#step = this.#divisor === 0 ? 1 : this.#divisor;
    this.#maxWeight = this.#heaviest - (this.#step - 1);
  }
}

/** 0 divides by everything. */
export function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}
