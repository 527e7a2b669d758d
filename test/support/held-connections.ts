// SPDX-License-Identifier: Apache-2.0
// TCP connections that stay, run as `node held-connections.js HOST PORT COUNT` in a client's namespace. Each makes one
// request and then waits. Prints one line with the bodies of all answers, then one for each connection that ends: the
// error's code, or `closed`. Ends with its input.

import { connect } from 'node:net';

const [host, port, count] = process.argv.slice(2);
const bodies: string[] = [];

for (let i = 0; i < Number(count); i++) {
  const socket = connect(Number(port), host, () => socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
  let end = 'closed';
  socket.setEncoding('utf8');
  socket.once('data', (text: string) => {
    bodies.push(text.split('\r\n\r\n')[1]?.trim());
    if (bodies.length === Number(count)) console.log(bodies.join(', '));
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    end = error.code ?? error.message;
  });
  socket.on('close', () => console.log(end));
}
process.stdin.on('data', () => {});
process.stdin.on('end', () => process.exit(0));
