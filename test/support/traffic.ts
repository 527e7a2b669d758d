// SPDX-License-Identifier: Apache-2.0
// What programs that nobody here wrote find on their way through a director: a load without an error (wrk), a download
// without a wrong byte (curl), transfers both ways (iperf3), the hops (traceroute). For the tests of every lab.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { runWrk } from '../../bench/wrk.ts';
import { payload } from '../../src/lab/payload.ts';
import { endChild } from '../../src/lab/processes.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { eventually } from './eventually.ts';
import { hasOpenTcp, runIn, tcpCounters } from './in-lab.ts';

export const CONNECTIONS = 50;
export const IPERF_PORT = 5201;

/** Seconds of a load: short, or as long as LOAD_SECONDS says. */
export const LOAD_SECONDS: number = Number(process.env.LOAD_SECONDS ?? 3);

export interface SteadyLoad {
  /** The client's namespace, then those of everybody on the way and at its end. */
  readonly namespaces: readonly string[];
  readonly url: string;
  readonly seconds: number;
  readonly headers?: readonly string[];
}

/** wrk with 50 connections: no socket error, no bad status, no connection reset by anybody. */
export async function assertSteadyLoad({ namespaces, url, seconds, headers }: SteadyLoad): Promise<void> {
  const [client] = namespaces;
  // Resets of connections that lived, anywhere; and any reset that others than the client sent. The client's kernel may
  // send one to a late repetition of a segment of a connection that has ended well: that is none.
  const resets = (): number[] => namespaces.map((namespace) => tcpCounters(namespace).EstabResets);
  const sent = (): number[] => namespaces.slice(1).map((namespace) => tcpCounters(namespace).OutRsts);
  // Answers to what an earlier load gave up are reset when they come, so nothing of it may be under way.
  await eventually('no connection is open', () => (namespaces.some(hasOpenTcp) ? undefined : true));
  const before = resets();
  const sentBefore = sent();
  const failedBefore = tcpCounters(client).AttemptFails;
  const load = runWrk(client, url, { connections: CONNECTIONS, seconds, headers: headers ?? [] });
  // Not at its end: there wrk closes connections whose answers are under way, and the kernel resets those.
  await delay(seconds * 800);
  const during = resets();
  const result = await load;
  assert.ok(result.requests > CONNECTIONS, `${result.requests} requests`);
  assert.equal(result.socketErrors, 0);
  assert.equal(result.badStatus, 0);
  assert.deepEqual(during, before, 'no connection was reset');
  assert.deepEqual(sent(), sentBefore, 'neither director nor servers sent a reset, at the end neither');
  assert.equal(tcpCounters(client).AttemptFails, failedBefore, 'every connection was established');
}

/** curl gets `bytes` bytes of a lab's HTTP server at `base`, the same that the server sent. */
export async function assertDownload(namespace: string, base: string, bytes: number): Promise<void> {
  const curl = spawnInNamespace(namespace, 'curl', ['-sS', `${base}/bytes/${bytes}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const received = createHash('sha256');
  let length = 0;
  for await (const chunk of curl.stdout ?? []) {
    received.update(chunk as Buffer);
    length += (chunk as Buffer).length;
  }
  const sent = createHash('sha256');
  for (const block of payload(bytes)) sent.update(block);
  assert.equal(length, bytes);
  assert.equal(received.digest('hex'), sent.digest('hex'));
}

/** iperf3 from `client` to `host` (an address) and back, with a server of its in each of `servers`. Bits per second. */
export async function assertTransfers(
  client: string,
  servers: readonly string[],
  host: string,
  seconds: number,
): Promise<{ up: number; down: number }> {
  const listening = servers.map((namespace) =>
    spawnInNamespace(namespace, 'iperf3', ['-s', '-p', String(IPERF_PORT)], { stdio: ['ignore', 'ignore', 'inherit'] }),
  );
  try {
    await Promise.all(servers.map((namespace) => untilListening(namespace)));
    return { up: await transfer(client, host, seconds, []), down: await transfer(client, host, seconds, ['-R']) };
  } finally {
    await Promise.all(listening.map(endChild));
  }
}

async function transfer(client: string, host: string, seconds: number, more: readonly string[]): Promise<number> {
  const args = ['-c', host, '-p', String(IPERF_PORT), '-t', String(seconds), '-J', ...more];
  const { stdout } = await runIn(client, 'iperf3', ...args);
  const { error, end } = JSON.parse(stdout) as {
    error?: string;
    end: { sum_received?: { bits_per_second: number; bytes: number } };
  };
  assert.equal(error, undefined, `iperf3 ${args.join(' ')}`);
  assert.ok(end.sum_received !== undefined && end.sum_received.bytes > 1e6, stdout);
  return end.sum_received.bits_per_second;
}

async function untilListening(namespace: string): Promise<void> {
  await eventually(`iperf3 listens in ${namespace}`, async () => {
    const { stdout } = await runIn(namespace, 'ss', '-Hltn', `sport = :${IPERF_PORT}`);
    return stdout === '' ? undefined : true;
  });
}

/** Addresses of the hops to `host`, by TCP to `port`; '*' for one that did not answer. */
export async function hopsTo(client: string, host: string, port: number): Promise<string[]> {
  const args = ['-n', '-T', '-p', String(port), '-q', '1', '-w', '3', '-m', '8', host];
  const { stdout, stderr, status } = await runIn(client, 'traceroute', ...args);
  assert.equal(status, 0, stderr);
  return stdout
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/\s+/)[1]);
}
