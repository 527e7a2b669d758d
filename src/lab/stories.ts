// SPDX-License-Identifier: Apache-2.0
// The labs by their names: what each needs, how its network is drawn, what it tells, and its last line.

import { checkDr, tellDr } from './dr.ts';
import { checkFtp, tellFtp } from './ftp.ts';
import { checkFullnat, tellFullnat } from './fullnat.ts';
import { PLAIN_PORT } from './fullnat-servers.ts';
import { checkFwmark, WEB_PORTS as MARKED_PORTS, tellFwmark } from './fwmark.ts';
import { type Narrator, type PhaseReport, tellNat } from './nat.ts';
import type { LabName, LabOptions } from './options.ts';
import { checkPersistence, WEB_PORTS as PERSISTENT_PORTS, tellPersistence } from './persistence.ts';
import { drawPlan } from './plan.ts';
import { RemoteLab } from './remote.ts';
import { drawRemote } from './remote-plan.ts';
import { SegmentLab } from './segment.ts';
import { drawSegment } from './segment-plan.ts';
import { NatLab } from './session.ts';
import type { StandingLab } from './standing-lab.ts';
import { checkTun, tellTun } from './tun.ts';

/** What has come out. */
export interface Told {
  /** What `--json` prints. */
  readonly report: { readonly problem: string | null };
  /** The last line when there is no problem. */
  readonly verdict: string;
  readonly details: readonly string[];
}

/** A lab of one kind, from its network to its end. Methods get the very lab that `open` gave. */
export interface Story {
  /** Throws a LabError when the machine lacks a program. */
  check(): void;
  open(options: LabOptions): Promise<StandingLab>;
  draw(lab: StandingLab): string;
  tell(lab: StandingLab, options: LabOptions, narrator: Narrator, signal: AbortSignal): Promise<Told>;
}

/** Story of a lab behind NAT; `ports` are those of its HTTP servers, the plan's own unless given. */
interface NatStory extends Story {
  draw(lab: NatLab): string;
  tell(lab: NatLab, options: LabOptions, narrator: Narrator, signal: AbortSignal): Promise<Told>;
}

function natStory(story: Omit<NatStory, 'open'>, ports?: readonly number[]): Story {
  const open = ({ servers }: LabOptions): Promise<NatLab> =>
    NatLab.open({ servers, ...(ports && { serverPorts: ports }) });
  return { ...story, open };
}

export const STORIES: Readonly<Record<LabName, Story>> = {
  nat: natStory({
    check: () => {},
    draw: (lab) => drawPlan(lab.plan),
    tell: async (lab, options, narrator, signal) => {
      const report = await tellNat(lab, options, narrator, signal);
      const shares = report.phases.map(sharesOf).join(', then ');
      return {
        report,
        verdict: `all ${report.requests} requests answered, shares as the weights ask (${shares})`,
        details: Object.entries(report.errors).map(([reason, count]) => `${count} × ${reason}`),
      };
    },
  }),
  fwmark: natStory(
    {
      check: checkFwmark,
      draw: (lab) => drawPlan(lab.plan, '80 and :8080 by mark 7', '80 and :8080'),
      tell: async (lab, _options, narrator, signal) => ({
        report: await tellFwmark(lab, narrator, signal),
        verdict: 'ports 80 and 8080 are one service, by the mark of iptables and by that of ballast mark',
        details: [],
      }),
    },
    MARKED_PORTS,
  ),
  persistence: natStory(
    {
      check: checkPersistence,
      draw: (lab) => drawPlan(lab.plan, '* for one client at a time', '80, :8080, :6379 (redis), :22 (ssh)'),
      tell: async (lab, _options, narrator, signal) => ({
        report: await tellPersistence(lab, narrator, signal),
        verdict: 'clients stay on their servers: of all ports, of one port, and of the ports of a mark',
        details: [],
      }),
    },
    PERSISTENT_PORTS,
  ),
  ftp: natStory({
    check: checkFtp,
    draw: (lab) => drawPlan(lab.plan, '21 and the data connections', '21 (vsftpd)'),
    tell: async (lab, options, narrator, signal) => ({
      report: await tellFtp(lab, options, narrator, signal),
      verdict: 'every file arrived as it was, in passive and active mode, down and up, over IPv4 and IPv6',
      details: [],
    }),
  }),
  dr: {
    check: checkDr,
    open: ({ servers }) => SegmentLab.open({ servers }),
    draw: (lab: SegmentLab) => drawSegment(lab.plan),
    tell: async (lab: SegmentLab, _options, narrator, signal) => ({
      report: await tellDr(lab, narrator, signal),
      verdict: 'shares as the weights ask, one client on one server with sh, and no answer crossed the director',
      details: [],
    }),
  },
  tun: {
    check: checkTun,
    open: ({ servers }) => RemoteLab.open({ servers, serverRoutes: 'all' }),
    draw: (lab: RemoteLab) => drawRemote(lab.plan, 'tunnels'),
    tell: async (lab: RemoteLab, _options, narrator, signal) => ({
      report: await tellTun(lab, narrator, signal),
      verdict: 'answers went past the director, and everybody learned how large packets may be',
      details: [],
    }),
  },
  fullnat: {
    check: checkFullnat,
    open: ({ servers }) => RemoteLab.open({ servers, serverRoutes: 'director', serverPort: PLAIN_PORT }),
    draw: (lab: RemoteLab) => drawRemote(lab.plan, 'FULLNAT'),
    tell: async (lab: RemoteLab, _options, narrator, signal) => ({
      report: await tellFullnat(lab, narrator, signal),
      verdict: 'servers without a way to clients answered them all, and knew each one by its address',
      details: [],
    }),
  },
};

function sharesOf(phase: PhaseReport): string {
  return Object.keys(phase.weights)
    .map((name) => phase.perServer[name] ?? 0)
    .join(':');
}
