// SPDX-License-Identifier: Apache-2.0
// The story of `ballast lab fwmark`: ports 80 and 8080 as one service by a firewall mark. The mark comes from the very
// iptables command that an operator types; then, without iptables, from `ballast mark`. Over IPv4 and IPv6.

import { setTimeout as delay } from 'node:timers/promises';
import { abortable } from './abortable.ts';
import { LabError } from './lab-error.ts';
import type { Narrator } from './nat.ts';
import { requirePrograms } from './programs.ts';
import type { NatLab } from './session.ts';
import { Terminal } from './terminal.ts';

/** Ports of the service; the servers listen on the same ones. */
export const WEB_PORTS: readonly number[] = [80, 8080];
const MARK = '7';
/** The engine reads changed rules within a second. */
const PATIENCE_MS = 5_000;
const LOOK_MS = 50;

/** One request: to where, and who answered. */
export interface Request {
  readonly url: string;
  /** Name of the server, '' for none. */
  readonly server: string;
}

/** What `--json` prints. */
export interface FwmarkReport {
  /** The data plane's own words for itself. */
  readonly dataplane: string;
  /** With the mark of iptables over IPv4, then over IPv6, without any, with the mark of `ballast mark`. */
  readonly ipv4: readonly Request[];
  readonly ipv6: readonly Request[];
  readonly unmarked: readonly Request[];
  readonly ballast: readonly Request[];
  /** What is wrong, or null. */
  readonly problem: string | null;
}

export function checkFwmark(): void {
  requirePrograms(['curl', 'iptables', 'ip6tables']);
}

/** Runs the recipe on a standing lab. Rejects when `signal` aborts. */
export async function tellFwmark(lab: NatLab, narrator: Narrator, signal: AbortSignal): Promise<FwmarkReport> {
  const { plan, director } = lab;
  const terminal = new Terminal(lab, narrator, signal);
  const { dataplane } = await abortable(director.status(), signal);
  terminal.say(`\n${dataplane}, daemon pid ${director.pid}\n`);

  const rule = (address: string): string[] => [
    ...['-d', address, '-p', 'tcp', '-m', 'multiport', '--dports', WEB_PORTS.join()],
    ...['-j', 'MARK', '--set-mark', MARK],
  ];
  await terminal.onDirector('iptables', '-t', 'mangle', '-A', 'PREROUTING', ...rule(plan.virtual.v4));
  await terminal.onDirector('ip6tables', '-t', 'mangle', '-A', 'PREROUTING', ...rule(plan.virtual.v6));
  await terminal.ipvsadm('-A', '-f', MARK, '-s', 'wrr');
  for (const { v4 } of plan.servers) await terminal.ipvsadm('-a', '-f', MARK, '-r', `${v4.address}:0`, '-m');
  await terminal.ipvsadm('-A', '-f', MARK, '-6', '-s', 'wrr');
  for (const { v6 } of plan.servers) await terminal.ipvsadm('-a', '-f', MARK, '-6', '-r', `[${v6.address}]:0`, '-m');
  await untilRead(lab, 2, signal);
  await terminal.ballast('mark', 'list');

  terminal.say('');
  const ipv4 = await requests(terminal, plan.virtual.v4, 2 * plan.servers.length);
  terminal.say('');
  const ipv6 = await requests(terminal, `[${plan.virtual.v6}]`, 2 * plan.servers.length);

  terminal.say('\nWithout the rule nothing has the mark: nobody serves the port.\n');
  await terminal.onDirector('iptables', '-t', 'mangle', '-D', 'PREROUTING', ...rule(plan.virtual.v4));
  await untilRead(lab, 1, signal);
  const unmarked = await requests(terminal, plan.virtual.v4, 1);

  terminal.say('\nThe same without iptables:\n');
  const own = ['--protocol', 'tcp', '--destination', plan.virtual.v4, '--destination-port', WEB_PORTS.join()];
  await terminal.ballast('mark', 'add', '--mark', MARK, ...own);
  const ballast = await requests(terminal, plan.virtual.v4, 2 * plan.servers.length);
  terminal.say('');
  await terminal.ipvsadm('-Ln');
  await terminal.ipvsadm('-Ln', '--stats');

  const names = plan.servers.map(({ name }) => name);
  const problem =
    judge('with iptables', ipv4, names) ??
    judge('with ip6tables', ipv6, names) ??
    (unmarked.some(({ server }) => server !== '') ? 'a request was answered without a mark' : undefined) ??
    judge('with ballast mark', ballast, names) ??
    null;
  return { dataplane, ipv4, ipv6, unmarked, ballast, problem };
}

/** Requests one after the other, to one port and the other in turn. */
async function requests(terminal: Terminal, host: string, count: number): Promise<Request[]> {
  const made: Request[] = [];
  for (let i = 0; i < count; i++) {
    const url = `http://${host}:${WEB_PORTS[i % WEB_PORTS.length]}/`;
    const { status, stdout } = await terminal.tryOnClient('curl', '-sS', '--max-time', '5', url);
    made.push({ url, server: status === 0 ? (/^hello from (\S+)/.exec(stdout)?.[1] ?? '') : '' });
  }
  return made;
}

/** One service over both ports: its round robin goes on from port to port, so that all servers take turns. */
export function judge(when: string, made: readonly Request[], names: readonly string[]): string | undefined {
  const failed = made.find(({ server }) => server === '');
  if (failed !== undefined) return `${when}, ${failed.url} was not answered`;
  for (const [i, { server, url }] of made.entries()) {
    const before = made.slice(Math.max(0, i - names.length + 1), i).map((one) => one.server);
    if (before.includes(server)) return `${when}, ${server} answered ${url} out of turn`;
  }
  return undefined;
}

/** Waits until the engine has as many of the kernel's rules as there are. */
async function untilRead(lab: NatLab, count: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { kernel } = await abortable(lab.director.marks(), signal);
    if (kernel?.rules.length === count) return;
    if (performance.now() > deadline) throw new LabError('the director does not see the rules of iptables');
    await abortable(delay(LOOK_MS), signal);
  }
}
