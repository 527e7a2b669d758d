// SPDX-License-Identifier: Apache-2.0
// What all standing labs have: the folder that is theirs, a daemon, and an end. Opened by the lab command, tests and
// benches, and closed by whoever opened it; a failure while opening leaves nothing behind. They configure no service: that
// is what ipvsadm is for.

import { join } from 'node:path';
import { type Claim, removeLab } from './claim.ts';
import { LabDirector } from './director.ts';
import { LabError } from './lab-error.ts';
import type { HostPlan, LabPlan } from './plan.ts';

export abstract class StandingLab<Plan extends LabPlan = LabPlan> {
  readonly plan: Plan;
  readonly claim: Claim;
  #director: LabDirector | undefined;

  protected constructor(plan: Plan, claim: Claim) {
    this.plan = plan;
    this.claim = claim;
  }

  /** Devices of the director, on which the daemon works. */
  protected abstract get devices(): readonly string[];

  /** Builds the network and starts what belongs to it; when that fails, the lab is closed. */
  protected async raise(build: () => Promise<void>): Promise<this> {
    try {
      await build();
      return this;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Resolves when the daemon answers. `args` go to `ballast run`. */
  async startDirector(args: readonly string[] = []): Promise<LabDirector> {
    const site = { namespace: this.plan.director.namespace, devices: this.devices };
    this.#director = await LabDirector.start(site, this.claim, args);
    return this.#director;
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
