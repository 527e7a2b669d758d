// SPDX-License-Identifier: Apache-2.0
// A standing NAT lab: network, servers, daemon. Opened by the lab command, tests and benches, and closed by whoever opened
// it; a failure while opening leaves nothing behind. It configures no service: that is what ipvsadm is for.

import { type Claim, claimLab, removeLab } from './claim.ts';
import { LabDirector } from './director.ts';
import { startServers } from './hosts.ts';
import { LabError } from './lab-error.ts';
import { DEFAULT_PREFIX, type LabPlan, type NatPlan, planNat } from './plan.ts';
import { buildNat } from './topology.ts';

/** A standing lab of any kind. */
export interface Lab {
  readonly plan: LabPlan;
  readonly claim: Claim;
  readonly director: LabDirector;
  close(): Promise<void>;
}

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

export class NatLab implements Lab {
  readonly plan: NatPlan;
  readonly claim: Claim;
  #director: LabDirector | undefined;

  private constructor(plan: NatPlan, claim: Claim) {
    this.plan = plan;
    this.claim = claim;
  }

  /** Takes the prefix, builds and starts everything; resolves when the servers listen and the daemon answers. */
  static async open(options: NatLabOptions): Promise<NatLab> {
    const plan = planNat(options.servers, options.prefix ?? DEFAULT_PREFIX);
    const lab = new NatLab(plan, await claimLab(plan.prefix));
    try {
      buildNat(plan);
      if (options.withServers !== false) await startServers(plan, lab.claim.folder, options.serverPorts);
      if (options.withDirector !== false) await lab.startDirector(options.directorArgs);
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async startDirector(args: readonly string[] = []): Promise<LabDirector> {
    const { namespace, clientSide, serverSide } = this.plan.director;
    const site = { namespace, devices: [clientSide.device, serverSide.device] };
    this.#director = await LabDirector.start(site, this.claim, args);
    return this.#director;
  }

  get director(): LabDirector {
    if (this.#director === undefined) throw new LabError('this lab has no daemon');
    return this.#director;
  }

  /** Ends the processes, removes the namespaces with their devices, and the files. Twice is harmless. */
  async close(): Promise<void> {
    await this.#director?.close();
    await removeLab(this.plan.prefix);
  }
}
