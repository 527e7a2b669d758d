// SPDX-License-Identifier: Apache-2.0
// The story of `ballast lab nat`: the operator's first recipe, typed as an operator types it. A service with two equal
// servers, traffic, another weight, traffic, the listings. Standing lab and cleaning up are lab.ts's business.

import { abortable } from './abortable.ts';
import { LabClient } from './hosts.ts';
import type { LabOptions } from './options.ts';
import { socketAddress } from './plan.ts';
import type { NatLab } from './session.ts';
import type { TablePainter, TableState } from './table.ts';
import { addTallies, emptyTally, judge, type Tally } from './tally.ts';

const REDRAW_MS = 250;

export interface PhaseReport extends Tally {
  readonly weights: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** What `--json` prints. */
export interface LabReport extends Tally {
  readonly seconds: number;
  /** The data plane's own words for itself. */
  readonly dataplane: string;
  readonly phases: readonly PhaseReport[];
  /** What is wrong, or null. */
  readonly problem: string | null;
}

/** Where the story is told; with --json nowhere. */
export interface Narrator {
  say(text: string): void;
  readonly painter: TablePainter | undefined;
}

/** Runs the recipe on a standing lab. Rejects when `signal` aborts. */
export async function tellNat(
  lab: NatLab,
  options: LabOptions,
  narrator: Narrator,
  signal: AbortSignal,
): Promise<LabReport> {
  const { plan, director } = lab;
  const service = ['-t', socketAddress(plan.virtual.v4, plan.virtual.port)];
  const ipvsadm = async (...args: string[]): Promise<void> => {
    narrator.say(`$ ipvsadm ${args.join(' ')}`);
    const output = await abortable(director.mustIpvsadm(...args), signal);
    if (output !== '') narrator.say(output.trimEnd());
  };
  const server = (i: number): string => socketAddress(plan.servers[i].v4.address, plan.serverPort);

  const { dataplane } = await abortable(director.status(), signal);
  narrator.say(`\n${dataplane}, daemon pid ${director.pid}\n`);
  await ipvsadm('-A', ...service, '-s', 'wrr');
  for (let i = 0; i < plan.servers.length; i++) await ipvsadm('-a', ...service, '-r', server(i), '-m', '-w', '1');
  narrator.say('');

  const weights = Object.fromEntries(plan.servers.map((host) => [host.name, 1]));
  const client = new LabClient(plan);
  try {
    const phases: PhaseReport[] = [];
    phases.push(await runPhase(lab, client, options, { ...weights }, narrator, signal));
    narrator.say('');
    await ipvsadm('-e', ...service, '-r', server(0), '-m', '-w', '2');
    narrator.say('');
    weights[plan.servers[0].name] = 2;
    phases.push(await runPhase(lab, client, options, { ...weights }, narrator, signal));
    narrator.say('');
    for (const listing of [['-Ln'], ['-Ln', '--stats'], ['-Ln', '--rate']]) await ipvsadm(...listing);
    const problem = phases.map((phase) => judge(phase, phase.weights)).find((found) => found !== undefined) ?? null;
    const seconds = phases.reduce((sum, phase) => sum + phase.seconds, 0);
    return { ...addTallies(...phases), seconds: round(seconds), dataplane, phases, problem };
  } finally {
    await client.close();
  }
}

/** One half of the requests, none of them in flight before or after. */
async function runPhase(
  lab: NatLab,
  client: LabClient,
  options: LabOptions,
  weights: Readonly<Record<string, number>>,
  narrator: Narrator,
  signal: AbortSignal,
): Promise<PhaseReport> {
  const { plan, director } = lab;
  const requests = Math.max(1, Math.round((options.rate * options.seconds) / 2));
  const order = { host: plan.virtual.v4, port: plan.virtual.port, rate: options.rate, requests };
  const startMs = performance.now();
  let state: TableState = { title: 'weights', tally: emptyTally(), weights, connections: 0, packets: 0 };
  const update = async (tally: Tally): Promise<void> => {
    const status = await director.status();
    const { inPackets, outPackets } = status.totals.counters;
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const title = `weights ${Object.values(weights).join(':')}, ${seconds} s of ${options.seconds / 2} s`;
    state = { title, tally, weights, connections: status.connections.current, packets: inPackets + outPackets };
  };
  let latest = emptyTally();
  const painting = setInterval(() => {
    update(latest).then(
      () => narrator.painter?.paint(state),
      () => {}, // The daemon is busy or gone; the requests tell.
    );
  }, REDRAW_MS);
  try {
    const phase = client.runPhase(order, (tally) => {
      latest = tally;
    });
    const tally = await abortable(phase, signal);
    clearInterval(painting);
    await abortable(update(tally), signal);
    narrator.painter?.finish(state);
    const names = new Set([...Object.keys(weights), ...Object.keys(tally.perServer)]);
    const perServer = Object.fromEntries([...names].map((name) => [name, tally.perServer[name] ?? 0]));
    return { ...tally, perServer, weights, seconds: round((performance.now() - startMs) / 1000) };
  } finally {
    clearInterval(painting);
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
