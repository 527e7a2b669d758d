// SPDX-License-Identifier: Apache-2.0
// A data plane that moves no packets: a table of services which refuses what a director refuses. The peer of tests that
// are about the API and its clients, on machines and in moments where no engine can run.

import type { Change, ConnectionPage, DataPlane, DataPlaneSnapshot } from '../../src/dataplane/dataplane.ts';
import {
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

const NOTHING = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };
const SCHEDULERS = ['rr', 'wrr'];

interface Service {
  readonly key: ServiceKey;
  options: ServiceOptions;
  readonly servers: Map<string, { readonly key: ServerKey; options: ServerOptions }>;
}

export class TableDataPlane implements DataPlane {
  readonly #services = new Map<string, Service>();
  #timeouts: Timeouts = { tcp: 900, tcpFin: 120, udp: 300 };
  isClosed = false;

  describe(): string {
    return 'table (no packets)';
  }

  async apply(change: Change): Promise<void> {
    switch (change.type) {
      case 'add-service': {
        const id = formatServiceKey(change.service);
        checkOptions(change.service, change.options);
        if (this.#services.has(id)) throw new LvsError('EEXIST', 'Service already exists');
        this.#services.set(id, { key: change.service, options: change.options, servers: new Map() });
        return;
      }
      case 'edit-service': {
        const service = this.#service(change.service);
        checkOptions(change.service, change.options);
        service.options = change.options;
        return;
      }
      case 'delete-service':
        this.#services.delete(formatServiceKey(this.#service(change.service).key));
        return;
      case 'flush':
        this.#services.clear();
        return;
      case 'add-server': {
        const { servers } = this.#service(change.service);
        const id = formatServerKey(change.server);
        if (servers.has(id)) throw new LvsError('EEXIST', 'Destination already exists');
        servers.set(id, { key: change.server, options: change.options });
        return;
      }
      case 'edit-server':
        this.#server(change.service, change.server).options = change.options;
        return;
      case 'delete-server':
        this.#server(change.service, change.server);
        this.#service(change.service).servers.delete(formatServerKey(change.server));
        return;
      case 'zero':
        if (change.service !== undefined) this.#service(change.service);
        return;
      case 'set-timeouts':
        this.#timeouts = {
          tcp: change.timeouts.tcp || this.#timeouts.tcp,
          tcpFin: change.timeouts.tcpFin || this.#timeouts.tcpFin,
          udp: change.timeouts.udp || this.#timeouts.udp,
        };
    }
  }

  async snapshot(): Promise<DataPlaneSnapshot> {
    return {
      tableSize: 4096,
      services: [...this.#services.values()].map(serviceSnapshot),
      totals: { counters: NOTHING, rates: NOTHING },
      timeouts: this.#timeouts,
      connections: { current: 0, maximum: 4096 },
      verdicts: { forward: 0, 'malformed-ipv4-checksum': 3 },
      links: [{ name: 'mem0', mode: 'memory', queues: 1, rxPackets: 3, txPackets: 0 }],
    };
  }

  async connections(_cursor: number): Promise<ConnectionPage> {
    return { entries: [], next: -1 };
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #service(key: ServiceKey): Service {
    const service = this.#services.get(formatServiceKey(key));
    if (service === undefined) throw new LvsError('ESRCH', 'No such service');
    return service;
  }

  #server(service: ServiceKey, key: ServerKey): { options: ServerOptions } {
    const server = this.#service(service).servers.get(formatServerKey(key));
    if (server === undefined) throw new LvsError('ENOENT', 'No such destination');
    return server;
  }
}

function checkOptions(key: ServiceKey, options: ServiceOptions): void {
  if (key.kind === 'fwmark') throw new LvsError('EOPNOTSUPP', 'firewall-mark services are not there yet');
  if (!SCHEDULERS.includes(options.scheduler)) throw new LvsError('ENOENT', `no scheduler '${options.scheduler}'`);
  if (key.port === 0) throw new LvsError('EINVAL', 'port 0 needs persistence');
}

function serviceSnapshot(service: Service): ServiceSnapshot {
  const servers: ServerSnapshot[] = [...service.servers.values()].map(({ key, options }) => ({
    ...key,
    ...options,
    activeConnections: 0,
    inactiveConnections: 0,
    persistentConnections: 0,
    counters: NOTHING,
    rates: NOTHING,
  }));
  return { key: service.key, ...service.options, counters: NOTHING, rates: NOTHING, servers: servers.reverse() };
}
