// SPDX-License-Identifier: Apache-2.0
// What the lab `fullnat` measures and prints, and whether it is what FULLNAT promises. Pure.

import type { FrameCounts } from './frame-counts.ts';

/** What a crowd of clients found; printed by proxy-client-process.ts. */
export interface CrowdReport {
  readonly made: number;
  /** The server saw this very client, and the bytes that it had sent. */
  readonly right: number;
  /** Answers about somebody else or other bytes. */
  readonly wrong: readonly string[];
  /** No answer. */
  readonly failed: readonly string[];
  readonly servers: readonly string[];
}

/** One request: who the client was, as `address port`, and whom the server saw. */
export interface Seen {
  readonly server: string;
  readonly client: string;
  readonly seen: string;
}

export interface FullnatFamilyReport {
  /** By nginx and HAProxy, from PROXY headers. */
  readonly proxyV1: readonly Seen[];
  readonly proxyV2: readonly Seen[];
  /** A real server as client of its own service. */
  readonly hairpin: Seen;
  /** The TCP option as it arrived, kind and length before it, in hex; empty for none. */
  readonly toa: string;
  /** The same as it ought to be. */
  readonly toaExpected: string;
  /** A download's frames, and the director's own count of its packets in both directions. */
  readonly frames: FrameCounts;
  readonly forwarded: number;
  /** Over a line that loses and delays packets. */
  readonly connections: CrowdReport;
  readonly datagrams: CrowdReport;
  readonly pinged: boolean;
  readonly hops: readonly string[];
}

export interface ExhaustionReport {
  readonly answered: number;
  readonly refused: number;
  /** What `ballast local list` says of it. */
  readonly listed: string;
  /** The line of the log. */
  readonly logged: string;
}

/** What `--json` prints. */
export interface FullnatReport {
  readonly dataplane: string;
  readonly ipv4: FullnatFamilyReport;
  readonly ipv6: FullnatFamilyReport;
  readonly exhaustion: ExhaustionReport;
  /** What is wrong, or null. */
  readonly problem: string | null;
}

/** Ports of the pool that is used up. */
export const FEW_PORTS = 4;
/** Requests to it. */
export const MANY_REQUESTS = 6;

/** Frames that the director may see besides packets: ARP, neighbour discovery, multicast. */
const HOUSEKEEPING_FRAMES = 40;

/** What is wrong with a family's outcome, or undefined. */
export function judgeFamily(report: FullnatFamilyReport, servers: number): string | undefined {
  const { proxyV1, proxyV2, hairpin, toa, toaExpected, frames, forwarded, pinged, hops } = report;
  for (const [name, requests] of [
    ['PROXY version 1', proxyV1],
    ['PROXY version 2', proxyV2],
  ] as const) {
    const wrong = requests.find(({ client, seen }) => client !== seen);
    if (wrong !== undefined) return `${name}: ${describe(wrong)}`;
    const answered = new Set(requests.map(({ server }) => server)).size;
    if (answered !== servers) return `${name}: ${answered} of ${servers} servers answered`;
  }
  if (hairpin.client !== hairpin.seen) return `a server as client: ${describe(hairpin)}`;
  if (toa !== toaExpected) return `the TCP option is '${toa}', not '${toaExpected}'`;
  for (const what of ['received', 'sent'] as const) {
    const count = frames.director[what];
    if (count < forwarded || count > forwarded + HOUSEKEEPING_FRAMES) {
      return `the director ${what} ${count} frames for the ${forwarded} packets that it forwarded`;
    }
  }
  const crowd = judgeCrowd('connections', report.connections) ?? judgeCrowd('datagrams', report.datagrams);
  if (crowd !== undefined) return crowd;
  if (!pinged) return 'the virtual address does not answer ping';
  if (hops.length === 0 || hops.includes('*')) return `traceroute sees ${hops.join(', ') || 'nobody'}`;
  return undefined;
}

function describe({ server, client, seen }: Seen): string {
  return `${server || 'nobody'} saw '${seen}', the client was '${client}'`;
}

function judgeCrowd(name: string, { made, right, wrong, failed }: CrowdReport): string | undefined {
  if (made > 0 && right === made) return undefined;
  return `${made - right} of ${made} ${name} were not what they should be: ${[...wrong, ...failed][0] ?? 'nobody says why'}`;
}

export function judgeExhaustion({ answered, refused, listed, logged }: ExhaustionReport): string | undefined {
  if (answered !== FEW_PORTS || refused !== MANY_REQUESTS - FEW_PORTS) {
    return `${FEW_PORTS} ports served ${answered} connections and refused ${refused}`;
  }
  if (listed === '') return "'ballast local list' does not say that ports were missing";
  if (logged === '') return 'the log does not say that ports were missing';
  return undefined;
}
