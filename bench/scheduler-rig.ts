// SPDX-License-Identifier: Apache-2.0
// One service with many servers that is asked for servers, as the schedulers' benchmark uses it: clients and destinations
// that differ, weights from 1 to 8, and connections that come and go so that loads are never even.

import { StateTimes } from '../src/lvs/connection/state-times.ts';
import type { ServerKey, ServiceKey } from '../src/lvs/model.ts';
import { randomBits } from '../src/lvs/random.ts';
import { SchedulingRequest } from '../src/lvs/schedule/scheduler.ts';
import type { Server } from '../src/lvs/service/server.ts';
import type { Service } from '../src/lvs/service/service.ts';
import { ServiceList } from '../src/lvs/service/service-list.ts';
import { Sysctls } from '../src/lvs/sysctl.ts';
import type { Address } from '../src/packet/address.ts';

const KEY: ServiceKey = { kind: 'address', protocol: 'tcp', address: '192.0.2.1' as Address, port: 80 };
/** Different clients, and different destinations as a firewall mark's service sees them. */
const CLIENTS = 1 << 16;
const DESTINATIONS = 1 << 12;
/** Decisions between two looks at the clock; the connections that follow from them are opened and ended outside of it. */
const BATCH = 16;
/** Open connections for each server. */
const DEPTH = 4;
const MOST_WEIGHT = 8;

export class SchedulerRig {
  readonly #service: Service;
  readonly #request = new SchedulingRequest();
  readonly #clients = new Int32Array(CLIENTS);
  readonly #chosen: (Server | undefined)[] = new Array(BATCH).fill(undefined);
  readonly #ring: (Server | undefined)[];
  #at = 0;
  #asked = 0;

  constructor(scheduler: string, servers: number) {
    const random = randomBits(0x2545f491);
    const byIndex: (Server | undefined)[] = [undefined];
    const environment = { sysctls: new Sysctls(), times: new StateTimes(), random };
    const list = new ServiceList({ environment, servers: byIndex, now: 0, observer: undefined });
    list.addService(KEY, { scheduler, schedulerFlags: [], onePacket: false });
    for (let i = 0; i < servers; i++) {
      const weight = 1 + (random() % MOST_WEIGHT);
      list.addServer(KEY, serverKey(i), { method: 'nat', weight, upperThreshold: 0, lowerThreshold: 0 });
    }
    this.#service = list.find(KEY);
    for (let i = 0; i < CLIENTS; i++) this.#clients[i] = random() | 0;
    this.#ring = new Array(DEPTH * servers).fill(undefined);
  }

  /** Milliseconds that `count` decisions take; each is a new connection, and an old one ends for it. */
  decide(count: number): number {
    let elapsed = 0;
    for (let done = 0; done < count; done += BATCH) {
      const start = performance.now();
      for (let i = 0; i < BATCH; i++) this.#chosen[i] = this.#service.schedule(this.#next());
      elapsed += performance.now() - start;
      for (let i = 0; i < BATCH; i++) this.#turn(this.#chosen[i]);
    }
    return elapsed;
  }

  /** The same without deciding. */
  ask(count: number): number {
    let elapsed = 0;
    for (let done = 0; done < count; done += BATCH) {
      const start = performance.now();
      for (let i = 0; i < BATCH; i++) this.#chosen[i] = this.#ring[this.#next().sourcePort & 1];
      elapsed += performance.now() - start;
      for (let i = 0; i < BATCH; i++) this.#turn(this.#chosen[i]);
    }
    return elapsed;
  }

  #next(): SchedulingRequest {
    const request = this.#request;
    const i = this.#asked++;
    request.source[0] = this.#clients[i & (CLIENTS - 1)];
    request.destination[0] = this.#clients[(i >> 2) & (DESTINATIONS - 1)];
    request.sourcePort = i & 0xffff;
    return request;
  }

  #turn(server: Server | undefined): void {
    const ring = this.#ring;
    const at = this.#at;
    ring[at]?.unbind(true);
    server?.bind(true);
    ring[at] = server;
    this.#at = at + 1 === ring.length ? 0 : at + 1;
  }
}

function serverKey(i: number): ServerKey {
  return { address: `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}` as Address, port: 8080 };
}
