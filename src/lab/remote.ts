// SPDX-License-Identifier: Apache-2.0
// A standing lab of remote-plan.ts: network, web servers, daemon.

import { claimLab } from './claim.ts';
import { startServers } from './hosts.ts';
import { HOST_DEVICE } from './plan.ts';
import { planRemote, type RemotePlan, type RemotePlanOptions } from './remote-plan.ts';
import { buildRemote } from './remote-topology.ts';
import { StandingLab } from './standing-lab.ts';

export interface RemoteLabOptions extends RemotePlanOptions {
  /** Whether the lab's own HTTP servers run. */
  readonly withServers?: boolean;
  /** More arguments of `ballast run`. */
  readonly directorArgs?: readonly string[];
}

export class RemoteLab extends StandingLab<RemotePlan> {
  /** Takes the prefix, builds and starts everything; resolves when the servers listen and the daemon answers. */
  static async open(options: RemoteLabOptions): Promise<RemoteLab> {
    const plan = planRemote(options);
    const lab = new RemoteLab(plan, await claimLab(plan.prefix));
    return lab.raise(async () => {
      buildRemote(plan);
      if (options.withServers !== false) await startServers(plan, lab.claim.folder);
      await lab.startDirector(options.directorArgs);
    });
  }

  protected get devices(): readonly string[] {
    return [HOST_DEVICE];
  }
}
