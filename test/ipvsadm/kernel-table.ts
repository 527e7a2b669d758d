// SPDX-License-Identifier: Apache-2.0
// A peer of the transcripts: a table that takes and refuses what the kernel that they were captured from did. It moves
// no packets and knows every scheduler by name, so that a listing can hold what the director does not have yet.

import type { Change, ConnectionPage, DataPlane, DataPlaneSnapshot } from '../../src/dataplane/dataplane.ts';
import {
  type ConnectionSnapshot,
  LvsError,
  type ServerKey,
  type ServerOptions,
  type ServerSnapshot,
  type ServiceKey,
  type ServiceOptions,
  type ServiceSnapshot,
  type Timeouts,
} from '../../src/lvs/model.ts';
import { formatServerKey, formatServiceKey } from '../../src/lvs/service-key.ts';

const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'dh', 'sh', 'sed', 'nq', 'fo', 'ovf', 'mh', 'none'];
const NOTHING = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };

type Row = { -readonly [K in keyof ServiceSnapshot]: ServiceSnapshot[K] };

export class KernelTable implements DataPlane {
  /** What happened, in order: tests look at what was asked for. */
  readonly changes: Change[] = [];
  services: Row[] = [];
  entries: readonly ConnectionSnapshot[] = [];
  #timeouts: Timeouts = { tcp: 900, tcpFin: 120, udp: 300 };

  describe(): string {
    return 'table (no packets)';
  }

  async apply(change: Change): Promise<void> {
    this.#apply(change);
    this.changes.push(change);
  }

  async snapshot(): Promise<DataPlaneSnapshot> {
    return {
      tableSize: 4096,
      services: this.services,
      totals: { counters: NOTHING, rates: NOTHING },
      timeouts: this.#timeouts,
      connections: { current: this.entries.length, maximum: 4096 },
      sysctls: {},
      verdicts: {},
      links: [],
      marks: { rules: [] },
      localPools: [],
    };
  }

  /** Pages of two entries. */
  async connections(cursor: number): Promise<ConnectionPage> {
    const end = cursor + 2;
    return { entries: this.entries.slice(cursor, end), next: end < this.entries.length ? end : -1 };
  }

  async close(): Promise<void> {}

  #apply(change: Change): void {
    switch (change.type) {
      case 'add-service':
        checkService(change.options);
        if (this.#find(change.service) !== undefined) throw new LvsError('EEXIST', 'service exists');
        this.services.push(row(change.service, change.options));
        return;
      case 'edit-service': {
        const service = this.#service(change.service);
        checkService(change.options);
        this.services[this.services.indexOf(service)] = {
          ...row(service.key, change.options),
          servers: service.servers,
        };
        return;
      }
      case 'delete-service':
        this.services.splice(this.services.indexOf(this.#service(change.service)), 1);
        return;
      case 'flush':
        this.services = [];
        return;
      case 'add-server': {
        const service = this.#service(change.service);
        checkServer(change.server, change.options);
        if (findServer(service, change.server) !== undefined) throw new LvsError('EEXIST', 'server exists');
        service.servers = [server(change.server, change.options), ...service.servers];
        return;
      }
      case 'edit-server': {
        const service = this.#service(change.service);
        checkServer(change.server, change.options);
        const old = findServer(service, change.server);
        if (old === undefined) throw new LvsError('ENOENT', 'no such server');
        service.servers = service.servers.map((one) => (one === old ? server(change.server, change.options) : one));
        return;
      }
      case 'delete-server': {
        const service = this.#service(change.service);
        const old = findServer(service, change.server);
        if (old === undefined) throw new LvsError('ENOENT', 'no such server');
        service.servers = service.servers.filter((one) => one !== old);
        return;
      }
      case 'zero':
        if (change.service !== undefined) this.#service(change.service);
        return;
      case 'set-timeouts': {
        const { tcp, tcpFin, udp } = change.timeouts;
        const old = this.#timeouts;
        this.#timeouts = { tcp: tcp || old.tcp, tcpFin: tcpFin || old.tcpFin, udp: udp || old.udp };
      }
    }
  }

  #find(key: ServiceKey): Row | undefined {
    return this.services.find((service) => formatServiceKey(service.key) === formatServiceKey(key));
  }

  #service(key: ServiceKey): Row {
    const service = this.#find(key);
    if (service === undefined) throw new LvsError('ESRCH', 'no such service');
    return service;
  }
}

function findServer(service: Row, key: ServerKey): ServerSnapshot | undefined {
  return service.servers.find((one) => formatServerKey(one) === formatServerKey(key));
}

function checkService(options: ServiceOptions): void {
  const engine = options.persistence?.engine;
  if (!SCHEDULERS.includes(options.scheduler) || (engine !== undefined && engine !== 'sip')) {
    throw new LvsError('ENOENT', 'no scheduler or persistence engine of that name');
  }
}

function checkServer(key: ServerKey, options: ServerOptions): void {
  if (/^(22[4-9]|2[345]\d)\./.test(key.address)) throw new LvsError('EINVAL', 'address is not unicast');
  if (options.lowerThreshold > options.upperThreshold && options.upperThreshold > 0) {
    throw new LvsError('ERANGE', 'lower threshold above the upper one');
  }
}

function row(key: ServiceKey, options: ServiceOptions): Row {
  return { key, ...options, counters: NOTHING, rates: NOTHING, servers: [] };
}

function server(key: ServerKey, options: ServerOptions): ServerSnapshot {
  const connections = { activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 };
  return { ...key, ...options, ...connections, counters: NOTHING, rates: NOTHING };
}
