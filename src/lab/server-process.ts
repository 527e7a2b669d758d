// SPDX-License-Identifier: Apache-2.0
// A real server of a lab, run as `node server-process.js NAME PORT …` inside its namespace: HTTP that says who it is
// (`/`), streams N bytes (`/bytes/N`) or tells the SHA-256 of what it is sent (PUT), and UDP that echoes with its name in front, on each of the ports. Prints
// `ready PORT …` when it listens on all of them.
// Knows nothing of directors; ends on SIGTERM.

import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { payload } from './payload.ts';

const MOST_BYTES = 2 ** 32;

const [name, ...ports] = process.argv.slice(2);

const bound = await Promise.all(ports.map((port) => listen(Number(port))));
process.stdout.write(`ready ${bound.join(' ')}\n`);
process.on('SIGTERM', () => process.exit(0));

/** Resolves with the port once both protocols listen on it. */
function listen(port: number): Promise<number> {
  const http = createServer((request, response) => answer(request, response));
  const udp = createSocket({ type: 'udp6' }, (message, from) => {
    udp.send([Buffer.from(`${name} `), message], from.port, from.address);
  });
  /** Connections that a benchmark leaves idle stay; the client decides. */
  http.keepAliveTimeout = 0;
  return new Promise((done) => {
    http.listen(port, '::', 4096, () => {
      const number = (http.address() as AddressInfo).port;
      udp.bind(number, '::', () => done(number));
    });
  });
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const bytes = /^\/bytes\/(\d{1,10})$/.exec(request.url ?? '')?.[1];
  response.setHeader('x-served-by', name);
  if (request.method === 'PUT') {
    digest(request, response);
    return;
  }
  if (bytes === undefined) {
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.end(`hello from ${name}\n`);
    return;
  }
  const length = Math.min(Number(bytes), MOST_BYTES);
  response.setHeader('content-type', 'application/octet-stream');
  response.setHeader('content-length', length);
  Readable.from(payload(length), { objectMode: false })
    .on('error', () => response.destroy())
    .pipe(response)
    .on('error', () => {});
}

function digest(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash('sha256');
  request.on('data', (bytes: Buffer) => hash.update(bytes));
  request.on('end', () => response.end(`${hash.digest('hex')}\n`));
  request.on('error', () => response.destroy());
}
