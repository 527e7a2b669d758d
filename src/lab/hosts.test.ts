// SPDX-License-Identifier: Apache-2.0
// The lab's server and client as processes, over loopback: no namespace and no director between them.

import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ClientMessage, PhaseOrder } from './client-protocol.ts';
import { payload } from './payload.ts';
import { endChild } from './processes.ts';
import type { Tally } from './tally.ts';

let server: ChildProcess;
let client: ChildProcess;
let port: number;

before(async () => {
  const script = join(import.meta.dirname, 'server-process.js');
  server = spawn(process.execPath, [script, 'rs7', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  client = fork(join(import.meta.dirname, 'client-process.js'));
  assert.ok(server.stdout);
  const [line] = await once(server.stdout, 'data');
  port = Number(/^ready (\d+)\n$/.exec(String(line))?.[1]);
});
after(() => Promise.all([server, client].map((child) => endChild(child))));

async function runPhase(order: PhaseOrder): Promise<Tally> {
  client.send(order);
  for (;;) {
    const [message] = (await once(client, 'message')) as [ClientMessage];
    if (message.type === 'done') return message.tally;
  }
}

test('the client counts every answer under the name of who gave it', async () => {
  const tally = await runPhase({ host: '127.0.0.1', port, rate: 500, requests: 60 });
  assert.deepEqual(tally, { requests: 60, ok: 60, failed: 0, perServer: { rs7: 60 }, errors: {} });
});

test('the client counts what fails by reason, and a phase ends all the same', async () => {
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port: closedPort } = closed.address() as AddressInfo;
  await new Promise((done) => closed.close(done));
  const tally = await runPhase({ host: '127.0.0.1', port: closedPort, rate: 500, requests: 5 });
  assert.deepEqual(tally, { requests: 5, ok: 0, failed: 5, perServer: {}, errors: { ECONNREFUSED: 5 } });
});

test('the server streams the bytes that were asked for', async () => {
  const answer = await fetch(`http://127.0.0.1:${port}/bytes/200001`);
  const expected = createHash('sha256');
  for (const block of payload(200_001)) expected.update(block);
  const body = Buffer.from(await answer.arrayBuffer());
  assert.equal(body.length, 200_001);
  assert.equal(createHash('sha256').update(body).digest('hex'), expected.digest('hex'));
});

test('the server echoes datagrams with its name', async () => {
  const socket = createSocket('udp4');
  try {
    socket.send('hello', port, '127.0.0.1');
    const [message] = await once(socket, 'message');
    assert.equal(String(message), 'rs7 hello');
  } finally {
    socket.close();
  }
});

test('blocks of the payload differ from each other', () => {
  const blocks = [...payload(5 * 65_536)].map((block) => block.toString('latin1'));
  assert.equal(new Set(blocks).size, 5);
});
