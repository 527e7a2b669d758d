// SPDX-License-Identifier: Apache-2.0
// The end of IPIP tunnels whose packets came in pieces, run as `node tunnel-end-process.js` inside a server's namespace: the
// XDP decapsulator takes no fragments, and a kernel without tunnel devices has nobody for what it puts together. This gets
// it by raw sockets and gives the packets inside back to the kernel by a TUN device. For labs, packet by packet.

import type { Fd } from '../linux/fd.ts';
import { PollSet } from '../linux/poll.ts';
import { changeLink } from '../linux/route/link.ts';
import { openRouteSocket } from '../linux/route/route-socket.ts';
import { AF_INET, AF_INET6, openSocket, receiveMessage, SOCK_NONBLOCK, SOCK_RAW } from '../linux/socket.ts';
import { TunDevice } from '../linux/tun.ts';
import { IPPROTO_IPIP, IPPROTO_IPV6 } from '../packet/ipv4.ts';

const DEVICE = 'tunnel-end';
const MOST_BYTES = 65_536;
const WAIT_MS = 1_000;

const tun = new TunDevice(DEVICE);
const route = openRouteSocket();
changeLink(route, DEVICE, { up: true });
route.close();

// A raw socket of IPv4 gives the outer header too, one of IPv6 does not (ipv6(7)).
const sockets = [
  { fd: openSocket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_IPIP, 'IPIP'), hasHeader: true },
  { fd: openSocket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_IPV6, 'IPv6 in IPv6'), hasHeader: false },
];
const polls = new PollSet(sockets.length);
for (const { fd } of sockets) polls.add(fd.number);
process.on('SIGTERM', () => process.exit(0));
process.stdout.write('ready\n');

const buffer = new Uint8Array(MOST_BYTES);
const read = (fd: Fd): number => receiveMessage(fd.number, buffer, 0, 'tunnel packets');
for (;;) {
  if (polls.wait(WAIT_MS) > 0) {
    for (const { fd, hasHeader } of sockets) {
      for (let length = read(fd); length > 0; length = read(fd)) {
        tun.write(buffer.subarray(hasHeader ? (buffer[0] & 15) * 4 : 0, length));
      }
    }
  }
  // Signals are heard between two waits.
  await new Promise((done) => setImmediate(done));
}
