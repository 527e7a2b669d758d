// SPDX-License-Identifier: Apache-2.0
// `npm run bench -- http [--seconds S] [--rounds N] [--json]`: HTTP through a director in the lab's network, wrk with one
// thread and 50 connections against nginx on two servers, everything on this machine. All paths are measured in every
// round, one after the other, so that the machine's moods meet all of them; compare rows, not runs.

import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installPrograms } from '../scripts/debian.ts';
import { BENCH_PROGRAMS } from '../scripts/packages.ts';
import { socketAddress } from '../src/lab/plan.ts';
import { NatLab } from '../src/lab/session.ts';
import { HTTP_PATHS, type HttpPath, spawnProgram, untilAnswered } from './http-paths.ts';
import { describeMachine, machineLine } from './machine.ts';
import { type Summary, summarize } from './statistics.ts';
import { runWrk, type WrkResult } from './wrk.ts';

const CONNECTIONS = 50;
const SERVERS = 2;

const LOADS = [
  { name: 'keep-alive', headers: [] },
  { name: 'connection per request', headers: ['Connection: close'] },
] as const;

interface Sample extends WrkResult {
  /** Requests that the servers say they had, minus those that wrk says were answered. */
  readonly unseen: number;
}

interface Row {
  readonly path: string;
  readonly load: string;
  readonly note: string;
  readonly requestsPerSecond: Summary;
  readonly p99Ms: Summary;
  readonly requests: number;
  readonly arrived: number;
  readonly errors: number;
}

export async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  });
  const seconds = Number(values.seconds);
  const rounds = Number(values.rounds);
  if (!(Number.isInteger(seconds) && seconds > 0 && Number.isInteger(rounds) && rounds > 0)) {
    console.error('--seconds and --rounds take whole numbers from 1');
    return 2;
  }
  if (process.getuid?.() !== 0) {
    console.error('bench http: needs root, for network namespaces: run it with sudo');
    return 1;
  }
  const say = (line: string): void => console.error(line);
  if (installPrograms(BENCH_PROGRAMS, say).length > 0) return 1;

  const machine = describeMachine();
  const rows = await measure(seconds, rounds, say);
  if (values.json) console.log(JSON.stringify({ machine, connections: CONNECTIONS, seconds, rounds, rows }));
  else
    print(
      rows,
      `${machineLine(machine)}\nwrk -t1 -c${CONNECTIONS}, ${SERVERS} × nginx, ${rounds} rounds of ${seconds} s`,
    );
  return rows.some((row) => row.errors > 0) ? 1 : 0;
}

async function measure(seconds: number, rounds: number, say: (line: string) => void): Promise<Row[]> {
  const lab = await NatLab.open({ servers: SERVERS, prefix: 'blstb', withServers: false, withDirector: false });
  const stop = (): void => {
    interrupted = true;
  };
  let interrupted = false;
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    await startNginxServers(lab);
    const samples = new Map<string, Sample[]>();
    const notes = new Map<string, string>();
    for (let round = 1; round <= rounds; round++) {
      for (const path of rotate(HTTP_PATHS, round)) {
        if (interrupted) throw new Error('interrupted; everything is removed');
        notes.set(path.name, await measurePath(lab, path, seconds, samples));
        say(`round ${round} of ${rounds}: ${path.name}: ${lastOf(samples, path)}`);
      }
    }
    return HTTP_PATHS.flatMap((path) =>
      LOADS.map((load) =>
        rowOf(path.name, load.name, notes.get(path.name) ?? '', samples.get(keyOf(path, load)) ?? []),
      ),
    );
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await lab.close();
  }
}

/** Each round begins with another path, so that none is always first. */
function rotate<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

type Load = (typeof LOADS)[number];

const keyOf = (path: HttpPath, load: Load): string => `${path.name}/${load.name}`;

function lastOf(samples: ReadonlyMap<string, readonly Sample[]>, path: HttpPath): string {
  const rates = LOADS.map((load) => samples.get(keyOf(path, load))?.at(-1)?.perSecond ?? Number.NaN);
  return `${rates.map((rate) => Math.round(rate)).join(' and ')} requests/s`;
}

/** Starts the path, loads it in both ways, stops it; returns what there is to say of it. */
async function measurePath(
  lab: NatLab,
  path: HttpPath,
  seconds: number,
  samples: Map<string, Sample[]>,
): Promise<string> {
  const running = await path.start(lab);
  try {
    for (const load of LOADS) {
      const arrivedBefore = await arrivals(lab);
      const options = { connections: CONNECTIONS, seconds, headers: load.headers };
      const result = await runWrk(lab.plan.client.namespace, running.url, options);
      const unseen = (await arrivals(lab)) - arrivedBefore - result.requests;
      const key = keyOf(path, load);
      samples.set(key, [...(samples.get(key) ?? []), { ...result, unseen }]);
    }
    return running.note;
  } finally {
    await running.stop();
  }
}

function rowOf(path: string, load: string, note: string, samples: readonly Sample[]): Row {
  const sum = (value: (sample: Sample) => number): number =>
    samples.reduce((total, sample) => total + value(sample), 0);
  return {
    path,
    load,
    note,
    requestsPerSecond: summarize(samples.map((sample) => sample.perSecond)),
    p99Ms: summarize(samples.map((sample) => sample.p99Ms)),
    requests: sum((sample) => sample.requests),
    arrived: sum((sample) => sample.requests + sample.unseen),
    errors: sum((sample) => sample.socketErrors + sample.badStatus),
  };
}

const statusSocket = (lab: NatLab, name: string): string => join(lab.claim.folder, `${name}.sock`);

/** nginx on each server: one worker, keep-alive without end, its counts on a Unix socket. */
async function startNginxServers(lab: NatLab): Promise<void> {
  for (const server of lab.plan.servers) {
    const folder = join(lab.claim.folder, server.name);
    mkdirSync(folder);
    const config = join(folder, 'nginx.conf');
    writeFileSync(
      config,
      `daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid ${folder}/nginx.pid;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on; default_type text/plain;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server { listen ${lab.plan.serverPort} backlog=4096; location / { return 200 "hello from ${server.name}\\n"; } }
  server { listen unix:${statusSocket(lab, server.name)}; location / { stub_status; } }
}
`,
    );
    const child = spawnProgram(server.namespace, 'nginx', [
      '-c',
      config,
      '-p',
      folder,
      '-e',
      join(folder, 'error.log'),
    ]);
    const url = `http://${socketAddress(server.v4.address, lab.plan.serverPort)}/`;
    await untilAnswered(lab, url, child, `nginx on ${server.name}`);
  }
}

/** Requests that all servers have had since they started, without the questions asked here. */
async function arrivals(lab: NatLab): Promise<number> {
  const counts = await Promise.all(lab.plan.servers.map((server) => stubStatus(statusSocket(lab, server.name))));
  return counts.reduce((sum, count) => sum + count, 0);
}

const asked = new Map<string, number>();

function stubStatus(socketPath: string): Promise<number> {
  return new Promise((done, fail) => {
    const outgoing = request({ socketPath, path: '/', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        // "server accepts handled requests" and below it the three numbers.
        const requests = /^ \d+ \d+ (\d+) *$/m.exec(text)?.[1];
        if (requests === undefined) return fail(new Error(`not nginx's status: ${text}`));
        const questions = (asked.get(socketPath) ?? 0) + 1;
        asked.set(socketPath, questions);
        return done(Number(requests) - questions);
      });
    });
    outgoing.on('error', fail);
    outgoing.end();
  });
}

function print(rows: readonly Row[], head: string): void {
  console.log(`\n${head}\n`);
  const width = Math.max(...rows.map((row) => row.path.length));
  for (const load of LOADS) {
    console.log(`${load.name.padEnd(width + 2)}   requests/s  least…most        p99 ms   requests    arrived  errors`);
    for (const row of rows.filter((candidate) => candidate.load === load.name)) {
      const { median, least, most } = row.requestsPerSecond;
      const spread = `${Math.round(least)}…${Math.round(most)}`;
      const cells = [
        String(Math.round(median)).padStart(12),
        spread.padEnd(17),
        row.p99Ms.median.toFixed(2).padStart(6),
        String(row.requests).padStart(10),
        String(row.arrived).padStart(10),
        String(row.errors).padStart(7),
      ];
      console.log(`  ${row.path.padEnd(width)} ${cells.join(' ')}   ${row.note}`);
    }
    console.log('');
  }
}
