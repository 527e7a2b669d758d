// SPDX-License-Identifier: Apache-2.0
// The director's services and servers, and every change of them that a user can ask for. A change is checked whole
// before anything is touched; what is refused throws LvsError and leaves everything as it was.

import { TICKS_PER_SECOND } from '../connection/layout.ts';
import {
  type Counters,
  LvsError,
  type Rates,
  type ServerKey,
  type ServerOptions,
  type ServiceKey,
  type ServiceOptions,
  type ServiceSnapshot,
  type ServiceTuning,
  type TuningPatch,
  type TunnelOptions,
} from '../model.ts';
import { formatServerKey, formatServiceKey } from '../service-key.ts';
import {
  checkCapacity,
  checkFamily,
  checkServerKey,
  checkServerOptions,
  checkServiceKey,
  checkServiceOptions,
  checkTuning,
} from './checks.ts';
import { RealServers } from './real-servers.ts';
import { Server } from './server.ts';
import { Service, type ServiceEnvironment } from './service.ts';
import { ServiceTable } from './service-table.ts';
import { addCounters, newCounters, Traffic } from './traffic.ts';
import { patchTuning, tidyTuning } from './tuning.ts';

/** A server that was deleted and is not referred to stays known so long, as ip_vs_ctl.c has it. */
const TRASH_TICKS = 120 * TICKS_PER_SECOND;
/** How often deleted servers are looked at. */
const TRASH_PERIOD = TRASH_TICKS >> 1;

/**
 * Told what packets the director wants to see. Of an addition before the director itself changes: when that throws, the
 * addition does not happen. Of a removal afterwards, when there is no way back: that must not throw. A server is known
 * from its first service on until no connection refers to it any more, since its answers are wanted as long.
 */
export interface ServiceObserver {
  serviceAdded(service: ServiceKey): void;
  serviceRemoved(service: ServiceKey): void;
  serverKnown(service: ServiceKey, server: ServerKey): void;
  serverForgotten(service: ServiceKey, server: ServerKey): void;
}

export interface ServiceListParts {
  readonly environment: ServiceEnvironment;
  /** Filled here, by index; connections look their servers up in it. */
  readonly servers: (Server | undefined)[];
  /** Current tick. */
  readonly now: number;
  readonly observer: ServiceObserver | undefined;
}

export class ServiceList {
  readonly table: ServiceTable = new ServiceTable();
  readonly realServers: RealServers = new RealServers();
  /** Every server that is in a service or still known, by its index; row 0 is none. */
  readonly serversByIndex: (Server | undefined)[];
  /** Called when a server was taken out of its service. */
  onServerGone: (server: Server) => void = () => {};
  /** Current tick; changes count from it. */
  now: number;
  readonly #environment: ServiceEnvironment;
  /** Servers out of their service that are still known, by service and server key. */
  readonly #gone = new Map<string, GoneServer>();
  /** How many of {@link #gone} the observer still knows for each service, by its name. */
  readonly #goneOf = new Map<string, number>();
  /** When {@link #gone} is looked at next, while there is any. */
  #trashAt = 0;
  readonly #observer: ServiceObserver | undefined;
  readonly #freeIndexes: number[] = [];
  readonly #traffic = new Traffic();
  /** What services that were deleted had counted. */
  readonly #retired = newCounters();

  constructor({ environment, servers, now, observer }: ServiceListParts) {
    this.#environment = environment;
    this.serversByIndex = servers;
    this.now = now;
    this.#observer = observer;
  }

  addService(key: ServiceKey, options: ServiceOptions): void {
    checkServiceKey(key);
    if (this.table.get(key) !== undefined) throw new LvsError('EEXIST', `service ${formatServiceKey(key)} exists`);
    checkServiceOptions(key, options);
    // A service that was deleted while it had connections is still known.
    if (!this.#goneOf.has(formatServiceKey(key))) this.#observer?.serviceAdded(key);
    this.table.add(new Service(key, options, this.#environment));
  }

  editService(key: ServiceKey, options: ServiceOptions): void {
    const service = this.find(key);
    checkServiceOptions(key, options);
    checkCapacity(options.scheduler, service.servers.length);
    this.table.edit(service, () => service.edit(options));
  }

  tuneService(key: ServiceKey, tuning: ServiceTuning): void {
    const service = this.find(key);
    checkTuning(key, tuning);
    service.tune(tidyTuning(tuning));
  }

  /** Changes what `patch` names of what is tuned. */
  adjustService(key: ServiceKey, patch: TuningPatch): void {
    this.tuneService(key, patchTuning(this.find(key).tuning, patch));
  }

  deleteService(key: ServiceKey): void {
    this.#deleteService(this.find(key));
  }

  /** Deletes every service. */
  flush(): void {
    for (const service of [...this.table.values()]) this.#deleteService(service);
  }

  addServer(serviceKey: ServiceKey, key: ServerKey, options: ServerOptions): void {
    const service = this.find(serviceKey);
    checkFamily(serviceKey, key, options);
    checkServerOptions(options);
    checkServerKey(key);
    if (service.find(key) !== undefined) throw new LvsError('EEXIST', `server ${formatServerKey(key)} exists`);
    const name = goneName(serviceKey, key);
    const gone = this.#gone.get(name);
    if (gone === undefined) {
      this.#observer?.serverKnown(service.key, key);
      const index = this.#freeIndexes.pop() ?? this.serversByIndex.length;
      const server = new Server(index, service, key, options);
      this.serversByIndex[index] = server;
      service.add(server, this.now);
      this.realServers.add(server);
      return;
    }
    if (!gone.isObserved) this.#observer?.serverKnown(service.key, key);
    else this.#countGone(service.key, -1);
    this.#gone.delete(name);
    gone.server.configure(options, true);
    gone.server.available = true;
    service.add(gone.server, this.now);
    this.realServers.add(gone.server);
  }

  editServer(serviceKey: ServiceKey, key: ServerKey, options: ServerOptions): void {
    const service = this.find(serviceKey);
    checkFamily(serviceKey, key, options);
    checkServerOptions(options);
    const server = findServer(service, key);
    // What it is found by is not known to change until the new options are in.
    const { method, tunnel } = server.options;
    const moves = method !== options.method || tunnelPort(tunnel) !== tunnelPort(options.tunnel);
    if (moves) this.realServers.remove(server);
    service.editServer(server, options, this.now);
    if (moves) this.realServers.add(server);
  }

  deleteServer(serviceKey: ServiceKey, key: ServerKey): void {
    const service = this.find(serviceKey);
    this.#takeOut(service, findServer(service, key));
  }

  /** The server of `key` in the service of `serviceKey`. Throws ESRCH, ENOENT. */
  findServer(serviceKey: ServiceKey, key: ServerKey): Server {
    return findServer(this.find(serviceKey), key);
  }

  /** Whether connections refer to servers of firewall marks' services. */
  hasMarkedConnections(): boolean {
    return this.serversByIndex.some(
      (server) => server !== undefined && server.service.mark !== 0 && server.references > 0,
    );
  }

  /** Zeroes the counters of one service and its servers, or of everything. */
  zero(key?: ServiceKey): void {
    if (key !== undefined) {
      this.find(key).zero();
      return;
    }
    for (const service of this.table.values()) service.zero();
    this.#traffic.zero(this.#totals());
  }

  /** The service of `key`. Throws ESRCH when there is none. */
  find(key: ServiceKey): Service {
    const service = this.table.get(key);
    if (service === undefined) throw new LvsError('ESRCH', `no service ${formatServiceKey(key)}`);
    return service;
  }

  /** The director's own state times changed. */
  retime(): void {
    for (const service of this.table.values()) service.retime();
    for (const { server } of this.#gone.values()) server.service.retime();
  }

  /** One step of all rate estimators, due every 2 s. */
  estimate(): void {
    const totals = Float64Array.from(this.#retired);
    for (const service of this.table.values()) addCounters(totals, service.estimate());
    this.#traffic.estimate(totals);
  }

  /** About a second has passed: weights rise, schedulers forget, servers that nobody refers to are forgotten. */
  tick(now: number): void {
    for (const service of this.table.values()) service.tick(now);
    for (const gone of this.#gone.values()) this.#unobserve(gone);
    if (this.#gone.size === 0 || ((now - this.#trashAt) | 0) < 0) return;
    this.#trashAt = (now + TRASH_PERIOD) | 0;
    for (const [name, gone] of this.#gone) {
      if (gone.server.references > 0) continue;
      if (gone.idleSince === undefined) gone.idleSince = now;
      else if (((now - gone.idleSince) | 0) >= TRASH_TICKS) this.#release(name, gone.server);
    }
  }

  snapshot(): ServiceSnapshot[] {
    return Array.from(this.table.values(), (service) => service.snapshot(this.now));
  }

  totals(): { counters: Counters; rates: Rates } {
    return { counters: this.#traffic.shown(this.#totals()), rates: this.#traffic.rates() };
  }

  #totals(): Float64Array {
    const sum = Float64Array.from(this.#retired);
    for (const service of this.table.values()) addCounters(sum, service.counters());
    return sum;
  }

  #deleteService(service: Service): void {
    addCounters(this.#retired, service.counters());
    service.close();
    for (const server of [...service.servers]) this.#takeOut(service, server);
    this.table.remove(service);
    this.#forgetService(service.key);
  }

  #takeOut(service: Service, server: Server): void {
    service.remove(server);
    this.realServers.remove(server);
    server.available = false;
    if (this.#gone.size === 0) this.#trashAt = (this.now + TRASH_PERIOD) | 0;
    const gone = { service: service.key, server, idleSince: undefined, isObserved: true };
    this.#gone.set(goneName(service.key, server.key), gone);
    this.#countGone(service.key, 1);
    this.onServerGone(server);
    this.#unobserve(gone);
  }

  /** Tells the observer that nobody refers to a server any more. */
  #unobserve(gone: GoneServer): void {
    if (!gone.isObserved || gone.server.references > 0) return;
    gone.isObserved = false;
    this.#countGone(gone.service, -1);
    this.#observer?.serverForgotten(gone.service, gone.server.key);
    this.#forgetService(gone.service);
  }

  #release(name: string, server: Server): void {
    this.#gone.delete(name);
    this.serversByIndex[server.index] = undefined;
    this.#freeIndexes.push(server.index);
  }

  #countGone(service: ServiceKey, step: number): void {
    const name = formatServiceKey(service);
    const count = (this.#goneOf.get(name) ?? 0) + step;
    if (count === 0) this.#goneOf.delete(name);
    else this.#goneOf.set(name, count);
  }

  /** Tells the observer that a service is over, once it is deleted and no connection refers to its servers. */
  #forgetService(key: ServiceKey): void {
    if (this.table.get(key) === undefined && !this.#goneOf.has(formatServiceKey(key))) {
      this.#observer?.serviceRemoved(key);
    }
  }
}

/** A server that is out of its service but still known. */
interface GoneServer {
  readonly service: ServiceKey;
  readonly server: Server;
  /** Tick of the first look that found nobody referring to it. */
  idleSince: number | undefined;
  /** The observer still knows it. */
  isObserved: boolean;
}

function goneName(service: ServiceKey, server: ServerKey): string {
  return `${formatServiceKey(service)} ${formatServerKey(server)}`;
}

function findServer(service: Service, key: ServerKey): Server {
  const server = service.find(key);
  if (server === undefined) throw new LvsError('ENOENT', `no server ${formatServerKey(key)}`);
  return server;
}

function tunnelPort(tunnel: TunnelOptions | undefined): number {
  return tunnel?.type === 'gue' ? tunnel.port : 0;
}
