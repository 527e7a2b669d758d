// SPDX-License-Identifier: Apache-2.0
// A network namespace with veth pairs for tests of devices: nothing in it speaks unless the test does. The near end of
// a pair belongs to the code under test, the far end to the test, which sends and receives raw frames there.

import { execFileSync } from 'node:child_process';
import { createNamespace, inNamespace, removeNamespace } from '../../src/linux/netns.ts';
import {
  AF_PACKET,
  bindSocket,
  openSocket,
  receiveMessage,
  SOCK_NONBLOCK,
  SOCK_RAW,
  sendMessage,
  setReceiveBuffer,
} from '../../src/linux/socket.ts';

const ETH_P_ALL = 3;

export interface TestDevice {
  readonly name: string;
  readonly index: number;
  readonly mac: string;
}

export interface VethPair {
  readonly near: TestDevice;
  readonly far: TestDevice;
}

let $serial = 0;

export class VethLab {
  readonly namespace: string = `ballast-test-${process.pid}-${$serial++}`;

  constructor() {
    createNamespace(this.namespace);
  }

  /** A pair whose ends are up; `queues` is what the near end has. */
  addPair(name: string, queues = 1): VethPair {
    const near = `${name}-near`;
    const far = `${name}-far`;
    const count = ['numrxqueues', `${queues}`, 'numtxqueues', `${queues}`];
    this.ip('link', 'add', near, ...count, 'type', 'veth', 'peer', 'name', far, ...count);
    for (const device of [near, far]) this.ip('link', 'set', device, 'addrgenmode', 'none', 'up');
    const pair = { near: this.device(near), far: this.device(far) };
    return pair;
  }

  device(name: string): TestDevice {
    const [link] = JSON.parse(this.ip('-j', 'link', 'show', name)) as [{ ifindex: number; address: string }];
    return { name, index: link.ifindex, mac: link.address };
  }

  /** Runs `ip` inside the namespace. */
  ip(...args: string[]): string {
    return execFileSync('ip', ['-n', this.namespace, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Runs `body`, which must be synchronous, inside the namespace. */
  run<T>(body: () => T): T {
    return inNamespace(this.namespace, body);
  }

  /** Raw frames of a device. */
  open(device: TestDevice): FrameSocket {
    return this.run(() => new FrameSocket(device));
  }

  /** Whatever is still open in the namespace keeps it; the devices go at once. */
  close(): void {
    removeNamespace(this.namespace);
  }
}

/** An AF_PACKET socket bound to one device. */
export class FrameSocket {
  readonly #fd: ReturnType<typeof openSocket>;
  readonly #context: string;
  readonly #buffer: Uint8Array = new Uint8Array(65536);

  constructor(device: TestDevice) {
    this.#context = `frames of ${device.name}`;
    this.#fd = openSocket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0, this.#context);
    setReceiveBuffer(this.#fd.number, 32 << 20, this.#context);
    //  0 family(2)  2 protocol(2, wire order)  4 ifindex(4)  8 hatype(2)  10 pkttype(1)  11 halen(1)  12 address(8)
    const view = new DataView(new ArrayBuffer(20));
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, ETH_P_ALL);
    view.setInt32(4, device.index, true);
    bindSocket(this.#fd.number, new Uint8Array(view.buffer), this.#context);
  }

  get fd(): number {
    return this.#fd.number;
  }

  send(frame: Uint8Array): void {
    sendMessage(this.#fd.number, frame, this.#context);
  }

  /** The next frame that came to the device, not those that it sent; undefined when none waits. */
  receive(): Uint8Array | undefined {
    const length = receiveMessage(this.#fd.number, this.#buffer, 0, this.#context);
    return length === -1 ? undefined : this.#buffer.slice(0, length);
  }

  close(): void {
    this.#fd.close();
  }
}
