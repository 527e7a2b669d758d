// SPDX-License-Identifier: Apache-2.0
// The servers of the lab `fullnat`: nginx and HAProxy, which learn the client from the PROXY header and say so, and one of
// ours for both TCP and UDP. They live in the servers' namespaces and end with them; their files are in the lab's folder.

import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inNamespace } from '../linux/netns.ts';
import { spawnInNamespace } from '../linux/process-namespace.ts';
import { firstOutput } from './hosts.ts';
import { LabError } from './lab-error.ts';
import type { HostPlan } from './plan.ts';
import { programPath } from './programs.ts';
import type { RemoteLab } from './remote.ts';

/** nginx on the first server, HAProxy on all others. */
export const WEB_PORT = 8080;
/** The lab's own HTTP server. */
export const PLAIN_PORT = 8081;
export const CROWD_PORT = 9000;

const PATIENCE_MS = 20_000;
const LOOK_MS = 50;
const TCP_LISTEN = '0A';

/** Starts nginx on the first server and HAProxy on the others; resolves when they listen. */
export async function startWebServers(lab: RemoteLab): Promise<void> {
  const [first, ...others] = lab.plan.servers;
  const { folder } = lab.claim;
  const nginx = join(folder, 'nginx.conf');
  writeFileSync(nginx, nginxConfig(folder, first.name));
  start(lab, first, 'nginx', ['-c', nginx, '-e', join(folder, 'nginx-error.log')]);
  for (const server of others) {
    const haproxy = join(folder, `${server.name}-haproxy.cfg`);
    writeFileSync(haproxy, haproxyConfig(server.name));
    start(lab, server, 'haproxy', ['-db', '-f', haproxy]);
  }
  for (const server of lab.plan.servers) await untilListening(server, WEB_PORT);
}

/** Starts the server of ours on each. */
export async function startCrowdServers(lab: RemoteLab): Promise<void> {
  await Promise.all(
    lab.plan.servers.map((server) => {
      const args = [join(import.meta.dirname, 'proxy-server-process.js'), server.name, String(CROWD_PORT)];
      const child = spawnInNamespace(server.namespace, process.execPath, args, {
        detached: true,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      return firstOutput(child, `server ${server.name}`);
    }),
  );
}

function nginxConfig(folder: string, name: string): string {
  return `daemon off;
pid ${folder}/nginx.pid;
user root;
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  server {
    listen ${WEB_PORT} proxy_protocol;
    listen [::]:${WEB_PORT} proxy_protocol;
    location / { return 200 "${name} nginx $proxy_protocol_addr $proxy_protocol_port\\n"; }
  }
}
`;
}

function haproxyConfig(name: string): string {
  return `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend web
  bind :::${WEB_PORT} v4v6 accept-proxy
  http-request return status 200 content-type text/plain lf-string "${name} haproxy %[src] %[src_port]\\n"
`;
}

function start(lab: RemoteLab, server: HostPlan, program: 'nginx' | 'haproxy', args: readonly string[]): void {
  const log = openSync(join(lab.claim.folder, `${server.name}-${program}.log`), 'w');
  try {
    const options = { detached: true, stdio: ['ignore', log, log] } as const;
    const child = spawnInNamespace(server.namespace, programPath(program), args, {
      ...options,
      stdio: [...options.stdio],
    });
    // Whether it runs shows when it is looked for.
    child.on('error', () => {});
    child.unref();
  } finally {
    closeSync(log);
  }
}

async function untilListening(server: HostPlan, port: number): Promise<void> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const listens = (): boolean =>
    inNamespace(server.namespace, () => readFileSync('/proc/thread-self/net/tcp6', 'latin1'))
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .some((fields) => fields[1]?.endsWith(wanted) && fields[3] === TCP_LISTEN);
  const deadline = performance.now() + PATIENCE_MS;
  while (!listens()) {
    if (performance.now() > deadline) throw new LabError(`nobody listens on port ${port} of ${server.name}`);
    await delay(LOOK_MS);
  }
}
