// SPDX-License-Identifier: Apache-2.0
// The kernel's side of the oracle, from this machine: boots it, has it play scenarios, reads what came of them.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TimedOutcome } from './outcome.ts';
import type { Scenario } from './scenario.ts';
import { UserModeLinux } from './uml.ts';

const AGENT = fileURLToPath(new URL('./agent.js', import.meta.url));
const SCHEDULER_MODULES = 'rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh'.split(' ').map((name) => `ip_vs_${name}`);
const MARK_MODULES = ['iptable_mangle', 'ip6table_mangle', 'xt_tcpudp', 'xt_sctp', 'xt_mark'];
const MODULES = ['veth', ...MARK_MODULES, 'ip_vs', 'ip_vs_pe_sip', ...SCHEDULER_MODULES];
const PATIENCE_MS = 900_000;

export class OracleKernel {
  readonly #uml: UserModeLinux;
  #serial = 0;

  private constructor(uml: UserModeLinux) {
    this.#uml = uml;
  }

  static async boot(): Promise<OracleKernel> {
    return new OracleKernel(
      await UserModeLinux.boot({ modules: MODULES, program: ['--enable-source-maps', AGENT], patienceMs: PATIENCE_MS }),
    );
  }

  /** Plays scenarios beside one another and returns their outcomes, step by step. */
  async play(scenarios: readonly Scenario[]): Promise<TimedOutcome[][]> {
    const name = `scenarios-${++this.#serial}`;
    const path = join(this.#uml.folder, name);
    writeFileSync(path, JSON.stringify(scenarios));
    const [word, text] = await this.#uml.ask(`play ${name}`);
    if (word !== 'done') throw new Error(`the oracle's kernel ${word}: ${text}`);
    const outcomes = JSON.parse(readFileSync(`${path}.out`, 'utf8')) as TimedOutcome[][];
    for (const file of [path, `${path}.out`]) rmSync(file);
    return outcomes;
  }

  async close(): Promise<void> {
    await this.#uml.close();
  }
}
