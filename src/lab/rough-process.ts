// SPDX-License-Identifier: Apache-2.0
// A bad line, run as `node rough-process.js DEVICE LOSS% LATE%` inside a router's namespace: packets that the router's rules
// send to the TUN device DEVICE come back out of it, but some are lost and some come after those that were sent later. For
// labs on kernels without netem, packet by packet. Prints `ready`; ends on SIGTERM, and the device with it.

import { PollSet } from '../linux/poll.ts';
import { changeLink } from '../linux/route/link.ts';
import { openRouteSocket } from '../linux/route/route-socket.ts';
import { TunDevice } from '../linux/tun.ts';

const MTU = 1_500;
/** A late packet waits so long at most: enough for some that follow. */
const LATEST_MS = 8;
const WAIT_MS = 1_000;

const [device, loss, late] = process.argv.slice(2);
const tun = new TunDevice(device);
const route = openRouteSocket();
changeLink(route, device, { up: true });
route.close();
const polls = new PollSet(1);
polls.add(tun.number);
process.on('SIGTERM', () => process.exit(0));
process.stdout.write('ready\n');

const held: { readonly packet: Uint8Array; readonly dueMs: number }[] = [];
const buffer = new Uint8Array(MTU);
const happens = (percent: string): boolean => Math.random() * 100 < Number(percent);
for (;;) {
  polls.wait(held.length > 0 ? 1 : WAIT_MS);
  for (let length = tun.read(buffer); length > 0; length = tun.read(buffer)) {
    if (happens(loss)) continue;
    const packet = buffer.slice(0, length);
    if (happens(late)) held.push({ packet, dueMs: performance.now() + Math.random() * LATEST_MS });
    else tun.write(packet);
  }
  const nowMs = performance.now();
  for (let i = held.length - 1; i >= 0; i--) {
    if (held[i].dueMs <= nowMs) tun.write(held.splice(i, 1)[0].packet);
  }
  // Signals are heard between two waits.
  await new Promise((done) => setImmediate(done));
}
