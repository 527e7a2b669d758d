// SPDX-License-Identifier: Apache-2.0
// Holds many connections to an echo server: `node many-client.js HOST PORT COUNT PARALLEL ADDRESS`. Prints how many are
// open; for a line of input it sends a number of its own through each, and prints for how many it came back.

import { connect, type Socket } from 'node:net';

const ANSWER_MS = 60_000;
const TRIES = 4;

const [host, port, count, parallel, localAddress] = process.argv.slice(2);
const sockets: Socket[] = [];
let begun = 0;
let failed = 0;

await Promise.all(Array.from({ length: Number(parallel) }, openSome));
process.stdout.write(`${JSON.stringify({ open: sockets.length, failed })}\n`);
process.stdin.once('data', () => void askAll());

async function openSome(): Promise<void> {
  while (begun++ < Number(count)) {
    let socket: Socket | undefined;
    for (let i = 0; i < TRIES && socket === undefined; i++) socket = await open();
    if (socket === undefined) failed++;
    else sockets.push(socket);
  }
}

function open(): Promise<Socket | undefined> {
  return new Promise((done) => {
    const socket = connect({ host, port: Number(port), localAddress });
    socket.once('connect', () => done(socket));
    socket.on('error', () => done(undefined));
  });
}

async function askAll(): Promise<void> {
  let right = 0;
  const step = Number(parallel);
  for (let at = 0; at < sockets.length; at += step) {
    const answers = await Promise.all(sockets.slice(at, at + step).map((socket, i) => ask(socket, `${at + i}\n`)));
    right += answers.filter((isRight) => isRight).length;
  }
  process.stdout.write(`${JSON.stringify({ right })}\n`);
}

function ask(socket: Socket, text: string): Promise<boolean> {
  return new Promise((done) => {
    const timer = setTimeout(() => finish(false), ANSWER_MS);
    const finish = (isRight: boolean): void => {
      clearTimeout(timer);
      done(isRight);
    };
    socket.once('data', (data) => finish(String(data) === text));
    socket.once('close', () => finish(false));
    socket.write(text);
  });
}
