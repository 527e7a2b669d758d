// SPDX-License-Identifier: Apache-2.0
// The story of `ballast lab tun`: servers in another network, reached by a tunnel. They take it apart, hold the virtual
// address where nobody asks for it and answer the client themselves. Then a smaller MTU on the way: routers tell the
// director, the director tells the client, and what clients and servers send becomes smaller. Over IPv4 and IPv6.

import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { spawnInNamespace } from '../linux/process-namespace.ts';
import type { Family } from '../packet/address.ts';
import type { TunnelType } from '../realserver/setup.ts';
import { abortable } from './abortable.ts';
import { outcome } from './director.ts';
import { framesBetween, readFrames } from './frame-counts.ts';
import { firstOutput } from './hosts.ts';
import type { Narrator } from './nat.ts';
import { payload } from './payload.ts';
import { type HostPlan, socketAddress } from './plan.ts';
import { requirePrograms } from './programs.ts';
import { packetsAtRest } from './quiet.ts';
import type { RemoteLab } from './remote.ts';
import { devicesOf, drawAnswersPast } from './remote-path.ts';
import { Terminal } from './terminal.ts';
import { judgeFamily, judgeNarrow } from './tun-judge.ts';
import {
  DATAGRAM_BYTES,
  DATAGRAMS,
  type Families,
  FILE_BYTES,
  MTU,
  NARROW_MTU,
  type NarrowReport,
  OVERHEAD,
  type TunFamilyReport,
  type TunReport,
} from './tun-report.ts';

const GUE_PORT = 6080;
const TYPES = ['ipip', 'gre', 'gue'] as const satisfies readonly TunnelType[];
const ECHO_PORT = 7;
/** For one transfer, that of one which waits for errors that do not come. */
const PATIENCE_S = '20';

export function checkTun(): void {
  requirePrograms(['curl', 'ip', 'ping', 'traceroute']);
}

/** Runs the recipe on a standing lab. Rejects when `signal` aborts. */
export async function tellTun(lab: RemoteLab, narrator: Narrator, signal: AbortSignal): Promise<TunReport> {
  const terminal = new Terminal(lab, narrator, signal);
  const { dataplane } = await abortable(lab.director.status(), signal);
  terminal.say(`\n${dataplane}, daemon pid ${lab.director.pid}`);
  const story = new TunStory(lab, terminal, signal);
  const tunnels: Partial<Record<TunnelType, Families<TunFamilyReport>>> = {};
  for (const type of TYPES) tunnels[type] = await story.tunnel(type);
  const narrow = await story.narrow();
  const told = tunnels as TunReport['tunnels'];
  const problem = judgeAll(lab, told, narrow) ?? null;
  return { dataplane, tunnels: told, narrow, problem };
}

function judgeAll(lab: RemoteLab, tunnels: TunReport['tunnels'], narrow: TunReport['narrow']): string | undefined {
  for (const type of TYPES) {
    for (const [family, name] of FAMILIES) {
      const problem = judgeFamily(tunnels[type][name], lab.plan, MTU - OVERHEAD[type][family]);
      if (problem !== undefined) return `${type}, IPv${family}: ${problem}`;
    }
  }
  for (const [family, name] of FAMILIES) {
    const problem = judgeNarrow(narrow[name], NARROW_MTU - OVERHEAD.ipip[family]);
    if (problem !== undefined) return `MTU ${NARROW_MTU}, IPv${family}: ${problem}`;
  }
  return undefined;
}

const FAMILIES = [
  [4, 'ipv4'],
  [6, 'ipv6'],
] as const;

class TunStory {
  readonly #lab: RemoteLab;
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;
  readonly #file: string;
  readonly #digest: string;

  constructor(lab: RemoteLab, terminal: Terminal, signal: AbortSignal) {
    this.#lab = lab;
    this.#terminal = terminal;
    this.#signal = signal;
    this.#file = join(lab.claim.folder, 'file');
    this.#digest = writePayload(this.#file);
  }

  /** One kind of tunnel, on all servers and for both families. */
  async tunnel(type: TunnelType): Promise<Families<TunFamilyReport>> {
    this.#terminal.say(`\nA tunnel of ${type}\n`);
    await this.#setUp(type);
    const ipv4 = await this.#tellFamily(4);
    const ipv6 = await this.#tellFamily(6);
    if (type === 'ipip') {
      this.#terminal.say('');
      await this.#terminal.ipvsadm('-Ln');
    }
    await this.#takeDown();
    return { ipv4, ipv6 };
  }

  /** A smaller MTU between director and servers. */
  async narrow(): Promise<Families<NarrowReport>> {
    const { router, gateway, servers, virtual } = this.#lab.plan;
    this.#terminal.say(`\nA link of ${NARROW_MTU} bytes between router and gateway\n`);
    for (const [name, { namespace }, { device }] of [
      ['router', router, router.gatewaySide],
      ['gateway', gateway, gateway.routerSide],
    ] as const) {
      await this.#terminal.on({ name, namespace }, 'ip', 'link', 'set', device, 'mtu', String(NARROW_MTU));
    }
    await this.#setUp('ipip', true);
    for (const server of servers) {
      await this.#startOn(server, 'tunnel-end-process.js');
      await this.#startOn(server, 'echo-process.js', server.name, String(ECHO_PORT), virtual.v4, virtual.v6);
    }
    const ipv4 = await this.#tellNarrow(4);
    const ipv6 = await this.#tellNarrow(6);
    await this.#takeDown();
    return { ipv4, ipv6 };
  }

  /** A process of the lab's own, to the end of the lab. */
  async #startOn(server: HostPlan, script: string, ...args: readonly string[]): Promise<void> {
    const child = spawnInNamespace(server.namespace, process.execPath, [join(import.meta.dirname, script), ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await abortable(firstOutput(child, `${script} on ${server.name}`), this.#signal);
  }

  async #setUp(type: TunnelType, withDatagrams = false): Promise<void> {
    const { servers, virtual } = this.#lab.plan;
    const tunnel = ['--tun-type', type, ...(type === 'gue' ? ['--tun-port', String(GUE_PORT)] : [])];
    const up = ['realserver', 'up', '--method', 'tun', ...tunnel, '--vip', virtual.v4, '--vip', virtual.v6];
    for (const server of servers) {
      await this.#terminal.ballastOn(server, up, ['--state', this.#lab.stateFile(server)]);
    }
    for (const key of ['v4', 'v6'] as const) {
      const services = [['-t', virtual.port] as const, ...(withDatagrams ? [['-u', ECHO_PORT] as const] : [])];
      for (const [option, port] of services) {
        const service = [option, socketAddress(virtual[key], port)];
        await this.#terminal.ipvsadm('-A', ...service, '-s', 'rr');
        for (const server of servers) {
          const real = socketAddress(server[key].address, port);
          await this.#terminal.ipvsadm('-a', ...service, '-r', real, '-i', ...(type === 'ipip' ? [] : tunnel));
        }
      }
    }
  }

  async #takeDown(): Promise<void> {
    this.#terminal.say('');
    await this.#terminal.ipvsadm('-C');
    for (const server of this.#lab.plan.servers) {
      await this.#terminal.ballastOn(server, ['realserver', 'down'], ['--state', this.#lab.stateFile(server)]);
    }
  }

  async #tellFamily(family: Family): Promise<TunFamilyReport> {
    const { plan } = this.#lab;
    this.#terminal.say('');
    const answers: string[] = [];
    for (let i = 0; i < 2 * plan.servers.length; i++) {
      const { status, stdout } = await this.#curl(this.#url(family));
      answers.push(status === 0 ? (/^hello from (\S+)/.exec(stdout)?.[1] ?? '') : '');
    }
    const devices = devicesOf(plan);
    const { director } = this.#lab;
    const packetsBefore = await packetsAtRest(director, this.#signal);
    const before = readFrames(devices);
    const downloaded = await this.#download(family);
    const forwarded = (await packetsAtRest(director, this.#signal)).received - packetsBefore.received;
    const frames = framesBetween(before, readFrames(devices));
    this.#terminal.say(`\n${drawAnswersPast(plan, frames)}\n`);
    const uploaded = await this.#upload(family);
    return { answers, downloaded, uploaded, frames, forwarded, mtu: await this.#learned(family) };
  }

  async #tellNarrow(family: Family): Promise<NarrowReport> {
    const { virtual, client } = this.#lab.plan;
    const address = family === 4 ? virtual.v4 : virtual.v6;
    this.#terminal.say('');
    const uploaded = await this.#upload(family);
    const mtu = await this.#learned(family);
    const downloaded = await this.#download(family);
    const args = [address, String(ECHO_PORT), String(DATAGRAM_BYTES), String(DATAGRAMS)];
    const sender = spawnInNamespace(
      client.namespace,
      process.execPath,
      [join(import.meta.dirname, 'datagram-process.js'), ...args],
      { detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const { stdout } = await abortable(outcome(sender), this.#signal);
    this.#terminal.say(stdout.trimEnd());
    const ping = await this.#terminal.tryOnClient('ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', address);
    const trace = await this.#terminal.tryOnClient(
      'traceroute',
      ...['-n', '-T', '-p', String(virtual.port), '-q', '1', '-w', '3', '-m', '8', address],
    );
    return {
      downloaded,
      uploaded,
      mtu,
      datagrams: Number(/^\d+/.exec(stdout)?.[0] ?? 0),
      pinged: ping.status === 0 && / 0% packet loss/.test(ping.stdout),
      hops: trace.stdout
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/)[1])
        .filter((hop) => hop !== undefined),
    };
  }

  #url(family: Family, path = ''): string {
    const { virtual } = this.#lab.plan;
    return `http://${socketAddress(family === 4 ? virtual.v4 : virtual.v6, virtual.port)}/${path}`;
  }

  #curl(...args: readonly string[]) {
    return this.#terminal.tryOnClient('curl', '-sS', '--max-time', PATIENCE_S, ...args);
  }

  async #download(family: Family): Promise<boolean> {
    const file = join(this.#lab.claim.folder, 'downloaded');
    const { status } = await this.#curl('-o', file, this.#url(family, `bytes/${FILE_BYTES}`));
    return status === 0 && createHash('sha256').update(readFileSync(file)).digest('hex') === this.#digest;
  }

  async #upload(family: Family): Promise<boolean> {
    const { status, stdout } = await this.#curl('-T', this.#file, this.#url(family, 'upload'));
    return status === 0 && stdout.trim() === this.#digest;
  }

  /** What the client's kernel has learned of the way to the virtual address. */
  async #learned(family: Family): Promise<number> {
    const { virtual } = this.#lab.plan;
    const route = await this.#terminal.onClient('ip', 'route', 'get', family === 4 ? virtual.v4 : virtual.v6);
    return Number(/ mtu (\d+)/.exec(route)?.[1] ?? MTU);
  }
}

/** Makes the file that is sent; its digest. */
function writePayload(path: string): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'w');
  try {
    for (const block of payload(FILE_BYTES)) {
      writeSync(file, block);
      hash.update(block);
    }
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}
