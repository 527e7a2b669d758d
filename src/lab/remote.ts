// SPDX-License-Identifier: Apache-2.0
// A standing lab of remote-plan.ts: network, web servers, daemon. Opened by the lab command and tests, and closed by
// whoever opened it; a failure while opening leaves nothing behind.

import { join } from 'node:path';
import { type Claim, claimLab, removeLab } from './claim.ts';
import { LabDirector } from './director.ts';
import { startServers } from './hosts.ts';
import { LabError } from './lab-error.ts';
import { HOST_DEVICE, type HostPlan } from './plan.ts';
import { planRemote, type RemotePlan, type RemotePlanOptions } from './remote-plan.ts';
import { buildRemote } from './remote-topology.ts';
import type { Lab } from './session.ts';

export interface RemoteLabOptions extends RemotePlanOptions {
  /** Whether the lab's own HTTP servers run. */
  readonly withServers?: boolean;
  /** More arguments of `ballast run`. */
  readonly directorArgs?: readonly string[];
}

export class RemoteLab implements Lab {
  readonly plan: RemotePlan;
  readonly claim: Claim;
  #director: LabDirector | undefined;

  private constructor(plan: RemotePlan, claim: Claim) {
    this.plan = plan;
    this.claim = claim;
  }

  /** Takes the prefix, builds and starts everything; resolves when the servers listen and the daemon answers. */
  static async open(options: RemoteLabOptions): Promise<RemoteLab> {
    const plan = planRemote(options);
    const lab = new RemoteLab(plan, await claimLab(plan.prefix));
    try {
      buildRemote(plan);
      if (options.withServers !== false) await startServers(plan, lab.claim.folder);
      const site = { namespace: plan.director.namespace, devices: [HOST_DEVICE] };
      lab.#director = await LabDirector.start(site, lab.claim, options.directorArgs);
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
