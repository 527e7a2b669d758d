// SPDX-License-Identifier: Apache-2.0
// A service whose servers have whatever weights and connections a test wants, more than packets could bring about: for
// schedulers against plain models of the kernel's.

import { StateTimes } from '../../src/lvs/connection/state-times.ts';
import { SchedulingRequest } from '../../src/lvs/schedule/scheduler.ts';
import { Server } from '../../src/lvs/service/server.ts';
import { Service } from '../../src/lvs/service/service.ts';
import { parseServiceKey } from '../../src/lvs/service-key.ts';
import { Sysctls } from '../../src/lvs/sysctl.ts';
import type { Address } from '../../src/packet/address.ts';

export interface Load {
  readonly weight: number;
  readonly active: number;
  readonly inactive: number;
  readonly overloaded: boolean;
}

const REQUEST = new SchedulingRequest();

export class LoadedService {
  readonly service: Service;
  #added = 0;

  /** @param loads - of servers numbered from 1, in the kernel's order: newest first. */
  constructor(scheduler: string, loads: readonly Load[], random: () => number = () => 0) {
    const key = parseServiceKey('tcp:10.0.0.1:80');
    if (key === undefined) throw new TypeError('not a service');
    const environment = { sysctls: new Sysctls(), times: new StateTimes(), random };
    this.service = new Service(key, { scheduler, schedulerFlags: [], onePacket: false }, environment);
    for (const [i, load] of [...loads.entries()].reverse()) this.add(i + 1, load);
  }

  add(number: number, { weight, active, inactive, overloaded }: Load): void {
    const key = { address: `192.168.${number >> 8}.${number & 255}` as Address, port: 80 };
    const options = { method: 'nat', weight, upperThreshold: 0, lowerThreshold: 0 } as const;
    const server = new Server(++this.#added, this.service, key, options);
    server.active = active;
    server.total = active + inactive;
    server.overloaded = overloaded;
    this.service.add(server, 0);
  }

  remove(number: number): void {
    this.service.remove(this.server(number));
  }

  edit(number: number, weight: number): void {
    const server = this.server(number);
    this.service.editServer(server, { ...server.options, weight }, 0);
  }

  server(number: number): Server {
    const server = this.service.servers.find((candidate) => numberOf(candidate) === number);
    if (server === undefined) throw new TypeError(`no server ${number}`);
    return server;
  }

  /** Number of the server of the next connection, 0 for none. */
  pick(): number {
    const server = this.service.schedule(REQUEST);
    return server === undefined ? 0 : numberOf(server);
  }
}

/** Has every look at a weight of the service's servers counted, and stops whoever looks more often than `most`. */
export function countLooks({ servers }: Service, most: number): { looks: number } {
  const counter = { looks: 0 };
  for (const server of servers) {
    const { weight } = server;
    Object.defineProperty(server, 'weight', {
      get() {
        if (++counter.looks > most) throw new Error(`more than ${most} looks`);
        return weight;
      },
    });
  }
  return counter;
}

function numberOf({ words }: Server): number {
  return words[0] & 0xffff;
}
