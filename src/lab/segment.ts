// SPDX-License-Identifier: Apache-2.0
// A standing lab of segment-plan.ts: network, web servers, daemon.

import { claimLab } from './claim.ts';
import { startServers } from './hosts.ts';
import { DEFAULT_PREFIX, HOST_DEVICE } from './plan.ts';
import { type ClientPlace, planSegment, type SegmentPlan } from './segment-plan.ts';
import { buildSegment } from './segment-topology.ts';
import { StandingLab } from './standing-lab.ts';

export interface SegmentLabOptions {
  readonly servers: number;
  readonly prefix?: string;
  /** Behind a router unless given. */
  readonly client?: ClientPlace;
}

export class SegmentLab extends StandingLab<SegmentPlan> {
  /** Takes the prefix, builds and starts everything; resolves when the servers listen and the daemon answers. */
  static async open({ servers, prefix, client }: SegmentLabOptions): Promise<SegmentLab> {
    const plan = planSegment(servers, client ?? 'routed', prefix ?? DEFAULT_PREFIX);
    const lab = new SegmentLab(plan, await claimLab(plan.prefix));
    return lab.raise(async () => {
      buildSegment(plan);
      await startServers(plan, lab.claim.folder);
      await lab.startDirector();
    });
  }

  protected get devices(): readonly string[] {
    return [HOST_DEVICE];
  }
}
