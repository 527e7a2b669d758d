// SPDX-License-Identifier: Apache-2.0
// A standing NAT lab: network, web servers, daemon.

import { claimLab } from './claim.ts';
import { startServers } from './hosts.ts';
import { DEFAULT_PREFIX, type NatPlan, planNat } from './plan.ts';
import { StandingLab } from './standing-lab.ts';
import { buildNat } from './topology.ts';

export interface NatLabOptions {
  readonly servers: number;
  readonly prefix?: string;
  /** Whether the lab's own HTTP servers run; benches bring others. */
  readonly withServers?: boolean;
  /** Ports that they listen on; the plan's own unless given. */
  readonly serverPorts?: readonly number[];
  /** Whether the daemon runs. */
  readonly withDirector?: boolean;
  /** More arguments of `ballast run`. */
  readonly directorArgs?: readonly string[];
}

export class NatLab extends StandingLab<NatPlan> {
  /** Takes the prefix, builds and starts everything; resolves when the servers listen and the daemon answers. */
  static async open(options: NatLabOptions): Promise<NatLab> {
    const plan = planNat(options.servers, options.prefix ?? DEFAULT_PREFIX);
    const lab = new NatLab(plan, await claimLab(plan.prefix));
    return lab.raise(async () => {
      buildNat(plan);
      if (options.withServers !== false) await startServers(plan, lab.claim.folder, options.serverPorts);
      if (options.withDirector !== false) await lab.startDirector(options.directorArgs);
    });
  }

  protected get devices(): readonly string[] {
    const { clientSide, serverSide } = this.plan.director;
    return [clientSide.device, serverSide.device];
  }
}
