// SPDX-License-Identifier: Apache-2.0
// Ballast's daemon: one data plane and the API over it on a Unix socket. Started by `ballast run`, labs and tests; it
// takes the socket first, so that two daemons never share one, then opens the data plane, then answers. Prints nothing.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { DataPlane } from '../dataplane/dataplane.ts';
import type { Logger } from '../dataplane/logger.ts';
import { createApi } from './api.ts';
import { listenAt } from './socket.ts';
import { ballastVersion } from './version.ts';

/** An idle client's connection is kept this long: a restore from a slow pipe stays on one. */
const KEEP_ALIVE_MS = 60_000;

export interface DaemonOptions {
  readonly socket: string;
}

export interface DaemonDeps {
  /** Opens the data plane, and fills it when it is to start with rules; the API answers once it is there. */
  readonly open: () => Promise<DataPlane>;
  readonly log: Logger;
}

export class Daemon {
  readonly socket: string;
  readonly dataplane: DataPlane;
  readonly #server: Server;
  readonly #log: Logger;
  #closed: Promise<void> | undefined;

  private constructor(socket: string, dataplane: DataPlane, server: Server, log: Logger) {
    this.socket = socket;
    this.dataplane = dataplane;
    this.#server = server;
    this.#log = log;
  }

  /** Resolves when the API answers. When anything fails nothing is left behind. */
  static async start(options: DaemonOptions, deps: DaemonDeps): Promise<Daemon> {
    let answer: (handle: RequestHandler) => void = () => {};
    const handler = new Promise<RequestHandler>((resolve) => {
      answer = resolve;
    });
    // A client that comes while the data plane opens waits; when that fails its connection is cut.
    const server = createServer((request, response) => {
      void handler.then((handle) => handle(request, response));
    });
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    await listenAt(server, options.socket);
    try {
      const dataplane = await deps.open();
      answer(serve(dataplane, deps.log));
      deps.log.info('ready', { pid: process.pid, socket: options.socket, dataplane: dataplane.describe() });
      return new Daemon(options.socket, dataplane, server, deps.log);
    } catch (error) {
      await closeServer(server);
      throw error;
    }
  }

  /** Ends the API, which removes the socket, then the data plane. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      await closeServer(this.#server);
      await this.dataplane.close();
      this.#log.info('stopped', { pid: process.pid });
    })();
    return this.#closed;
  }
}

type RequestHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

function serve(dataplane: DataPlane, log: Logger): RequestHandler {
  const startMs = performance.now();
  const uptimeSeconds = (): number => Math.floor((performance.now() - startMs) / 1000);
  const api = createApi({ version: ballastVersion(), pid: process.pid, uptimeSeconds }, { dataplane, log });
  // A client on a Unix socket has no host to name; hono wants an absolute URL.
  return getRequestListener(api.fetch, { hostname: 'localhost', overrideGlobalObjects: false });
}

/** Node unlinks the socket's file when its server closes. Requests under way are cut: the peer is on this machine. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
