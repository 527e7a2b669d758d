// SPDX-License-Identifier: Apache-2.0
// The story of `ballast lab persistence`: a client's connections stay on one server. Of all its ports (PCC), of one port
// (PPC), of the ports that a firewall mark puts together, beside one without (PFWM). With curl, redis-cli and ssh.

import { setTimeout as delay } from 'node:timers/promises';
import { addAddress } from '../linux/route/address.ts';
import { openRouteSocket } from '../linux/route/route-socket.ts';
import { type Address, parseAddress } from '../packet/address.ts';
import { abortable } from './abortable.ts';
import { LabError } from './lab-error.ts';
import type { Narrator } from './nat.ts';
import { HOST_DEVICE, socketAddress } from './plan.ts';
import { requirePrograms } from './programs.ts';
import { REDIS_KEY, REDIS_PORT, SSH_PORT, startRedis, startSshd } from './server-daemons.ts';
import type { NatLab } from './session.ts';
import { Terminal } from './terminal.ts';

/** Ports of the lab's HTTP servers. */
export const WEB_PORTS: readonly number[] = [80, 8080];
const MARK = '7';
const PATIENCE_MS = 5_000;
const LOOK_MS = 50;

/** Who answered, by what was asked with: `curl :80`, `ssh`. */
export type Answers = readonly (readonly [asked: string, server: string])[];

/** What `--json` prints. */
export interface PersistenceReport {
  readonly dataplane: string;
  /** Every port of the address: one client's requests, then another client's. */
  readonly pcc: { readonly client: Answers; readonly other: Answers };
  /** One port. */
  readonly ppc: { readonly client: Answers; readonly other: Answers };
  /** Ports of one mark, and a service beside it that remembers nobody. */
  readonly pfwm: { readonly client: Answers; readonly unmarked: Answers };
  /** What is wrong, or null. */
  readonly problem: string | null;
}

export function checkPersistence(): void {
  requirePrograms(['curl', 'iptables', 'redis-cli', 'redis-server', 'ssh', 'ssh-keygen', 'sshd']);
}

/** Runs the recipe on a standing lab. Rejects when `signal` aborts. */
export async function tellPersistence(
  lab: NatLab,
  narrator: Narrator,
  signal: AbortSignal,
): Promise<PersistenceReport> {
  const other = addOtherClient(lab);
  await abortable(startRedis(lab), signal);
  const sshConfig = await abortable(startSshd(lab), signal);
  const terminal = new Terminal(lab, narrator, signal);
  const { dataplane } = await abortable(lab.director.status(), signal);
  terminal.say(`\n${dataplane}, daemon pid ${lab.director.pid}\n`);
  const story = new PersistenceStory(lab, terminal, signal, { other, sshConfig });

  const pcc = await story.everyPort();
  const ppc = await story.onePort();
  const pfwm = await story.onePortOfMany();
  const problem = judgeAll(pcc, ppc, pfwm) ?? null;
  return { dataplane, pcc, ppc, pfwm, problem };
}

class PersistenceStory {
  readonly #lab: NatLab;
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;
  readonly #virtual: Address;
  readonly #other: Address;
  readonly #sshConfig: string;

  constructor(
    lab: NatLab,
    terminal: Terminal,
    signal: AbortSignal,
    { other, sshConfig }: { readonly other: Address; readonly sshConfig: string },
  ) {
    this.#lab = lab;
    this.#terminal = terminal;
    this.#signal = signal;
    this.#virtual = lab.plan.virtual.v4;
    this.#other = other;
    this.#sshConfig = sshConfig;
  }

  /** PCC: persistent client connections, all ports. */
  async everyPort(): Promise<PersistenceReport['pcc']> {
    this.#terminal.say('PCC: every port of one client on one server.\n');
    const service = ['-t', `${this.#virtual}:0`];
    await this.#terminal.ipvsadm('-A', ...service, '-s', 'wrr', '-p');
    await this.#addServers(service, 0);
    const client = [
      await this.#curl(80),
      await this.#curl(8080),
      await this.#redis(),
      await this.#ssh(),
      await this.#curl(80),
    ];
    const other = [await this.#curl(80, this.#other), await this.#curl(8080, this.#other)];
    await this.#list();
    await this.#terminal.ipvsadm('-C');
    return { client, other };
  }

  /** PPC: persistent port connections. */
  async onePort(): Promise<PersistenceReport['ppc']> {
    this.#terminal.say('\nPPC: one port, for 360 seconds after the last connection.\n');
    const service = ['-t', socketAddress(this.#virtual, 80)];
    await this.#terminal.ipvsadm('-A', ...service, '-s', 'wrr', '-p', '360');
    await this.#addServers(service, 80);
    const client = [await this.#curl(80), await this.#curl(80), await this.#curl(80)];
    const other = [await this.#curl(80, this.#other), await this.#curl(80, this.#other)];
    await this.#list();
    await this.#terminal.ipvsadm('-C');
    return { client, other };
  }

  /** PFWM: persistence by firewall mark, beside a service without. */
  async onePortOfMany(): Promise<PersistenceReport['pfwm']> {
    const terminal = this.#terminal;
    terminal.say('\nPFWM: ports 80 and 8080 together by their mark; redis beside them, with nobody remembered.\n');
    const ports = ['-p', 'tcp', '-m', 'multiport', '--dports', WEB_PORTS.join()];
    const rule = ['-d', this.#virtual, ...ports, '-j', 'MARK', '--set-mark', MARK];
    await terminal.onDirector('iptables', '-t', 'mangle', '-A', 'PREROUTING', ...rule);
    await terminal.ipvsadm('-A', '-f', MARK, '-s', 'wrr');
    await this.#addServers(['-f', MARK], 0);
    await terminal.ipvsadm('-E', '-f', MARK, '-s', 'wrr', '-p', '1200');
    const redis = ['-t', socketAddress(this.#virtual, REDIS_PORT)];
    await terminal.ipvsadm('-A', ...redis, '-s', 'wrr');
    await this.#addServers(redis, REDIS_PORT);
    await this.#untilMarked();
    const client = [await this.#curl(80), await this.#curl(8080), await this.#curl(80)];
    const unmarked: [string, string][] = [];
    for (let i = 0; i < this.#lab.plan.servers.length; i++) unmarked.push(await this.#redis());
    await this.#list();
    return { client, unmarked };
  }

  async #addServers(service: readonly string[], port: number): Promise<void> {
    for (const { v4 } of this.#lab.plan.servers) {
      await this.#terminal.ipvsadm('-a', ...service, '-r', socketAddress(v4.address, port), '-m');
    }
    this.#terminal.say('');
  }

  async #list(): Promise<void> {
    this.#terminal.say('');
    await this.#terminal.ipvsadm('-Lcn');
    await this.#terminal.ipvsadm('-Ln', '--persistent-conn');
  }

  async #curl(port: number, from?: Address): Promise<[string, string]> {
    const source = from === undefined ? [] : ['--interface', from];
    const url = `http://${socketAddress(this.#virtual, port)}/`;
    const text = await this.#terminal.onClient('curl', '-sS', '--max-time', '5', ...source, url);
    return [`curl :${port}`, /^hello from (\S+)/.exec(text)?.[1] ?? ''];
  }

  async #redis(): Promise<[string, string]> {
    const args = ['-h', this.#virtual, '-p', String(REDIS_PORT), 'get', REDIS_KEY];
    return ['redis-cli', (await this.#terminal.onClient('redis-cli', ...args)).trim()];
  }

  async #ssh(): Promise<[string, string]> {
    const args = ['-F', this.#sshConfig, '-p', String(SSH_PORT), this.#virtual];
    return ['ssh', (await this.#terminal.onClient('ssh', ...args)).trim()];
  }

  /** Waits until the engine has the rule of iptables. */
  async #untilMarked(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const { kernel } = await abortable(this.#lab.director.marks(), this.#signal);
      if (kernel !== undefined && kernel.rules.length > 0) return;
      if (performance.now() > deadline) throw new LabError('the director does not see the rules of iptables');
      await abortable(delay(LOOK_MS), this.#signal);
    }
  }
}

/** A second address of the client's, for another client in the eyes of the director. */
function addOtherClient(lab: NatLab): Address {
  const { address, prefixLength } = lab.plan.client.v4;
  const other = parseAddress(address.replace(/\.\d+$/, '.3'));
  if (other === undefined) throw new TypeError(`not an address: '${address}'`);
  const socket = openRouteSocket(lab.plan.client.namespace);
  try {
    addAddress(socket, HOST_DEVICE, other, prefixLength);
  } finally {
    socket.close();
  }
  return other;
}

function judgeAll(
  pcc: PersistenceReport['pcc'],
  ppc: PersistenceReport['ppc'],
  pfwm: PersistenceReport['pfwm'],
): string | undefined {
  return (
    judgeClients('PCC', pcc.client, pcc.other) ??
    judgeClients('PPC', ppc.client, ppc.other) ??
    judgeOne('PFWM', pfwm.client) ??
    (new Set(pfwm.unmarked.map(([, server]) => server)).size === pfwm.unmarked.length
      ? undefined
      : 'PFWM: redis, which remembers nobody, did not take turns')
  );
}

/** Each client on one server, the two of them on two. */
export function judgeClients(name: string, client: Answers, other: Answers): string | undefined {
  const wrong = judgeOne(name, client) ?? judgeOne(name, other);
  if (wrong !== undefined) return wrong;
  return client[0][1] === other[0][1] ? `${name}: two clients are on ${client[0][1]}` : undefined;
}

function judgeOne(name: string, answers: Answers): string | undefined {
  const [[, first]] = answers;
  const stray = answers.find(([, server]) => server !== first || server === '');
  return stray === undefined ? undefined : `${name}: ${stray[0]} was answered by '${stray[1]}', others by '${first}'`;
}
