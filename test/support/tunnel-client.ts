// SPDX-License-Identifier: Apache-2.0
// A client and a director in one namespace, for tests of real servers: what programs of the namespace send to a virtual
// address is put into a tunnel by the test, as a director would, and leaves by the device towards the server; the server
// answers the programs directly. The other end of that device may be another namespace, or a machine behind a tap.

import { setImmediate } from 'node:timers/promises';
import { inNamespace } from '../../src/linux/netns.ts';
import { PollSet } from '../../src/linux/poll.ts';
import { changeLink, getLink } from '../../src/linux/route/link.ts';
import { addRoute } from '../../src/linux/route/route.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';
import { writeSysctl } from '../../src/linux/sysctl.ts';
import { TunDevice } from '../../src/linux/tun.ts';
import type { Address } from '../../src/packet/address.ts';
import { macBytes } from './raw-frame.ts';
import { FrameSocket } from './veth-lab.ts';

const WAIT_MS = 5;
/** Packets of programs are no longer than this, so that they fit into any tunnel on an Ethernet device. */
const MTU = 1400;

export interface TunnelClientOptions {
  readonly namespace: string;
  /** Device towards the server, with the client's addresses. */
  readonly device: string;
  readonly serverMac: string;
  readonly virtual: readonly Address[];
}

/** What the director makes of a packet of the client's. */
export type Wrapper = (packet: Uint8Array) => Uint8Array;

export class TunnelClient {
  /** How packets go out now. */
  wrapper: Wrapper = (packet) => packet;
  /** Packets that went out in the tunnel. */
  sent = 0;
  readonly #tun: TunDevice;
  readonly #frames: FrameSocket;
  readonly #header: readonly number[];
  readonly #pumping: Promise<void>;
  #closed = false;

  constructor({ namespace, device, serverMac, virtual }: TunnelClientOptions) {
    const { tun, frames, mac } = inNamespace(namespace, () => {
      const made = new TunDevice('client%d');
      const socket = openRouteSocket();
      try {
        changeLink(socket, made.name, { up: true, mtu: MTU });
        for (const address of virtual) {
          const prefixLength = address.includes(':') ? 128 : 32;
          addRoute(socket, { destination: address, prefixLength, device: made.name });
        }
        for (const name of ['all', device]) writeSysctl(`net/ipv4/conf/${name}/rp_filter`, '0');
        const link = getLink(socket, device);
        return { tun: made, frames: new FrameSocket({ ...link, name: device }), mac: link.mac };
      } finally {
        socket.close();
      }
    });
    this.#tun = tun;
    this.#frames = frames;
    this.#header = [...macBytes(serverMac), ...macBytes(mac)];
    this.#pumping = this.#pump();
  }

  /** Sends one IP packet as it is to the server. */
  send(packet: Uint8Array): void {
    const type = packet[0] >>> 4 === 6 ? [0x86, 0xdd] : [0x08, 0x00];
    this.#frames.send(Uint8Array.from([...this.#header, ...type, ...packet]));
  }

  /** Device that programs' packets to the virtual addresses go to. */
  get device(): string {
    return this.#tun.name;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pumping;
    this.#frames.close();
    this.#tun.close();
  }

  async #pump(): Promise<void> {
    const polls = new PollSet(1);
    polls.add(this.#tun.number);
    const buffer = new Uint8Array(65536);
    while (!this.#closed) {
      for (let length = this.#tun.read(buffer); length > 0; length = this.#tun.read(buffer)) {
        this.send(this.wrapper(buffer.slice(0, length)));
        this.sent++;
      }
      polls.wait(WAIT_MS);
      // Programs' output and ends are heard in between.
      await setImmediate();
    }
  }
}
