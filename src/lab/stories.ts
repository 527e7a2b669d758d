// SPDX-License-Identifier: Apache-2.0
// The labs by their names: what each needs, how its network is drawn, what it tells, and its last line.

import { checkFwmark, WEB_PORTS as MARKED_PORTS, tellFwmark } from './fwmark.ts';
import { type Narrator, type PhaseReport, tellNat } from './nat.ts';
import type { LabName, LabOptions } from './options.ts';
import { checkPersistence, WEB_PORTS as PERSISTENT_PORTS, tellPersistence } from './persistence.ts';
import { drawPlan, type NatPlan } from './plan.ts';
import type { NatLab } from './session.ts';

/** What has come out. */
export interface Told {
  /** What `--json` prints. */
  readonly report: { readonly problem: string | null };
  /** The last line when there is no problem. */
  readonly verdict: string;
  readonly details: readonly string[];
}

export interface Story {
  /** Throws a LabError when the machine lacks a program. */
  readonly check: () => void;
  /** Ports of the HTTP servers; the plan's own unless given. */
  readonly ports?: readonly number[];
  readonly draw: (plan: NatPlan) => string;
  readonly tell: (lab: NatLab, options: LabOptions, narrator: Narrator, signal: AbortSignal) => Promise<Told>;
}

export const STORIES: Readonly<Record<LabName, Story>> = {
  nat: {
    check: () => {},
    draw: (plan) => drawPlan(plan),
    tell: async (lab, options, narrator, signal) => {
      const report = await tellNat(lab, options, narrator, signal);
      const shares = report.phases.map(sharesOf).join(', then ');
      return {
        report,
        verdict: `all ${report.requests} requests answered, shares as the weights ask (${shares})`,
        details: Object.entries(report.errors).map(([reason, count]) => `${count} × ${reason}`),
      };
    },
  },
  fwmark: {
    check: checkFwmark,
    ports: MARKED_PORTS,
    draw: (plan) => drawPlan(plan, '80 and :8080 by mark 7', '80 and :8080'),
    tell: async (lab, _options, narrator, signal) => ({
      report: await tellFwmark(lab, narrator, signal),
      verdict: 'ports 80 and 8080 are one service, by the mark of iptables and by that of ballast mark',
      details: [],
    }),
  },
  persistence: {
    check: checkPersistence,
    ports: PERSISTENT_PORTS,
    draw: (plan) => drawPlan(plan, '* for one client at a time', '80, :8080, :6379 (redis), :22 (ssh)'),
    tell: async (lab, _options, narrator, signal) => ({
      report: await tellPersistence(lab, narrator, signal),
      verdict: 'clients stay on their servers: of all ports, of one port, and of the ports of a mark',
      details: [],
    }),
  },
};

function sharesOf(phase: PhaseReport): string {
  return Object.keys(phase.weights)
    .map((name) => phase.perServer[name] ?? 0)
    .join(':');
}
