// SPDX-License-Identifier: Apache-2.0
// A standing lab of segment-plan.ts: network, web servers, daemon. Opened by the lab command and tests, and closed by
// whoever opened it; a failure while opening leaves nothing behind.

import { join } from 'node:path';
import { type Claim, claimLab, removeLab } from './claim.ts';
import { LabDirector } from './director.ts';
import { startServers } from './hosts.ts';
import { LabError } from './lab-error.ts';
import { DEFAULT_PREFIX, HOST_DEVICE, type HostPlan } from './plan.ts';
import { type ClientPlace, planSegment, type SegmentPlan } from './segment-plan.ts';
import { buildSegment } from './segment-topology.ts';
import type { Lab } from './session.ts';

export interface SegmentLabOptions {
  readonly servers: number;
  readonly prefix?: string;
  /** Behind a router unless given. */
  readonly client?: ClientPlace;
}

export class SegmentLab implements Lab {
  readonly plan: SegmentPlan;
  readonly claim: Claim;
  #director: LabDirector | undefined;

  private constructor(plan: SegmentPlan, claim: Claim) {
    this.plan = plan;
    this.claim = claim;
  }

  /** Takes the prefix, builds and starts everything; resolves when the servers listen and the daemon answers. */
  static async open({ servers, prefix, client }: SegmentLabOptions): Promise<SegmentLab> {
    const plan = planSegment(servers, client ?? 'routed', prefix ?? DEFAULT_PREFIX);
    const lab = new SegmentLab(plan, await claimLab(plan.prefix));
    try {
      buildSegment(plan);
      await startServers(plan, lab.claim.folder);
      const site = { namespace: plan.director.namespace, devices: [HOST_DEVICE] };
      lab.#director = await LabDirector.start(site, lab.claim);
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get director(): LabDirector {
    if (this.#director === undefined) throw new LabError('this lab has no daemon');
    return this.#director;
  }

  /** Where `ballast realserver` remembers what it did on a server; goes with the lab. */
  stateFile(server: HostPlan): string {
    return join(this.claim.folder, `${server.name}-realserver.json`);
  }

  /** Ends the processes, removes the namespaces with their devices, and the files. Twice is harmless. */
  async close(): Promise<void> {
    await this.#director?.close();
    await removeLab(this.plan.prefix);
  }
}
