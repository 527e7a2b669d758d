// SPDX-License-Identifier: Apache-2.0
// The story of `ballast lab dr`: direct routing as operators set it up. The servers hold the virtual address on lo and
// answer the client themselves; what the devices counted shows it. Over IPv4 and IPv6.

import type { Address, Family } from '../packet/address.ts';
import { abortable } from './abortable.ts';
import {
  type CountedDevice,
  drawWays,
  type FrameCounts,
  framesBetween,
  readFrames,
  type Stop,
} from './frame-counts.ts';
import type { Narrator } from './nat.ts';
import { HOST_DEVICE, socketAddress } from './plan.ts';
import { requirePrograms } from './programs.ts';
import type { SegmentLab } from './segment.ts';
import type { SegmentPlan } from './segment-plan.ts';
import { emptyTally, increase, judge, type Tally } from './tally.ts';
import { Terminal } from './terminal.ts';

/** The recipe's weights: the first server's, and that of all others. */
const WEIGHTS = [2, 3] as const;
/** Requests for each unit of weight. */
const ROUNDS = 4;
/** Requests with source hashing. */
const STICKY_REQUESTS = 5;
/** What servers send in the measured download: far more frames than ARP and neighbour discovery. */
const DOWNLOAD_BYTES = 2_000_000;
/** Frames that the director may see besides requests: ARP, neighbour discovery, multicast. */
const HOUSEKEEPING_FRAMES = 40;

/** What came out in one family. */
export interface DrFamilyReport {
  readonly tally: Tally;
  readonly weights: Readonly<Record<string, number>>;
  /** Who answered with source hashing. */
  readonly sticky: readonly string[];
  /** Frames of one download. */
  readonly frames: FrameCounts;
  /** Packets of it that the director forwarded, by its own counter. */
  readonly forwarded: number;
}

/** What `--json` prints. */
export interface DrReport {
  readonly dataplane: string;
  readonly ipv4: DrFamilyReport;
  readonly ipv6: DrFamilyReport;
  /** What is wrong, or null. */
  readonly problem: string | null;
}

export function checkDr(): void {
  requirePrograms(['curl']);
}

/** Runs the recipe on a standing lab. Rejects when `signal` aborts. */
export async function tellDr(lab: SegmentLab, narrator: Narrator, signal: AbortSignal): Promise<DrReport> {
  const terminal = new Terminal(lab, narrator, signal);
  const { dataplane } = await abortable(lab.director.status(), signal);
  terminal.say(`\n${dataplane}, daemon pid ${lab.director.pid}\n`);
  await setUpServers(lab, terminal);
  const ipv4 = await tellFamily(lab, terminal, signal, 4);
  const ipv6 = await tellFamily(lab, terminal, signal, 6);
  const problem = judgeFamily('IPv4', ipv4, lab.plan) ?? judgeFamily('IPv6', ipv6, lab.plan) ?? null;
  return { dataplane, ipv4, ipv6, problem };
}

/** The servers' side, by the command that operators use. */
export async function setUpServers(lab: SegmentLab, terminal: Terminal): Promise<void> {
  const { servers, virtual } = lab.plan;
  const up = ['realserver', 'up', '--method', 'dr', '--vip', virtual.v4, '--vip', virtual.v6];
  for (const server of servers) await terminal.ballastOn(server, up, ['--state', lab.stateFile(server)]);
}

async function tellFamily(
  lab: SegmentLab,
  terminal: Terminal,
  signal: AbortSignal,
  family: Family,
): Promise<DrFamilyReport> {
  const { plan } = lab;
  const own = <T>(addresses: { readonly v4: T; readonly v6: T }): T => (family === 4 ? addresses.v4 : addresses.v6);
  const { port } = plan.virtual;
  const service = ['-t', socketAddress(own(plan.virtual), port)];
  const real = (address: Address): string[] => ['-r', socketAddress(address, port), '-g'];
  const weights = Object.fromEntries(plan.servers.map(({ name }, i) => [name, WEIGHTS[Math.min(i, 1)]]));

  terminal.say(`\nIPv${family}\n`);
  await terminal.ipvsadm('-A', ...service, '-s', 'wrr');
  for (const server of plan.servers) {
    await terminal.ipvsadm('-a', ...service, ...real(own(server).address), '-w', String(weights[server.name]));
  }
  terminal.say('');
  const url = `http://${socketAddress(own(plan.virtual), port)}/`;
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  const tally = tallyOf(await askOften(terminal, url, ROUNDS * total));
  terminal.say('');
  await terminal.ipvsadm('-Ln');

  const devices = devicesOf(plan);
  const forwardedBefore = await forwardedPackets(lab, signal);
  const before = readFrames(devices);
  terminal.say(`\nWho sees what of a download of ${DOWNLOAD_BYTES / 1e6} MB:\n`);
  await terminal.onClient('curl', '-sS', '-o', '/dev/null', '--max-time', '30', `${url}bytes/${DOWNLOAD_BYTES}`);
  const frames = framesBetween(before, readFrames(devices));
  const forwarded = (await forwardedPackets(lab, signal)) - forwardedBefore;
  terminal.say(`\n${drawPath(plan, frames)}\n`);

  await terminal.ipvsadm('-E', ...service, '-s', 'sh');
  const sticky = await askOften(terminal, url, STICKY_REQUESTS);
  return { tally, weights, sticky, frames, forwarded };
}

/** One request after the other, each on a connection of its own; who answered, '' for nobody. */
async function askOften(terminal: Terminal, url: string, count: number): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < count; i++) {
    const { status, stdout } = await terminal.tryOnClient('curl', '-sS', '--max-time', '5', url);
    answers.push(status === 0 ? (/^hello from (\S+)/.exec(stdout)?.[1] ?? '') : '');
  }
  return answers;
}

function tallyOf(answers: readonly string[]): Tally {
  const tally = emptyTally();
  for (const server of answers) {
    tally.requests++;
    if (server === '') {
      tally.failed++;
      continue;
    }
    tally.ok++;
    increase(tally.perServer, server);
  }
  return tally;
}

async function forwardedPackets(lab: SegmentLab, signal: AbortSignal): Promise<number> {
  return (await abortable(lab.director.status(), signal)).totals.counters.inPackets;
}

/** The devices whose frames tell the path. */
export function devicesOf({ client, router, director, servers }: SegmentPlan): CountedDevice[] {
  const devices = [client, director, ...servers].map(({ name, namespace }) => ({
    name,
    namespace,
    device: HOST_DEVICE,
  }));
  if (router !== undefined) {
    devices.push({ name: 'router', namespace: router.namespace, device: router.segmentSide.device });
  }
  return devices;
}

/** Requests by way of the director, answers past it. */
export function drawPath({ router, servers }: SegmentPlan, frames: FrameCounts): string {
  const names = servers.map(({ name }) => name);
  const stop = (label: string, counts: Stop['counts'], ...of: string[]): Stop => ({ label, counts, names: of });
  const requests = [stop('client', 'sent', 'client')];
  const answers = [stop(names.join(', '), 'sent', ...names)];
  if (router !== undefined) {
    requests.push(stop('router', 'sent', 'router'));
    answers.push(stop('router', 'received', 'router'));
  }
  requests.push(stop('director', 'sent', 'director'), stop(names.join(', '), 'received', ...names));
  answers.push(stop('client', 'received', 'client'));
  const { received } = frames.director;
  return `${drawWays(
    [
      ['requests', requests],
      ['answers', answers],
    ],
    frames,
  )}\n   The director received ${received} frames: the requests, and ARP or neighbour discovery.`;
}

/** What is wrong with a family's outcome, or undefined. */
export function judgeFamily(name: string, report: DrFamilyReport, plan: SegmentPlan): string | undefined {
  const { tally, weights, sticky, frames, forwarded } = report;
  const shares = judge(tally, weights);
  if (shares !== undefined) return `${name}: ${shares}`;
  const [first] = sticky;
  if (sticky.some((server) => server === '' || server !== first)) {
    return `${name}: with sh one client was on ${[...new Set(sticky)].map((server) => `'${server}'`).join(' and ')}`;
  }
  return judgePath(name, frames, forwarded, plan);
}

/** The answers' frames are not among those of the director. */
function judgePath(name: string, frames: FrameCounts, forwarded: number, plan: SegmentPlan): string | undefined {
  const answered = plan.servers.reduce((sum, server) => sum + frames[server.name].sent, 0);
  // 1448 bytes of data in a frame at most.
  const least = DOWNLOAD_BYTES / 1500;
  if (answered < least) return `${name}: the servers sent ${answered} frames, fewer than the download has`;
  const { received, sent } = frames.director;
  for (const [what, count] of [
    ['received', received],
    ['sent', sent],
  ] as const) {
    if (count < forwarded || count > forwarded + HOUSEKEEPING_FRAMES) {
      return `${name}: the director ${what} ${count} frames for the ${forwarded} packets that it forwarded`;
    }
  }
  return undefined;
}
