// SPDX-License-Identifier: Apache-2.0
// mh, as net/netfilter/ipvs/ip_vs_mh.c with its default size: Maglev hashing (Eisenbud et al., NSDI 2016, §3.4). Servers
// take the slots of a table of prime size in turns, each in an order of its own; the client's address (with mh-port its
// port too) chooses the slot. A change moves few clients. Slots go by the last weight that was not 0, so that a server of
// weight 0 keeps its clients away from all, unless mh-fallback looks on. With hashSkipsQuiesced its slots, and no others,
// go to the servers that have a weight, and come back with its own.

import type { Server } from '../service/server.ts';
import { foldAddress } from './address-hash.ts';
import {
  SCHEDULER_FLAG_1,
  SCHEDULER_FLAG_2,
  type ScheduledService,
  type Scheduler,
  type SchedulingRequest,
} from './scheduler.ts';
import { sipHash } from './sip-hash.ts';
import { greatestCommonDivisor } from './weighted-round-robin.ts';

/** Slots, and so the most servers. */
export const MAGLEV_SLOTS = 4093;
/** Weights are cut to so many bits. */
const WEIGHT_BITS = 6;
const OFFSET_KEY = 2654435761;
const SKIP_KEY = 2654446892;
const EMPTY = -1;

export class Maglev implements Scheduler {
  readonly name = 'mh';
  readonly #service: ScheduledService;
  /** Index into {@link #seated} by slot. */
  readonly #slots: Int16Array = new Int16Array(MAGLEV_SLOTS).fill(EMPTY);
  /** The servers when the table was made. */
  #seated: readonly Server[] = [];
  #isStale = true;

  constructor(service: ScheduledService) {
    this.#service = service;
  }

  pick(request: SchedulingRequest): Server | undefined {
    if (this.#isStale) this.#fill(this.#service.servers.slice());
    const { flags } = this.#service;
    const key = foldAddress(request.source) + ((flags & SCHEDULER_FLAG_2) !== 0 ? request.sourcePort : 0);
    const slot = sipHash(key | 0, OFFSET_KEY) % MAGLEV_SLOTS;
    const place = this.#slots[slot];
    if (place === EMPTY) return undefined;
    const server = this.#seated[place];
    if (isAble(server)) return server;
    return (flags & SCHEDULER_FLAG_1) !== 0 ? this.#fallBack(key, slot) : undefined;
  }

  added(): void {
    const { servers } = this.#service;
    if (this.#isStale && servers.length === MAGLEV_SLOTS + 1) this.#fill(servers.slice(1));
    this.#change();
  }

  removed(): void {
    this.#change();
  }

  edited(): void {
    this.#change();
  }

  close(): void {
    this.#leave();
  }

  /**
   * With more servers than slots the table of the last moment before that stays, as in the kernel, and with it the servers
   * that are taken out meanwhile.
   */
  #change(): void {
    this.#isStale = this.#service.servers.length <= MAGLEV_SLOTS;
    if (this.#isStale) this.#leave();
  }

  /** Gives up the servers of the table, which nobody asks until it is made anew. */
  #leave(): void {
    for (const server of this.#seated) server.remembered--;
    this.#seated = [];
  }

  #fallBack(key: number, slot: number): Server | undefined {
    // All slots would be looked at for nobody, 0.6 ms for a packet.
    if (!this.#seated.some(isAble)) return undefined;
    for (let offset = 0; offset < MAGLEV_SLOTS; offset++) {
      const next = sipHash((key + ((offset + slot) % MAGLEV_SLOTS)) | 0, OFFSET_KEY) % MAGLEV_SLOTS;
      const server = this.#seated[this.#slots[next]];
      if (isAble(server)) return server;
    }
    return undefined;
  }

  /** Makes the table, at the first pick after one or several changes: only the servers of that moment enter into it. */
  #fill(servers: readonly Server[]): void {
    this.#isStale = false;
    this.#leave();
    this.#seated = servers;
    for (const server of servers) server.remembered++;
    this.#slots.fill(EMPTY);
    const divisor = servers.reduce((gcd, { lastWeight }) => greatestCommonDivisor(gcd, lastWeight), 0);
    if (divisor === 0) return;
    const heaviest = servers.reduce((most, { lastWeight }) => Math.max(most, lastWeight), 0) / divisor;
    const shift = Math.max(0, 32 - Math.clz32(heaviest) - WEIGHT_BITS);
    const turns = servers.map(({ lastWeight: last }) => (last === 0 ? 0 : Math.max(1, (last / divisor) >>> shift)));
    this.#seat(turns, MAGLEV_SLOTS);
    if (this.#service.hashSkipsQuiesced) this.#handOver(turns);
  }

  /** Gives the slots of servers of weight 0 to the others. */
  #handOver(turns: readonly number[]): void {
    const servers = this.#seated;
    const left = turns.map((turn, i) => (servers[i].weight === 0 ? 0 : turn));
    if (left.every((turn) => turn === 0)) return;
    let free = 0;
    for (let slot = 0; slot < MAGLEV_SLOTS; slot++) {
      if (servers[this.#slots[slot]].weight !== 0) continue;
      this.#slots[slot] = EMPTY;
      free++;
    }
    this.#seat(left, free);
  }

  /** Fills the `free` slots that are empty. */
  #seat(turns: readonly number[], free: number): void {
    // The kernel reads all addresses as its service's are: of an IPv6 server that is tunnelled to, IPv4 services see a word.
    const fold = (server: Server): number =>
      server.service.family === 4 ? server.words[0] : foldAddress(server.words);
    const keys = this.#seated.map((server) => (fold(server) + server.port) | 0);
    const at = Int32Array.from(keys, (key) => sipHash(key, OFFSET_KEY) % MAGLEV_SLOTS);
    const skips = Int32Array.from(keys, (key) => (sipHash(key, SKIP_KEY) % (MAGLEV_SLOTS - 1)) + 1);
    const slots = this.#slots;
    let left = free;
    while (left > 0) {
      for (let i = 0; i < turns.length; i++) {
        for (let turn = 0; turn < turns[i]; turn++) {
          let slot = at[i];
          while (slots[slot] !== EMPTY) slot = (slot + skips[i]) % MAGLEV_SLOTS;
          at[i] = slot;
          slots[slot] = i;
          if (--left === 0) return;
        }
      }
    }
  }
}

function isAble(server: Server): boolean {
  return server.weight > 0 && !server.overloaded;
}
