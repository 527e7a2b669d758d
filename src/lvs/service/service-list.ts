// SPDX-License-Identifier: Apache-2.0
// The director's services and servers, and every change of them that a user can ask for. A change is checked whole
// before anything is touched; what is refused throws LvsError and leaves everything as it was.

import { type Address, addressFamily, addressWords } from '../../packet/address.ts';
import {
  type Counters,
  LvsError,
  type Rates,
  type ServerKey,
  type ServerOptions,
  type ServiceKey,
  type ServiceOptions,
  type ServiceSnapshot,
} from '../model.ts';
import { createScheduler, KERNEL_SCHEDULERS } from '../schedule/scheduler.ts';
import { formatServerKey, formatServiceKey } from '../service-key.ts';
import { Server } from './server.ts';
import { type AddressKey, Service } from './service.ts';
import { ServiceTable } from './service-table.ts';
import { addCounters, newCounters, Traffic } from './traffic.ts';

/** Largest weight and threshold: INT_MAX, as ipvsadm has it. */
const INT_MAX = 0x7fffffff;

/**
 * Told what packets the director wants to see. Of an addition before the director itself changes: when that throws, the
 * addition does not happen. Of a removal afterwards, when there is no way back: that must not throw. A server is known
 * from its first service on until no connection refers to it any more, since its answers are wanted as long.
 */
export interface ServiceObserver {
  serviceAdded(service: AddressKey): void;
  serviceRemoved(service: AddressKey): void;
  serverKnown(service: AddressKey, server: ServerKey): void;
  serverForgotten(service: AddressKey, server: ServerKey): void;
}

export class ServiceList {
  readonly table: ServiceTable = new ServiceTable();
  /** Every server that is in a service or that connections still refer to, by its index. */
  readonly serversByIndex: (Server | undefined)[] = [];
  /** Servers out of their service that connections refer to, by service and server key. */
  readonly #gone = new Map<string, GoneServer>();
  /** How many of {@link #gone} each service has, by its name. */
  readonly #goneOf = new Map<string, number>();
  readonly #observer: ServiceObserver | undefined;
  readonly #freeIndexes: number[] = [];
  readonly #traffic = new Traffic();
  /** What services that were deleted had counted. */
  readonly #retired = newCounters();

  constructor(observer?: ServiceObserver) {
    this.#observer = observer;
  }

  addService(key: ServiceKey, options: ServiceOptions): void {
    const address = checkServiceKey(key);
    checkServiceOptions(options);
    if (this.table.get(address) !== undefined) throw new LvsError('EEXIST', `service ${formatServiceKey(key)} exists`);
    // A service that was deleted while it had connections is still known.
    if (!this.#goneOf.has(formatServiceKey(key))) this.#observer?.serviceAdded(address);
    this.table.add(new Service(address, options));
  }

  editService(key: ServiceKey, options: ServiceOptions): void {
    const service = this.find(key);
    checkServiceOptions(options);
    service.edit(options);
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
    checkServerKey(service, key);
    checkServerOptions(options);
    if (service.find(key) !== undefined) throw new LvsError('EEXIST', `server ${formatServerKey(key)} exists`);
    const name = goneName(serviceKey, key);
    const known = this.#gone.get(name)?.server;
    if (known === undefined) {
      this.#observer?.serverKnown(service.key, key);
      const index = this.#freeIndexes.pop() ?? this.serversByIndex.length;
      const server = new Server(index, key, options);
      this.serversByIndex[index] = server;
      service.add(server);
      return;
    }
    this.#gone.delete(name);
    this.#countGone(service.key, -1);
    known.options = options;
    known.available = true;
    service.add(known);
  }

  editServer(serviceKey: ServiceKey, key: ServerKey, options: ServerOptions): void {
    const service = this.find(serviceKey);
    const server = findServer(service, key);
    checkServerOptions(options);
    server.options = options;
    service.serverEdited();
  }

  deleteServer(serviceKey: ServiceKey, key: ServerKey): void {
    const service = this.find(serviceKey);
    this.#takeOut(service, findServer(service, key));
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
    const service = key.kind === 'address' ? this.table.get(key) : undefined;
    if (service === undefined) throw new LvsError('ESRCH', `no service ${formatServiceKey(key)}`);
    return service;
  }

  /** One step of all rate estimators, due every 2 s; also forgets servers that nobody refers to any more. */
  estimate(): void {
    const totals = Float64Array.from(this.#retired);
    for (const service of this.table.values()) addCounters(totals, service.estimate());
    this.#traffic.estimate(totals);
    for (const [name, gone] of this.#gone) {
      if (gone.server.references === 0) this.#release(name, gone);
    }
  }

  snapshot(): ServiceSnapshot[] {
    return Array.from(this.table.values(), (service) => service.snapshot());
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
    for (const server of [...service.servers]) this.#takeOut(service, server);
    this.table.remove(service);
    this.#forgetService(service.key);
  }

  #takeOut(service: Service, server: Server): void {
    service.remove(server);
    server.available = false;
    const name = goneName(service.key, server.key);
    if (server.references === 0) {
      this.#free(service.key, server);
    } else {
      this.#gone.set(name, { service: service.key, server });
      this.#countGone(service.key, 1);
    }
  }

  #release(name: string, { service, server }: GoneServer): void {
    this.#gone.delete(name);
    this.#countGone(service, -1);
    this.#free(service, server);
    this.#forgetService(service);
  }

  #free(service: AddressKey, server: Server): void {
    this.serversByIndex[server.index] = undefined;
    this.#freeIndexes.push(server.index);
    this.#observer?.serverForgotten(service, server.key);
  }

  #countGone(service: AddressKey, step: number): void {
    const name = formatServiceKey(service);
    const count = (this.#goneOf.get(name) ?? 0) + step;
    if (count === 0) this.#goneOf.delete(name);
    else this.#goneOf.set(name, count);
  }

  /** Tells the observer that a service is over, once it is deleted and none of its connections is left. */
  #forgetService(key: AddressKey): void {
    if (this.table.get(key) === undefined && !this.#goneOf.has(formatServiceKey(key))) {
      this.#observer?.serviceRemoved(key);
    }
  }
}

/** A server that is out of its service but still has connections. */
interface GoneServer {
  readonly service: AddressKey;
  readonly server: Server;
}

function goneName(service: ServiceKey, server: ServerKey): string {
  return `${formatServiceKey(service)} ${formatServerKey(server)}`;
}

function findServer(service: Service, key: ServerKey): Server {
  const server = service.find(key);
  if (server === undefined) throw new LvsError('ENOENT', `no server ${formatServerKey(key)}`);
  return server;
}

function checkServiceKey(key: ServiceKey): AddressKey {
  if (key.kind === 'fwmark') throw new LvsError('EOPNOTSUPP', 'firewall-mark services are not supported yet');
  if (key.protocol === 'sctp') throw new LvsError('EOPNOTSUPP', 'SCTP services are not supported yet');
  if (key.port === 0) throw new LvsError('EOPNOTSUPP', 'services of all ports (port 0) are not supported yet');
  return key;
}

function checkServiceOptions(options: ServiceOptions): void {
  const { scheduler } = options;
  if (createScheduler(scheduler, []) === undefined) {
    if (!KERNEL_SCHEDULERS.includes(scheduler)) throw new LvsError('ENOENT', `no scheduler '${scheduler}'`);
    throw new LvsError('EOPNOTSUPP', `scheduler '${scheduler}' is not supported yet: use -s rr or -s wrr`);
  }
  if (options.persistence !== undefined) throw new LvsError('EOPNOTSUPP', 'persistence (-p) is not supported yet');
  if (options.onePacket) throw new LvsError('EOPNOTSUPP', 'one-packet scheduling (-o) is not supported yet');
  if (options.schedulerFlags.length > 0) {
    throw new LvsError('EOPNOTSUPP', `scheduler '${scheduler}' has no flags (-b)`);
  }
}

function checkServerKey(service: Service, key: ServerKey): void {
  if (addressFamily(key.address) !== service.family) {
    throw new LvsError('EINVAL', `server ${key.address} is of another address family than its service`);
  }
  if (!isUnicast(key.address)) throw new LvsError('EINVAL', `server address ${key.address} is not unicast`);
}

function checkServerOptions(options: ServerOptions): void {
  const { method, weight, upperThreshold, lowerThreshold } = options;
  if (method !== 'nat') {
    throw new LvsError('EOPNOTSUPP', `forwarding method '${method}' is not supported yet: use -m (NAT)`);
  }
  if (!Number.isInteger(weight) || weight < 0 || weight > INT_MAX) {
    throw new LvsError('ERANGE', `weight ${weight} is out of range`);
  }
  if (upperThreshold !== 0 || lowerThreshold !== 0) {
    throw new LvsError('EOPNOTSUPP', 'connection thresholds (-x, -y) are not supported yet');
  }
}

/** What the kernel takes for a real server's address: no multicast, no broadcast, no "this network", no link-local. */
function isUnicast(address: Address): boolean {
  const words = addressWords(address);
  if (addressFamily(address) === 4) {
    const top = words[0] >>> 24;
    return top !== 0 && (top < 224 || top >= 240) && words[0] !== -1;
  }
  const top = words[0] >>> 16;
  const isUnspecified = words.every((word) => word === 0);
  return !isUnspecified && top >>> 8 !== 0xff && (top & 0xffc0) !== 0xfe80;
}
