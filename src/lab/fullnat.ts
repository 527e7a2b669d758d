// SPDX-License-Identifier: Apache-2.0
// The story of `ballast lab fullnat`: servers in another network that know no way to clients. The director speaks to them
// from addresses of its own and tells them who the client is: by PROXY header (nginx, HAProxy) or by TCP option. Then
// crowds of clients behind a router that loses packets, and a pool of addresses that is used up. Over IPv4 and IPv6.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { spawnInNamespace } from '../linux/process-namespace.ts';
import { addAddress } from '../linux/route/address.ts';
import { openRouteSocket } from '../linux/route/route-socket.ts';
import { TCPOPT_TOA, TOA_LENGTH_IPV4, TOA_LENGTH_IPV6 } from '../lvs/stream/toa.ts';
import { type Address, addressWords, type Family } from '../packet/address.ts';
import { abortable } from './abortable.ts';
import { outcome } from './director.ts';
import { framesBetween, readFrames } from './frame-counts.ts';
import {
  type CrowdReport,
  type ExhaustionReport,
  FEW_PORTS,
  type FullnatFamilyReport,
  type FullnatReport,
  judgeExhaustion,
  judgeFamily,
  MANY_REQUESTS,
  type Seen,
} from './fullnat-report.ts';
import { CROWD_PORT, PLAIN_PORT, startCrowdServers, startWebServers, WEB_PORT } from './fullnat-servers.ts';
import { firstOutput } from './hosts.ts';
import { LabError } from './lab-error.ts';
import type { Narrator } from './nat.ts';
import { addresses, HOST_DEVICE, type HostPlan, socketAddress } from './plan.ts';
import { endChild } from './processes.ts';
import { programPath, requirePrograms } from './programs.ts';
import { packetsAtRest } from './quiet.ts';
import type { RemoteLab } from './remote.ts';
import { devicesOf, drawAnswersThrough } from './remote-path.ts';
import { CLIENT_NET, DIRECTOR_NET } from './remote-plan.ts';
import { Terminal } from './terminal.ts';

/** Ports of the services: web by PROXY header, the lab's own HTTP server by TCP option, the crowd's. */
const PLAIN = 81;
const CROWD = 90;
/** The director's addresses for servers; that of the pool that is used up. */
const LOCAL_HOST = 5;
const FEW_HOST = 6;
const CLIENTS = 20;
const FIRST_CLIENT = 10;
const CONNECTIONS = 400;
const DATAGRAMS = 200;
const PARALLEL = 40;
const BODY_BYTES = 20_000;
const DATAGRAM_BYTES = 1_000;
const LOSS_PERCENT = 5;
const LATE_PERCENT = 20;
const ROUGH = 'rough0';
const ROUGH_TABLE = '100';
const DOWNLOAD_BYTES = 2_000_000;
const LOG_PATIENCE_MS = 10_000;
const LOOK_MS = 100;

export function checkFullnat(): void {
  requirePrograms(['curl', 'haproxy', 'ip', 'nginx', 'ping', 'tcpdump', 'traceroute']);
}

/** Runs the recipe on a standing lab. Rejects when `signal` aborts. */
export async function tellFullnat(lab: RemoteLab, narrator: Narrator, signal: AbortSignal): Promise<FullnatReport> {
  addClients(lab);
  await abortable(Promise.all([startWebServers(lab), startCrowdServers(lab)]), signal);
  const terminal = new Terminal(lab, narrator, signal);
  const { dataplane } = await abortable(lab.director.status(), signal);
  terminal.say(`\n${dataplane}, daemon pid ${lab.director.pid}`);
  const story = new FullnatStory(lab, terminal, signal);
  const ipv4 = await story.tell(4);
  const ipv6 = await story.tell(6);
  const exhaustion = await story.exhaust();
  const problem =
    named('IPv4', judgeFamily(ipv4, lab.plan.servers.length)) ??
    named('IPv6', judgeFamily(ipv6, lab.plan.servers.length)) ??
    judgeExhaustion(exhaustion) ??
    null;
  return { dataplane, ipv4, ipv6, exhaustion, problem };
}

function named(name: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `${name}: ${problem}`;
}

const own = <T>(family: Family, both: { readonly v4: T; readonly v6: T }): T => (family === 4 ? both.v4 : both.v6);

function clientAddresses(family: Family): Address[] {
  return Array.from({ length: CLIENTS }, (_, i) => own(family, addresses(CLIENT_NET, FIRST_CLIENT + i)).address);
}

/** More addresses for the client's host. */
function addClients(lab: RemoteLab): void {
  const socket = openRouteSocket(lab.plan.client.namespace);
  try {
    for (const family of [4, 6] as const) {
      for (const address of clientAddresses(family)) {
        addAddress(socket, HOST_DEVICE, address, family === 4 ? 24 : 64, { nodad: true });
      }
    }
  } finally {
    socket.close();
  }
}

class FullnatStory {
  readonly #lab: RemoteLab;
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;

  constructor(lab: RemoteLab, terminal: Terminal, signal: AbortSignal) {
    this.#lab = lab;
    this.#terminal = terminal;
    this.#signal = signal;
  }

  async tell(family: Family): Promise<FullnatFamilyReport> {
    const terminal = this.#terminal;
    const [first] = this.#lab.plan.servers;
    terminal.say(`\nIPv${family}\n`);
    await this.#addLocal(family, LOCAL_HOST);
    await this.#addService(family, '-t', this.#lab.plan.virtual.port, WEB_PORT, 'proxy-v1');
    const proxyV1 = await this.#askAll(family);
    await this.#tune(family, '-t', this.#lab.plan.virtual.port, '--client-address', 'proxy-v2');
    const proxyV2 = await this.#askAll(family);
    terminal.say(`\n${first.name} as a client of the service that it is a server of\n`);
    const hairpin = await this.#ask(family, first);

    terminal.say('\nA TCP option instead of a header\n');
    await this.#addService(family, '-t', PLAIN, PLAIN_PORT, 'toa');
    const { toa, toaExpected } = await this.#captureToa(family);
    const { frames, forwarded } = await this.#download(family);

    terminal.say(
      `\nClients from ${CLIENTS} addresses over a line that loses ${LOSS_PERCENT} % of the packets and delays ${LATE_PERCENT} %, four times on the way there and back\n`,
    );
    await this.#addService(family, '-t', CROWD, CROWD_PORT, 'proxy-v2');
    await this.#addService(family, '-u', CROWD, CROWD_PORT, 'proxy-v2');
    const smoothen = await this.#roughen();
    const connections = await this.#crowd(family, 'tcp', CONNECTIONS, BODY_BYTES);
    const datagrams = await this.#crowd(family, 'udp', DATAGRAMS, DATAGRAM_BYTES);
    await smoothen();
    await terminal.ballast('local', 'list');
    terminal.say('');
    await terminal.ipvsadm('-Ln');
    terminal.say('');
    const reached = await this.#reach(family);
    return { proxyV1, proxyV2, hairpin, toa, toaExpected, frames, forwarded, connections, datagrams, ...reached };
  }

  /** A pool of few ports, and more connections than those. */
  async exhaust(): Promise<ExhaustionReport> {
    const terminal = this.#terminal;
    const { servers, virtual } = this.#lab.plan;
    terminal.say(`\nA pool of ${FEW_PORTS} ports\n`);
    const service = socketAddress(virtual.v4, PLAIN);
    await terminal.ipvsadm('-D', '-t', service);
    await this.#addLocal(4, FEW_HOST, '--pool', 'few', '--ports', `40000-${40000 + FEW_PORTS - 1}`);
    await terminal.ipvsadm('-A', '-t', service, '-s', 'rr');
    await terminal.ballast('tune', '-t', service, '--local-pool', 'few');
    // One server: each has all ports.
    const real = socketAddress(servers[0].v4.address, PLAIN_PORT);
    await terminal.ipvsadm('-a', '-t', service, '-r', real, '--fullnat');
    let answered = 0;
    let refused = 0;
    for (let i = 0; i < MANY_REQUESTS; i++) {
      const { status } = await terminal.tryOnClient('curl', '-sS', '--max-time', '2', `http://${service}/`);
      if (status === 0) answered++;
      else refused++;
    }
    const list = await terminal.ballast('local', 'list');
    const listed = list.split('\n').find((line) => line.startsWith('pool few:')) ?? '';
    const logged = await this.#logged('no local port is left');
    terminal.say(`\nThe log says: ${logged}`);
    return { answered, refused, listed, logged };
  }

  async #addLocal(family: Family, host: number, ...words: readonly string[]): Promise<void> {
    const { address } = own(family, addresses(DIRECTOR_NET, host));
    const prefix = `${address}/${family === 4 ? 32 : 128}`;
    await this.#terminal.onDirector(
      'ip',
      'address',
      'add',
      prefix,
      'dev',
      HOST_DEVICE,
      ...(family === 6 ? ['nodad'] : []),
    );
    await this.#terminal.ballast('local', 'add', address, ...words);
  }

  async #addService(family: Family, option: '-t' | '-u', port: number, real: number, how: string): Promise<void> {
    const { servers, virtual } = this.#lab.plan;
    const service = [option, socketAddress(own(family, virtual), port)];
    await this.#terminal.ipvsadm('-A', ...service, '-s', 'rr');
    await this.#tune(family, option, port, '--client-address', how);
    for (const server of servers) {
      const end = socketAddress(own(family, server).address, real);
      await this.#terminal.ipvsadm('-a', ...service, '-r', end, '--fullnat');
    }
  }

  #tune(family: Family, option: '-t' | '-u', port: number, ...words: readonly string[]): Promise<string> {
    const service = socketAddress(own(family, this.#lab.plan.virtual), port);
    return this.#terminal.ballast('tune', option, service, ...words);
  }

  async #askAll(family: Family): Promise<Seen[]> {
    const seen: Seen[] = [];
    for (let i = 0; i < 2 * this.#lab.plan.servers.length; i++)
      seen.push(await this.#ask(family, this.#lab.plan.client));
    return seen;
  }

  /** One request to nginx or HAProxy. */
  async #ask(family: Family, from: HostPlan): Promise<Seen> {
    const { virtual } = this.#lab.plan;
    const url = `http://${socketAddress(own(family, virtual), virtual.port)}/`;
    const text = await this.#terminal.on(
      from,
      'curl',
      '-sS',
      '--max-time',
      '10',
      '-w',
      '%{local_ip} %{local_port}',
      url,
    );
    const [answer, client = ''] = text.split('\n');
    const [server = '', , ...seen] = answer.split(' ');
    return { server, client, seen: seen.join(' ') };
  }

  /** The option in the segments of one request, as tcpdump sees it at the servers. */
  async #captureToa(family: Family): Promise<{ toa: string; toaExpected: string }> {
    const { client, gateway, virtual } = this.#lab.plan;
    const filter = `tcp dst port ${PLAIN_PORT}`;
    const ip = family === 4 ? 'ip' : 'ip6';
    const args = ['-nn', '-x', '-l', '-c', '4', '-i', gateway.serverSide.device, `${ip} and ${filter}`];
    const sniffer = spawnInNamespace(gateway.namespace, programPath('tcpdump'), args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const listening = new Promise<void>((done, fail) => {
      sniffer.once('error', fail);
      sniffer.once('exit', () => fail(new LabError('tcpdump ended before it listened')));
      sniffer.stderr?.once('data', () => done());
    });
    const captured = outcome(sniffer);
    await abortable(listening, this.#signal);
    const url = `http://${socketAddress(own(family, virtual), PLAIN)}/`;
    const text = await this.#terminal.onClient(
      'curl',
      '-sS',
      '--max-time',
      '10',
      '-w',
      '%{local_ip} %{local_port}',
      url,
    );
    const { stdout } = await abortable(captured, this.#signal);
    const [, address, port] = /^([0-9a-f.:]+) (\d+)$/m.exec(text) ?? ['', own(family, client).address, '0'];
    const words = [...addressWords(address as Address)].slice(0, family === 4 ? 1 : 4);
    const hex = (value: number, digits: number): string => (value >>> 0).toString(16).padStart(digits, '0');
    const head = hex(TCPOPT_TOA, 2) + hex(family === 4 ? TOA_LENGTH_IPV4 : TOA_LENGTH_IPV6, 2);
    const toaExpected = head + hex(Number(port), 4) + words.map((word) => hex(word, 8)).join('');
    const bytes = hexDump(stdout);
    const option = bytes.includes(toaExpected) ? toaExpected : '';
    this.#terminal.say(`gateway$ tcpdump -x -i ${gateway.serverSide.device} ${filter}\n… ${option} …`);
    return { toa: option, toaExpected };
  }

  async #download(family: Family): Promise<Pick<FullnatFamilyReport, 'frames' | 'forwarded'>> {
    const { plan, director } = this.#lab;
    const devices = devicesOf(plan);
    const packetsBefore = await packetsAtRest(director, this.#signal);
    const before = readFrames(devices);
    const url = `http://${socketAddress(own(family, plan.virtual), PLAIN)}/bytes/${DOWNLOAD_BYTES}`;
    this.#terminal.say('');
    await this.#terminal.onClient('curl', '-sS', '-o', '/dev/null', '--max-time', '30', url);
    const forwarded = (await packetsAtRest(director, this.#signal)).both - packetsBefore.both;
    const frames = framesBetween(before, readFrames(devices));
    this.#terminal.say(`\n${drawAnswersThrough(plan, frames)}`);
    return { frames, forwarded };
  }

  /** Leads all that the router forwards over a bad line; returns how to end that. */
  async #roughen(): Promise<() => Promise<void>> {
    const { namespace, clientSide, directorSide, gatewaySide } = this.#lab.plan.router;
    const router = { name: 'router', namespace };
    const line = spawnInNamespace(
      namespace,
      process.execPath,
      [join(import.meta.dirname, 'rough-process.js'), ROUGH, String(LOSS_PERCENT), String(LATE_PERCENT)],
      { detached: true, stdio: ['ignore', 'pipe', 'ignore'] },
    );
    await abortable(firstOutput(line, 'the bad line'), this.#signal);
    const rules = (['-4', '-6'] as const).flatMap((family) =>
      [clientSide, directorSide, gatewaySide].map(({ device }) => [family, device] as const),
    );
    const ip = (...words: readonly string[]): Promise<string> => this.#terminal.on(router, 'ip', ...words);
    for (const family of ['-4', '-6']) await ip(family, 'route', 'add', 'default', 'dev', ROUGH, 'table', ROUGH_TABLE);
    for (const [family, device] of rules) await ip(family, 'rule', 'add', 'iif', device, 'lookup', ROUGH_TABLE);
    return async () => {
      for (const [family, device] of rules) await ip(family, 'rule', 'del', 'iif', device, 'lookup', ROUGH_TABLE);
      await endChild(line);
    };
  }

  async #crowd(family: Family, protocol: 'tcp' | 'udp', count: number, bytes: number): Promise<CrowdReport> {
    const { client, virtual } = this.#lab.plan;
    const args = [protocol, own(family, virtual), String(CROWD), String(count), String(PARALLEL), String(bytes)];
    const crowd = spawnInNamespace(
      client.namespace,
      process.execPath,
      [join(import.meta.dirname, 'proxy-client-process.js'), ...args, ...clientAddresses(family)],
      { detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const { status, stdout, stderr } = await abortable(outcome(crowd), this.#signal);
    if (status !== 0) throw new LabError(`the clients ended with status ${status}: ${stderr}`);
    const report = JSON.parse(stdout) as CrowdReport;
    const what = protocol === 'tcp' ? 'connections' : 'datagrams';
    for (const text of [...report.wrong, ...report.failed].slice(0, 3)) this.#terminal.say(text);
    this.#terminal.say(
      `${report.right} of ${report.made} ${what} were answered, with the client's own address and port as the server ` +
        'saw them and the digest of what it had sent',
    );
    return report;
  }

  async #reach(family: Family): Promise<Pick<FullnatFamilyReport, 'pinged' | 'hops'>> {
    const address = own(family, this.#lab.plan.virtual);
    const ping = await this.#terminal.tryOnClient('ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', address);
    const trace = await this.#terminal.tryOnClient(
      'traceroute',
      ...['-n', '-T', '-p', String(PLAIN), '-q', '1', '-w', '3', '-m', '8', address],
    );
    const hops = trace.stdout
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/)[1])
      .filter((hop) => hop !== undefined);
    return { pinged: ping.status === 0 && / 0% packet loss/.test(ping.stdout), hops };
  }

  /** The line of the daemon's log that has the text. */
  async #logged(text: string): Promise<string> {
    const deadline = performance.now() + LOG_PATIENCE_MS;
    for (;;) {
      const log = readFileSync(join(this.#lab.claim.folder, 'daemon.log'), 'utf8');
      const line = log.split('\n').find((one) => one.includes(text));
      if (line !== undefined || performance.now() > deadline) return line ?? '';
      await abortable(delay(LOOK_MS), this.#signal);
    }
  }
}

/** All bytes that `tcpdump -x` shows, in hex. */
function hexDump(text: string): string {
  return text
    .split('\n')
    .map((line) => /^\s+0x[0-9a-f]+:\s+(.*)$/.exec(line)?.[1].replaceAll(' ', '') ?? '')
    .join('');
}
