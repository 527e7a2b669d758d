// SPDX-License-Identifier: Apache-2.0
// The ways through a director that `bench -- http` compares: each starts in the lab's director namespace, serves one
// URL, and is gone again after stop(). Each is configured as its own documentation asks for speed.

import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../scripts/packages.ts';
import { socketAddress } from '../src/lab/plan.ts';
import { endChild } from '../src/lab/processes.ts';
import type { NatLab } from '../src/lab/session.ts';
import { setTxChecksum, writeSysctls } from '../src/lab/topology.ts';
import { runInNamespace, spawnInNamespace } from '../src/linux/process-namespace.ts';

export interface RunningPath {
  readonly url: string;
  /** What there is to say of it: mode, version. */
  readonly note: string;
  stop(): Promise<void>;
}

export interface HttpPath {
  readonly name: string;
  start(lab: NatLab): Promise<RunningPath>;
}

const READY_PATIENCE_MS = 10_000;

export const HTTP_PATHS: readonly HttpPath[] = [
  { name: 'routed, no director', start: startRouted },
  { name: 'nginx stream', start: startNginxStream },
  { name: 'HAProxy tcp', start: startHaproxy },
  { name: 'nftables DNAT', start: startNftables },
  { name: 'Ballast NAT', start: startBallast },
];

async function startRouted(lab: NatLab): Promise<RunningPath> {
  setFarOffload(lab, true);
  const { servers, serverPort } = lab.plan;
  const url = `http://${socketAddress(servers[0].v4.address, serverPort)}/`;
  return { url, note: 'one server, the kernel forwards', stop: async () => {} };
}

async function startNginxStream(lab: NatLab): Promise<RunningPath> {
  const { plan, claim } = lab;
  const backends = realServers(lab).map((real) => `server ${real};`);
  const config = join(claim.folder, 'nginx-stream.conf');
  writeFileSync(
    config,
    `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid ${join(claim.folder, 'nginx-stream.pid')};
events { worker_connections 16384; multi_accept on; }
stream {
  access_log off; tcp_nodelay on; proxy_connect_timeout 5s; proxy_timeout 60s; proxy_buffer_size 16k;
  upstream servers { ${backends.join(' ')} }
  server { listen ${socketAddress(plan.virtual.v4, plan.virtual.port)} backlog=4096; proxy_pass servers; }
}
`,
  );
  return startProxy(lab, 'nginx', ['-c', config, '-p', claim.folder, '-e', join(claim.folder, 'nginx-stream.log')]);
}

async function startHaproxy(lab: NatLab): Promise<RunningPath> {
  const { plan, claim } = lab;
  const servers = realServers(lab).map((real, i) => `  server rs${i + 1} ${real}`);
  const config = join(claim.folder, 'haproxy.cfg');
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option splice-auto
  option tcp-smart-accept
  option tcp-smart-connect
listen http
  bind ${plan.virtual.v4}:${plan.virtual.port} backlog 4096
  balance roundrobin
${servers.join('\n')}
`,
  );
  return startProxy(lab, 'haproxy', ['-db', '-q', '-f', config]);
}

async function startNftables(lab: NatLab): Promise<RunningPath> {
  setFarOffload(lab, true);
  const { director, servers, serverPort, virtual } = lab.plan;
  const map = servers.map((server, i) => `${i} : ${server.v4.address}`).join(', ');
  const rule = `dnat to numgen inc mod ${servers.length} map { ${map} } : ${serverPort}`;
  nft(
    lab,
    `table ip bench {
  chain pre {
    type nat hook prerouting priority dstnat
    ip daddr ${virtual.v4} tcp dport ${virtual.port} ${rule}
  }
}`,
  );
  // Connections that have ended must not fill the table, nor stand in the way of a port's next use.
  writeSysctls(director.namespace, { 'net.netfilter.nf_conntrack_tcp_timeout_time_wait': '1' });
  const stop = async (): Promise<void> => nft(lab, 'delete table ip bench');
  return { url: virtualUrl(lab), note: 'numgen, conntrack', stop };
}

async function startBallast(lab: NatLab): Promise<RunningPath> {
  setFarOffload(lab, false);
  const director = await lab.startDirector();
  try {
    const service = ['-t', socketAddress(lab.plan.virtual.v4, lab.plan.virtual.port)];
    await director.mustIpvsadm('-A', ...service, '-s', 'wrr');
    for (const real of realServers(lab)) await director.mustIpvsadm('-a', ...service, '-r', real, '-m', '-w', '1');
    const { dataplane } = await director.status();
    return { url: virtualUrl(lab), note: dataplane, stop: () => director.close() };
  } catch (error) {
    await director.close();
    throw error;
  }
}

/** Starts a proxy program in the director's namespace and waits until it listens. */
async function startProxy(lab: NatLab, program: string, args: readonly string[]): Promise<RunningPath> {
  setFarOffload(lab, true);
  const child = spawnProgram(lab.plan.director.namespace, program, args);
  try {
    await untilAnswered(lab, virtualUrl(lab), child, program);
  } catch (error) {
    await endChild(child);
    throw error;
  }
  const flag = program === 'nginx' ? '-v' : '-vv';
  const said = runInNamespace(lab.plan.director.namespace, programPath(program), [flag]);
  const version = /(\d+\.\d+\.\d+)/.exec(said.stdout + said.stderr)?.[1] ?? 'unknown version';
  return { url: virtualUrl(lab), note: `${program} ${version}, one worker`, stop: () => endChild(child) };
}

/** Resolves when the client gets an answer from `url`. */
export async function untilAnswered(lab: NatLab, url: string, child: ChildProcess, name: string): Promise<void> {
  const script = `const attempt = () => fetch(${JSON.stringify(url)}).then((a) => a.text()).then(() => process.exit(0), retry);
    const retry = () => setTimeout(attempt, 20);
    setTimeout(() => process.exit(1), ${READY_PATIENCE_MS});
    attempt();`;
  const { status } = runInNamespace(lab.plan.client.namespace, process.execPath, ['-e', script]);
  if (status !== 0 || child.exitCode !== null) throw new Error(`${name} does not answer at ${url}`);
}

export function spawnProgram(namespace: string, program: string, args: readonly string[]): ChildProcess {
  return spawnInNamespace(namespace, programPath(program), args, {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function programPath(program: string): string {
  const path = findProgram(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  return path;
}

/** Far hosts leave checksums and segmentation to the devices, unless XDP must read finished packets. */
function setFarOffload(lab: NatLab, offload: boolean): void {
  for (const host of [lab.plan.client, ...lab.plan.servers]) setTxChecksum(host, offload);
}

function nft(lab: NatLab, command: string): void {
  const { status, stderr } = runInNamespace(lab.plan.director.namespace, programPath('nft'), [command]);
  if (status !== 0) throw new Error(`nft ${command}: ${stderr}`);
}

function virtualUrl(lab: NatLab): string {
  return `http://${socketAddress(lab.plan.virtual.v4, lab.plan.virtual.port)}/`;
}

function realServers(lab: NatLab): string[] {
  return lab.plan.servers.map((server) => socketAddress(server.v4.address, lab.plan.serverPort));
}
