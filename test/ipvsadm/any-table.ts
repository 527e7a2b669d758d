// SPDX-License-Identifier: Apache-2.0
// A peer that takes every change, as the shim of the real ipvsadm does, and lists what it was given.

import type { Change, ConnectionPage, DataPlane, DataPlaneSnapshot } from '../../src/dataplane/dataplane.ts';
import type { ConnectionSnapshot, ServiceSnapshot } from '../../src/lvs/model.ts';

const NOTHING = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };

export class AnyTable implements DataPlane {
  readonly changes: Change[] = [];
  entries: readonly ConnectionSnapshot[] = [];
  readonly #services: readonly ServiceSnapshot[];

  constructor(services: readonly ServiceSnapshot[]) {
    this.#services = services;
  }

  describe(): string {
    return 'a table';
  }

  async apply(change: Change): Promise<void> {
    this.changes.push(change);
  }

  async snapshot(): Promise<DataPlaneSnapshot> {
    return {
      tableSize: 4096,
      services: this.#services,
      totals: { counters: NOTHING, rates: NOTHING },
      timeouts: { tcp: 900, tcpFin: 120, udp: 300 },
      connections: { current: this.entries.length, maximum: 4096 },
      sysctls: {},
      verdicts: {},
      links: [],
      marks: { rules: [] },
      localPools: [],
    };
  }

  /** Pages of one entry. */
  async connections(cursor: number): Promise<ConnectionPage> {
    const next = cursor + 1 < this.entries.length ? cursor + 1 : -1;
    return { entries: this.entries.slice(cursor, cursor + 1), next };
  }

  async close(): Promise<void> {}
}
