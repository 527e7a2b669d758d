// SPDX-License-Identifier: Apache-2.0
// One TCP connection that lasts, run as `node steady-client.js HOST PORT` in a client's namespace. It prints its local
// port, then for each line on standard input makes one request on that connection and prints the answer's body, or the
// error's code. Ends with its input.

import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const [host, port] = process.argv.slice(2);
const socket = connect(Number(port), host, () => console.log(socket.localPort));
socket.setEncoding('utf8');
socket.on('data', (text: string) => {
  const body = text.split('\r\n\r\n')[1]?.trim();
  console.log(body);
});
socket.on('error', (error: NodeJS.ErrnoException) => console.log(error.code));

createInterface({ input: process.stdin })
  .on('line', () => socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
  .on('close', () => socket.destroy());
