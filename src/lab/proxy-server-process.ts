// SPDX-License-Identifier: Apache-2.0
// A real server of the lab `fullnat`, run as `node proxy-server-process.js NAME PORT` inside its namespace: believes PROXY
// headers. TCP: after the header a line with the number of bytes that follow; answers with one line: its name, the address
// and port of the header, the SHA-256 of the bytes. UDP: answers each datagram with the same about what is behind the header;
// a sender introduces itself until it is answered, so later datagrams without a header are from whom the last header named.

import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import { PROXY_MAX, readProxyHeader } from '../lvs/stream/proxy-protocol.ts';
import { formatAddress } from '../packet/address.ts';

const [name, port] = process.argv.slice(2);
/** Longest beginning: a header and the line with the length. */
const MOST_BEFORE = PROXY_MAX + 16;
/** Clients by the end that the director speaks from; as many as that has ports. */
const known = new Map<string, string>();

const server = createServer({ allowHalfOpen: true }, serve);
const datagrams = createSocket('udp6', (message, from) => {
  datagrams.send(`${name} ${describe(message, `${from.address} ${from.port}`)}\n`, from.port, from.address);
});
await Promise.all([
  new Promise<void>((done) => server.listen(Number(port), '::', 4096, done)),
  new Promise<void>((done) => datagrams.bind(Number(port), '::', done)),
]);
process.stdout.write(`ready ${name}\n`);
process.on('SIGTERM', () => process.exit(0));

function serve(socket: Socket): void {
  const hash = createHash('sha256');
  let before = Buffer.alloc(0);
  let who: string | undefined;
  let left = 0;
  const take = (bytes: Buffer): void => {
    hash.update(bytes.subarray(0, left));
    left -= bytes.length;
    if (left <= 0) socket.end(`${name} ${who} ${hash.digest('hex')}\n`);
  };
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    if (who !== undefined) {
      if (left > 0) take(bytes);
      return;
    }
    before = Buffer.concat([before, bytes]);
    const begin = readBegin(before);
    if (begin === undefined) {
      if (before.length > MOST_BEFORE) socket.end(`${name} no header\n`);
      return;
    }
    ({ who, left } = begin);
    take(before.subarray(begin.length));
  });
}

/** The client that the header names, and how many bytes follow its line; undefined while some of both is missing. */
function readBegin(bytes: Buffer): { who: string; left: number; length: number } | undefined {
  const header = readProxyHeader(bytes, 0, bytes.length);
  if (header === undefined) return undefined;
  const end = bytes.indexOf('\n', header.length);
  if (end === -1) return undefined;
  return { who: nameEnds(header.ends), left: Number(bytes.toString('latin1', header.length, end)), length: end + 1 };
}

function describe(message: Buffer, sender: string): string {
  const header = readProxyHeader(message, 0, message.length);
  if (header !== undefined) known.set(sender, nameEnds(header.ends));
  const digest = createHash('sha256')
    .update(message.subarray(header?.length ?? 0))
    .digest('hex');
  return `${known.get(sender) ?? 'unknown 0'} ${digest}`;
}

type Ends = NonNullable<ReturnType<typeof readProxyHeader>>['ends'];

function nameEnds(ends: Ends): string {
  return ends === undefined ? 'nobody' : `${formatAddress(ends.family, ends.source)} ${ends.sourcePort}`;
}
