// SPDX-License-Identifier: Apache-2.0
// The client of a lab, started with an IPC channel inside the client's namespace: makes requests at a steady rate, a new
// connection for each, and counts who answered. A phase ends when every request is answered or has failed, so that the
// parent can change weights between phases without a request in flight. Ends when the parent does.

import { type ClientRequest, request } from 'node:http';
import { type ClientMessage, type PhaseOrder, PROGRESS_MS } from './client-protocol.ts';
import { emptyTally, increase, type Tally } from './tally.ts';

const ANSWER_TIMEOUT_MS = 5_000;
const TICK_MS = 5;

process.on('message', (order: PhaseOrder) => {
  void runPhase(order).then((tally) => send({ type: 'done', tally }));
});
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));

function send(message: ClientMessage): void {
  if (process.connected) process.send?.(message);
}

function runPhase(order: PhaseOrder): Promise<Tally> {
  const tally = emptyTally();
  const startMs = performance.now();
  return new Promise((done) => {
    const progress = setInterval(() => send({ type: 'progress', tally }), PROGRESS_MS);
    const settle = (): void => {
      if (tally.ok + tally.failed < order.requests) return;
      clearInterval(progress);
      done(tally);
    };
    const ticker = setInterval(() => {
      const due = Math.ceil(((performance.now() - startMs) * order.rate) / 1000);
      while (tally.requests < Math.min(due, order.requests)) fetchPage(order, tally, settle);
      if (tally.requests === order.requests) clearInterval(ticker);
    }, TICK_MS);
  });
}

/** One request on a connection of its own; `settle` runs once, after it was counted. */
function fetchPage(order: PhaseOrder, tally: Tally, settle: () => void): void {
  tally.requests++;
  let counted = false;
  const count = (server: string | undefined, reason: string): void => {
    if (counted) return;
    counted = true;
    if (server === undefined) {
      tally.failed++;
      increase(tally.errors, reason);
    } else {
      tally.ok++;
      increase(tally.perServer, server);
    }
    settle();
  };
  const { host, port } = order;
  const outgoing: ClientRequest = request({ host, port, path: '/', agent: false }, (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      body += text;
    });
    response.on('error', (error: NodeJS.ErrnoException) => count(undefined, error.code ?? error.message));
    response.on('end', () => {
      const server = /^hello from (\S+)\n$/.exec(body)?.[1];
      count(response.statusCode === 200 ? server : undefined, `unexpected answer, status ${response.statusCode}`);
    });
  });
  outgoing.setTimeout(ANSWER_TIMEOUT_MS, () => outgoing.destroy(new Error(`no answer in ${ANSWER_TIMEOUT_MS} ms`)));
  outgoing.on('error', (error: NodeJS.ErrnoException) => count(undefined, error.code ?? error.message));
  outgoing.on('close', () => count(undefined, 'closed without an answer'));
  outgoing.end();
}
