// SPDX-License-Identifier: Apache-2.0
// A virtual service as the director keeps it: its real servers, newest first as in the kernel, and their scheduler.

import { type AddressWords, addressFamily, addressWords, type Family } from '../../packet/address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';
import type { Protocol, ServerKey, ServiceKey, ServiceOptions, ServiceSnapshot } from '../model.ts';
import { createScheduler, type Scheduler } from '../schedule/scheduler.ts';
import type { Server } from './server.ts';
import { addCounters, newCounters, Traffic } from './traffic.ts';

/** A service key with an address; the director has no firewall marks yet. */
export type AddressKey = Extract<ServiceKey, { kind: 'address' }>;

export class Service {
  readonly key: AddressKey;
  readonly family: Family;
  /** IP protocol number. */
  readonly protocol: number;
  readonly words: AddressWords;
  readonly port: number;
  /** Newest first. */
  readonly servers: Server[] = [];
  readonly #traffic = new Traffic();
  /** What servers that were taken out had counted. */
  readonly #retired = newCounters();
  #options: ServiceOptions;
  #scheduler: Scheduler;

  /** @throws TypeError for a scheduler that does not exist; callers have checked it. */
  constructor(key: AddressKey, options: ServiceOptions) {
    this.key = key;
    this.family = addressFamily(key.address);
    this.protocol = protocolNumber(key.protocol);
    this.words = addressWords(key.address);
    this.port = key.port;
    this.#options = options;
    this.#scheduler = this.#newScheduler(options.scheduler);
  }

  /** Takes new options; another scheduler starts from the beginning, the same one goes on. */
  edit(options: ServiceOptions): void {
    if (options.scheduler !== this.#options.scheduler) this.#scheduler = this.#newScheduler(options.scheduler);
    this.#options = options;
  }

  /** The server of the next connection. */
  schedule(): Server | undefined {
    return this.#scheduler.pick();
  }

  find(key: ServerKey): Server | undefined {
    return this.servers.find((server) => server.port === key.port && server.key.address === key.address);
  }

  add(server: Server): void {
    this.servers.unshift(server);
    addCounters(this.#retired, server.counters, -1);
    this.#scheduler.added(0);
  }

  remove(server: Server): void {
    const index = this.servers.indexOf(server);
    this.servers.splice(index, 1);
    addCounters(this.#retired, server.counters);
    this.#scheduler.removed(index);
  }

  /** Tells the scheduler that a server's options changed. */
  serverEdited(): void {
    this.#scheduler.edited();
  }

  /** Sum over the servers of now and of the past. */
  counters(): Float64Array {
    const sum = Float64Array.from(this.#retired);
    for (const server of this.servers) addCounters(sum, server.counters);
    return sum;
  }

  zero(): void {
    for (const server of this.servers) server.traffic.zero(server.counters);
    this.#traffic.zero(this.counters());
  }

  /** One step of the rate estimators; returns the service's counters. */
  estimate(): Float64Array {
    for (const server of this.servers) server.traffic.estimate(server.counters);
    const counters = this.counters();
    this.#traffic.estimate(counters);
    return counters;
  }

  snapshot(): ServiceSnapshot {
    return {
      key: this.key,
      ...this.#options,
      counters: this.#traffic.shown(this.counters()),
      rates: this.#traffic.rates(),
      servers: this.servers.map((server) => server.snapshot()),
    };
  }

  #newScheduler(name: string): Scheduler {
    const scheduler = createScheduler(name, this.servers);
    if (scheduler === undefined) throw new TypeError(`no scheduler '${name}'`);
    return scheduler;
  }
}

/** IP protocol number of a protocol's name. */
export function protocolNumber(protocol: Protocol): number {
  switch (protocol) {
    case 'tcp':
      return IPPROTO_TCP;
    case 'udp':
      return IPPROTO_UDP;
    case 'sctp':
      return IPPROTO_SCTP;
  }
}
