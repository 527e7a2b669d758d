// SPDX-License-Identifier: Apache-2.0
// A running daemon as a DataPlane, over the HTTP API on its Unix socket: what ipvsadm, status and labs work with. It
// starts fast (node:http and nothing else) and hands the director's refusals on as the LvsErrors that they are.

import { Agent, type IncomingMessage, request } from 'node:http';
import type { DaemonStatus, ErrorAnswer } from '../daemon/protocol.ts';
import type { Change, ConnectionPage, DataPlane, DataPlaneSnapshot, MarksSnapshot } from '../dataplane/dataplane.ts';
import { LvsError, type LvsErrorCode, type MarkRule, type MarkRuleSnapshot } from '../lvs/model.ts';

/** A daemon that says nothing for so long is taken for stuck. */
const SILENCE_MS = 30_000;

const LVS_CODES: Readonly<Record<LvsErrorCode, true>> = {
  EEXIST: true,
  ENOENT: true,
  ESRCH: true,
  EINVAL: true,
  ERANGE: true,
  ENOMEM: true,
  EAFNOSUPPORT: true,
  EOPNOTSUPP: true,
};

/** The daemon cannot be reached or does not speak our API; the message says what to do. */
export class DaemonError extends Error {
  readonly code = 'BALLAST_DAEMON';
  readonly socket: string;

  constructor(socket: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DaemonError';
    this.socket = socket;
  }
}

/** Runs `use` with a client of the daemon at `socket`, and closes it whatever happens. */
export async function withDaemon<T>(socket: string, use: (client: ApiDataPlane) => Promise<T>): Promise<T> {
  const client = new ApiDataPlane(socket);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

export class ApiDataPlane implements DataPlane {
  readonly #socket: string;
  readonly #agent: Agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(socket: string) {
    this.#socket = socket;
  }

  describe(): string {
    return `daemon at ${this.#socket}`;
  }

  async apply(change: Change): Promise<void> {
    await this.#call('POST', '/v1/changes', change);
  }

  async snapshot(): Promise<DataPlaneSnapshot> {
    return (await this.#call('GET', '/v1/snapshot')) as DataPlaneSnapshot;
  }

  async connections(cursor: number): Promise<ConnectionPage> {
    return (await this.#call('GET', `/v1/connections?cursor=${cursor}`)) as ConnectionPage;
  }

  /** What gives packets their firewall marks. */
  async marks(): Promise<MarksSnapshot> {
    return (await this.#call('GET', '/v1/marks')) as MarksSnapshot;
  }

  /** Adds a rule that marks packets, and returns it with its number. */
  async addMark(rule: MarkRule): Promise<MarkRuleSnapshot> {
    return (await this.#call('POST', '/v1/marks', rule)) as MarkRuleSnapshot;
  }

  /** What `ballast status` shows. */
  async status(): Promise<DaemonStatus> {
    return (await this.#call('GET', '/v1/status')) as DaemonStatus;
  }

  /** Ends this client's connection; the daemon goes on. */
  async close(): Promise<void> {
    this.#agent.destroy();
  }

  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const { status, text } = await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body));
    if (status === 204) return undefined;
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch (error) {
      throw this.#garbled(method, path, status, error);
    }
    if (status < 300) return answer;
    const failure = (answer as Partial<ErrorAnswer>).error;
    if (failure === undefined) throw this.#garbled(method, path, status);
    if (isLvsCode(failure.code)) throw new LvsError(failure.code, failure.message);
    if (failure.code === 'INVALID') throw new LvsError('EINVAL', failure.message);
    throw new DaemonError(this.#socket, `the daemon at ${this.#socket} refused ${method} ${path}: ${failure.message}`);
  }

  #send(method: string, path: string, body: string | undefined): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException): void => reject(this.#unreachable(error));
      const length = body === undefined ? undefined : Buffer.byteLength(body);
      const headers = length === undefined ? {} : { 'content-type': 'application/json', 'content-length': length };
      const sent = request({
        socketPath: this.#socket,
        agent: this.#agent,
        method,
        path,
        headers,
        timeout: SILENCE_MS,
      });
      sent.once('response', (response: IncomingMessage) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.once('end', () => resolve({ status: response.statusCode!, text }));
        response.once('error', fail);
      });
      sent.once('timeout', () => sent.destroy(Object.assign(new Error('silent'), { code: 'ETIMEDOUT' })));
      sent.once('error', fail);
      sent.end(body);
    });
  }

  #unreachable(error: NodeJS.ErrnoException): DaemonError {
    const code = error.code ?? error.message;
    const socket = this.#socket;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      const message = `no Ballast daemon answers at ${socket} (${code}): start one with 'ballast run'`;
      return new DaemonError(socket, message, { cause: error });
    }
    if (code === 'EACCES' || code === 'EPERM') {
      const message = `the Ballast daemon at ${socket} may not be reached (${code}): run as root`;
      return new DaemonError(socket, message, { cause: error });
    }
    if (code === 'ETIMEDOUT') {
      const message = `the Ballast daemon at ${socket} has not answered for ${SILENCE_MS / 1000} s`;
      return new DaemonError(socket, message, { cause: error });
    }
    return new DaemonError(socket, `the Ballast daemon at ${socket} broke off (${code})`, { cause: error });
  }

  #garbled(method: string, path: string, status: number, cause?: unknown): DaemonError {
    const message = `the answer to ${method} ${path} at ${this.#socket} (status ${status}) is not Ballast's`;
    return new DaemonError(this.#socket, message, { cause });
  }
}

function isLvsCode(code: string): code is LvsErrorCode {
  return Object.hasOwn(LVS_CODES, code);
}
