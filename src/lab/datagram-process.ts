// SPDX-License-Identifier: Apache-2.0
// A UDP client of a lab, run as `node datagram-process.js ADDRESS PORT BYTES COUNT` inside the client's namespace: sends
// COUNT datagrams of BYTES bytes, one at a time, to a server that sends them back, and prints how many came back as they were.
// One that does not is sent again, since the first that is too large for a way is lost for its sender to learn.
// Its socket is connected, so an answer from another address is none.

import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const ANSWER_MS = 1_000;
const TRIES = 3;

const [address, port, bytes, count] = process.argv.slice(2);
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
// Errors that routers report, such as a datagram that is too large in one piece: the next one knows.
socket.on('error', () => {});
socket.connect(Number(port), address);
await once(socket, 'connect');

let same = 0;
for (let i = 0; i < Number(count); i++) if (await exchange(randomBytes(Number(bytes)))) same++;
process.stdout.write(`${same} of ${count} datagrams of ${bytes} bytes came back\n`);
socket.close();

async function exchange(message: Buffer): Promise<boolean> {
  for (let i = 0; i < TRIES; i++) if (await isAnswered(message)) return true;
  return false;
}

function isAnswered(message: Buffer): Promise<boolean> {
  return new Promise((done) => {
    const finish = (answered: boolean): void => {
      clearTimeout(timer);
      socket.off('message', onMessage);
      done(answered);
    };
    const onMessage = (answer: Buffer): void => {
      if (answer.equals(message)) finish(true);
    };
    const timer = setTimeout(() => finish(false), ANSWER_MS);
    socket.on('message', onMessage);
    socket.send(message, () => {});
  });
}
