// SPDX-License-Identifier: Apache-2.0
// The director of a lab: `ballast run` as a child process in the director's namespace, with a private socket, and the
// ipvsadm commands that are run against it. Used by the lab, by tests and by benches.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DaemonStatus } from '../daemon/protocol.ts';
import type { MarksSnapshot } from '../dataplane/dataplane.ts';
import { spawnInNamespace } from '../linux/process-namespace.ts';
import type { Claim } from './claim.ts';
import { LabError } from './lab-error.ts';
import { endChild } from './processes.ts';

/** The program itself, beside this module's folder. */
export const BALLAST: string = join(import.meta.dirname, '..', 'cli', 'ballast.js');
const START_PATIENCE_MS = 20_000;
const RETRY_MS = 20;

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a director runs. */
export interface DirectorSite {
  readonly namespace: string;
  readonly devices: readonly string[];
}

export class LabDirector {
  readonly socket: string;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, socket: string) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.socket = socket;
  }

  /** Starts the daemon on the director's devices and waits until its API answers. `args` go to `ballast run`. */
  static async start(site: DirectorSite, claim: Claim, args: readonly string[] = []): Promise<LabDirector> {
    const socket = join(claim.folder, 'ballast.sock');
    const logFile = join(claim.folder, 'daemon.log');
    const log = openSync(logFile, 'w');
    const child = spawnInNamespace(
      site.namespace,
      process.execPath,
      [
        BALLAST,
        'run',
        '--foreground',
        '--socket',
        socket,
        ...site.devices.flatMap((name) => ['--interface', name]),
        ...args,
      ],
      { detached: true, stdio: ['ignore', log, log] },
    );
    closeSync(log);
    child.unref();
    const director = new LabDirector(child, socket);
    try {
      await director.#untilReady(logFile);
    } catch (error) {
      await director.close();
      throw error;
    }
    return director;
  }

  async #untilReady(logFile: string): Promise<void> {
    let ended: string | undefined;
    this.#child.once('error', (error) => {
      ended = error.message;
    });
    this.#child.once('exit', (status, signal) => {
      ended = `it ended with ${signal ?? `status ${status}`}`;
    });
    const deadline = performance.now() + START_PATIENCE_MS;
    for (;;) {
      const failure = await this.status().then(
        () => undefined,
        (error: Error) => error,
      );
      if (failure === undefined) return;
      const reason = ended ?? (performance.now() > deadline ? `no answer: ${failure.message}` : undefined);
      if (reason !== undefined) throw new LabError(`the daemon does not start: ${reason}${lastLines(logFile)}`);
      await delay(RETRY_MS);
    }
  }

  async status(): Promise<DaemonStatus> {
    return (await getJson(this.socket, '/v1/status')) as DaemonStatus;
  }

  /** What gives packets their firewall marks. */
  async marks(): Promise<MarksSnapshot> {
    return (await getJson(this.socket, '/v1/marks')) as MarksSnapshot;
  }

  /** Runs `ballast ipvsadm ARGS` against this director. */
  ipvsadm(args: readonly string[], input = ''): Promise<CommandResult> {
    return this.ballast(['ipvsadm', ...args], input);
  }

  /** Runs `ballast ARGS` against this director. */
  ballast(args: readonly string[], input = ''): Promise<CommandResult> {
    const env = { ...process.env, BALLAST_SOCKET: this.socket };
    return outcome(spawn(process.execPath, [BALLAST, ...args], { env, detached: true }), input);
  }

  /** As {@link ipvsadm}, for commands that must succeed: their output, or a LabError with what they said. */
  async mustIpvsadm(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.ipvsadm(args);
    if (status === 0) return stdout;
    throw new LabError(`ipvsadm ${args.join(' ')}: status ${status}: ${stderr.trim() || stdout.trim()}`);
  }

  /** Ends the daemon and waits for it. */
  close(): Promise<void> {
    return endChild(this.#child);
  }
}

/** Waits for a child's end and collects its output. */
export function outcome(child: ChildProcess, input = ''): Promise<CommandResult> {
  return new Promise((done, fail) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', fail);
    child.on('close', (status) => {
      done({ status: status ?? -1, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

function getJson(socketPath: string, path: string): Promise<unknown> {
  return new Promise((done, fail) => {
    const outgoing = request({ socketPath, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', fail);
      response.on('end', () => {
        if (response.statusCode === 200) done(JSON.parse(body));
        else fail(new Error(`GET ${path}: status ${response.statusCode}: ${body}`));
      });
    });
    outgoing.on('error', fail);
    outgoing.end();
  });
}

function lastLines(file: string): string {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-5);
  return lines.join('') === '' ? '' : `\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
