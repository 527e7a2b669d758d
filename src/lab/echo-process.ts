// SPDX-License-Identifier: Apache-2.0
// A UDP server of a lab, run as `node echo-process.js NAME PORT ADDRESS …` inside its namespace: sends every datagram back,
// from the address that it was sent to. Real servers that answer past their director need that: a socket of all addresses
// would answer from the server's own. Prints `ready` when it listens; ends on SIGTERM.

import { createSocket } from 'node:dgram';

const [name, port, ...addresses] = process.argv.slice(2);

await Promise.all(addresses.map(listen));
process.stdout.write(`ready ${name}\n`);
process.on('SIGTERM', () => process.exit(0));

function listen(address: string): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4', (message, from) => {
    socket.send(message, from.port, from.address);
  });
  return new Promise((done) => {
    socket.bind(Number(port), address, () => done());
  });
}
