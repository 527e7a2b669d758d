// SPDX-License-Identifier: Apache-2.0
// The client of the lab `fullnat`, run as `node proxy-client-process.js tcp|udp HOST PORT COUNT PARALLEL BYTES ADDRESS …`
// inside the client's namespace: makes COUNT connections (or sends COUNT datagrams from sockets of their own), PARALLEL at a
// time, from the addresses in turn, each with its own random bytes, and compares what the server saw with what it was.
// Prints one JSON object, a CrowdReport.

import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import type { CrowdReport } from './fullnat-report.ts';

const PATIENCE_MS = 60_000;
/** Of an answer to a datagram, which may be lost; then it is sent again. */
const DATAGRAM_MS = 500;
const DATAGRAM_TRIES = 20;

const [protocol, host, port, count, parallel, bytes, ...addresses] = process.argv.slice(2);

let made = 0;
let right = 0;
const wrong: string[] = [];
const failed: string[] = [];
const servers = new Set<string>();

await Promise.all(Array.from({ length: Number(parallel) }, work));
const report: CrowdReport = { made, right, wrong, failed, servers: [...servers].sort() };
process.stdout.write(`${JSON.stringify(report)}\n`);

async function work(): Promise<void> {
  while (made < Number(count)) {
    const address = addresses[made++ % addresses.length];
    const body = randomBytes(Number(bytes));
    try {
      const { own, answer } = await (protocol === 'udp' ? datagram(address, body) : stream(address, body));
      const [name, ...seen] = answer.trimEnd().split(' ');
      servers.add(name);
      const expected = `${address} ${own} ${createHash('sha256').update(body).digest('hex')}`;
      if (seen.join(' ') === expected) right++;
      else wrong.push(`${address} ${own}: ${answer.slice(0, 80)}`);
    } catch (error) {
      failed.push(`${address}: ${(error as Error).message}`);
    }
  }
}

async function stream(localAddress: string, body: Buffer): Promise<{ own: number; answer: string }> {
  const socket = connect({ host, port: Number(port), localAddress, allowHalfOpen: true });
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('no answer')));
  let answer = '';
  socket.on('data', (text) => {
    answer += String(text);
  });
  await once(socket, 'connect');
  const own = (socket.address() as AddressInfo).port;
  socket.write(`${body.length}\n`);
  socket.write(body);
  await once(socket, 'end');
  socket.end();
  await once(socket, 'close');
  return { own, answer };
}

async function datagram(address: string, body: Buffer): Promise<{ own: number; answer: string }> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => {});
  try {
    socket.bind(0, address);
    await once(socket, 'listening');
    socket.connect(Number(port), host);
    await once(socket, 'connect');
    const own = socket.address().port;
    for (let i = 0; i < DATAGRAM_TRIES; i++) {
      socket.send(body, () => {});
      const answer = await once(socket, 'message', { signal: AbortSignal.timeout(DATAGRAM_MS) }).catch(() => undefined);
      if (answer !== undefined) return { own, answer: String(answer[0]) };
    }
    throw new Error('no answer');
  } finally {
    socket.close();
  }
}
