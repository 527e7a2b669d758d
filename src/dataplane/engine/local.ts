// SPDX-License-Identifier: Apache-2.0
// A Director as a DataPlane in the same thread: what the engine thread answers control messages with, and what tests
// use without one. It reads the clock that it is given and moves no packets.

import { MIN_BUCKETS } from '../../lvs/connection/layout.ts';
import { connectionSnapshot, type EngineData } from '../../lvs/connection/snapshot.ts';
import type { Director } from '../../lvs/director.ts';
import type { ConnectionSnapshot } from '../../lvs/model.ts';
import { VERDICT_NAMES } from '../../lvs/verdict.ts';
import type { Change, ConnectionPage, DataPlane, DataPlaneSnapshot } from '../dataplane.ts';

/** Records that one page looks at: bounds the time that the engine thread spends away from packets. */
const PAGE_RECORDS = 1024;

export class LocalDataPlane implements DataPlane {
  readonly #director: Director;
  readonly #now: () => number;

  /** @param now - current tick, as for {@link Director.process}. */
  constructor(director: Director, now: () => number) {
    this.#director = director;
    this.#now = now;
  }

  describe(): string {
    return 'engine (in this thread)';
  }

  async apply(change: Change): Promise<void> {
    this.applyNow(change);
  }

  async snapshot(): Promise<DataPlaneSnapshot> {
    return this.snapshotNow();
  }

  async connections(cursor: number): Promise<ConnectionPage> {
    return this.connectionsNow(cursor);
  }

  async close(): Promise<void> {}

  /** {@link apply} at once; throws LvsError. */
  applyNow(change: Change): void {
    const { services, connections } = this.#director;
    switch (change.type) {
      case 'add-service':
        services.addService(change.service, change.options);
        break;
      case 'edit-service':
        services.editService(change.service, change.options);
        break;
      case 'delete-service':
        services.deleteService(change.service);
        break;
      case 'flush':
        services.flush();
        break;
      case 'add-server':
        services.addServer(change.service, change.server, change.options);
        break;
      case 'edit-server':
        services.editServer(change.service, change.server, change.options);
        break;
      case 'delete-server':
        services.deleteServer(change.service, change.server);
        break;
      case 'zero':
        services.zero(change.service);
        break;
      case 'set-timeouts':
        connections.timeouts = change.timeouts;
        services.retime();
        break;
      case 'tune-service':
        services.tuneService(change.service, change.tuning);
        break;
      case 'adjust-service':
        services.adjustService(change.service, change.tuning);
        break;
      case 'set-sysctls':
        this.#director.setSysctls(change.values);
        break;
      case 'drain-server':
        this.#director.drain(change.service, change.server, change.deadlineSeconds);
        break;
      case 'add-mark':
        this.#director.marks.add(change.rule);
        break;
      case 'delete-mark':
        this.#director.marks.delete(change.rule);
        break;
      case 'add-local-address':
        this.#director.fullnat.addAddress(change.local, change.options);
        break;
      case 'delete-local-address':
        this.#director.fullnat.deleteAddress(change.local);
        break;
    }
  }

  /** {@link snapshot} at once. */
  snapshotNow(): DataPlaneSnapshot {
    const { services, connections, sysctls, verdicts, marks, fullnat } = this.#director;
    return {
      tableSize: MIN_BUCKETS,
      services: services.snapshot(),
      totals: services.totals(),
      timeouts: connections.timeouts,
      sysctls: sysctls.snapshot(),
      connections: { current: connections.table.count, maximum: connections.table.maxConnections },
      verdicts: Object.fromEntries(VERDICT_NAMES.map((name, i) => [name, verdicts[i]])),
      links: [],
      marks: { rules: marks.snapshot() },
      localPools: fullnat.snapshot(),
    };
  }

  /** {@link connections} at once. */
  connectionsNow(cursor: number): ConnectionPage {
    const { admission, connections } = this.#director;
    const engineData: EngineData = (template) => admission.engines.describe(template);
    const last = Math.min(connections.table.highestId, cursor + PAGE_RECORDS);
    const entries: ConnectionSnapshot[] = [];
    for (let id = cursor + 1; id <= last; id++) {
      const entry = connectionSnapshot(connections, id, this.#now(), engineData);
      if (entry !== undefined) entries.push(entry);
    }
    return { entries, next: last < connections.table.highestId ? last : -1 };
  }
}
