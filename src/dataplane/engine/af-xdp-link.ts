// SPDX-License-Identifier: Apache-2.0
// A device as the engine's link, through AF_XDP: one socket for each receive queue, all sending through the first. The
// XDP program decides which frames come here. What costs is system calls, not JavaScript, so that there is one at most
// for a whole batch: `send` when packets wait and the driver asks to be called. In copy mode the kernel builds a packet
// of its own for each frame inside that call.
// hot path

import {
  type BusyPollOptions,
  isMissingQueue,
  KICK_AGAIN,
  KICK_STUCK,
  type Umem,
  XdpSocket,
  type XdpStatistics,
} from '../../linux/af-xdp.ts';
import { ETH_HLEN } from '../../packet/ethernet.ts';
import type { FramePool } from './frame-pool.ts';
import { HOLDER_NONE } from './frame-pool.ts';
import { BATCH, FRAME_SIZE, type FrameBatch, type Link } from './link.ts';
import type { XdpDevice, XdpInstance, XdpProgram } from './xdp-program.ts';

/** Entries of each ring: a burst of that many packets waits while the engine does something else. */
const RING_SIZE = 2048;

/** XDP_PACKET_HEADROOM: where the kernel puts a received packet in its frame. */
const HEADROOM = 256;

/** Longest IP packet that a frame takes in; the kernel drops longer ones before the engine sees them. */
export const MAX_MTU: number = FRAME_SIZE - HEADROOM - ETH_HLEN;

/** Calls of one flush at most: a ring of 2048 in the 32 packets that a kernel before 6.17 takes per call. */
const MAX_KICKS = 64;

export interface AfXdpLinkOptions {
  readonly device: XdpDevice;
  readonly program: XdpProgram;
  readonly umem: Umem;
  /** Holds the frames of `umem`; needs about twice the ring size for each queue of each link. */
  readonly pool: FramePool;
  /** Queues to take, all that the device has when absent. */
  readonly queues?: number;
  /** A power of two. */
  readonly ringSize?: number;
  /** Has the engine's own thread drive the driver: lower latency on a core of its own, waste on a shared one. */
  readonly busyPoll?: BusyPollOptions;
}

export class AfXdpLink implements Link {
  readonly name: string;
  readonly index: number;
  readonly mode: string;
  readonly queues: number;
  readonly zeroCopy: boolean;
  readonly pollFds: readonly number[];
  rxPackets = 0;
  txPackets = 0;
  txDropped = 0;

  readonly #instance: XdpInstance;
  readonly #sockets: readonly XdpSocket[];
  readonly #sender: XdpSocket;
  readonly #pool: FramePool;
  readonly #holder: number;
  readonly #busyPoll: boolean;
  #turn = 0;
  #stuck = false;

  /** Attaches the program, opens the sockets and fills their rings. A device that is down works from when it is up. */
  constructor(options: AfXdpLinkOptions) {
    const { device, pool } = options;
    this.name = device.name;
    this.index = device.index;
    this.#pool = pool;
    this.#busyPoll = options.busyPoll !== undefined;
    this.#instance = options.program.attach(device);
    this.mode = this.#instance.mode;
    let sockets: XdpSocket[] = [];
    try {
      sockets = openSockets(options, this.mode === 'generic');
      this.#holder = pool.addHolder();
      for (const socket of sockets) {
        socket.fill.refill(pool, this.#holder);
        this.#instance.setSocket(socket.queue, socket.fd);
      }
    } catch (error) {
      this.#instance.close();
      for (const socket of sockets) socket.close();
      throw error;
    }
    this.#sockets = sockets;
    this.#sender = sockets[0];
    this.queues = sockets.length;
    this.zeroCopy = sockets[0].zeroCopy;
    this.pollFds = sockets.map((socket) => socket.fd);
  }

  /** Frames wait that the kernel did not take at the last flush: flush again instead of waiting for input only. */
  get pending(): boolean {
    return !this.#stuck && this.#sender.tx!.waiting !== 0;
  }

  receive(batch: FrameBatch): number {
    const sockets = this.#sockets;
    const { offsets, lengths } = batch;
    let count = 0;
    for (let i = 0; i < sockets.length && count < BATCH; i++) {
      this.#turn = this.#turn + 1 < sockets.length ? this.#turn + 1 : 0;
      count = sockets[this.#turn].rx.take(offsets, lengths, count);
    }
    if (count === 0 && this.#busyPoll) count = this.#drive(batch);
    for (let i = 0; i < count; i++) this.#pool.hand(offsets[i], HOLDER_NONE);
    this.rxPackets += count;
    return count;
  }

  transmit(offset: number, length: number): boolean {
    if (!this.#sender.tx!.push(offset, length)) {
      this.#pool.give(offset);
      this.txDropped++;
      return false;
    }
    this.#pool.hand(offset, this.#holder);
    this.txPackets++;
    return true;
  }

  recycle(offset: number): void {
    this.#pool.give(offset);
  }

  flush(): void {
    const tx = this.#sender.tx!;
    tx.submit();
    if (tx.waiting !== 0 && tx.needsWakeup) this.#kick();
    this.#sender.completion.drain(this.#pool);
    const sockets = this.#sockets;
    for (let i = 0; i < sockets.length; i++) {
      sockets[i].fill.refill(this.#pool, this.#holder);
      if (sockets[i].fill.needsWakeup) sockets[i].wakeReceiver();
    }
  }

  allocate(): number {
    const offset = this.#pool.take(HOLDER_NONE);
    return offset === -1 ? -1 : offset + HEADROOM;
  }

  /** What the kernel counted against the sockets of all queues. */
  statistics(): XdpStatistics {
    const sum = { rxDropped: 0, rxInvalidDescriptors: 0, txInvalidDescriptors: 0, rxRingFull: 0, fillRingEmpty: 0 };
    for (const socket of this.#sockets) {
      const counted = socket.statistics();
      for (const name of Object.keys(sum) as (keyof XdpStatistics)[]) sum[name] += counted[name];
    }
    return sum;
  }

  /** To be told when the device's address changes. */
  setMac(mac: string): void {
    this.#instance.setMac(mac);
  }

  /** Detaches the program; every frame that the kernel had is free again. */
  close(): void {
    this.#instance.close();
    for (const socket of this.#sockets) socket.close();
    this.#pool.removeHolder(this.#holder);
  }

  /** Calls until all is taken or a call takes nothing. */
  #kick(): void {
    const tx = this.#sender.tx!;
    this.#stuck = false;
    let waiting = tx.waiting;
    for (let i = 0; i < MAX_KICKS && waiting !== 0; i++) {
      const result = this.#sender.kick();
      this.#stuck = result === KICK_STUCK;
      const left = tx.waiting;
      if (result !== KICK_AGAIN || left === waiting) return;
      waiting = left;
    }
  }

  #drive(batch: FrameBatch): number {
    let count = 0;
    for (const socket of this.#sockets) {
      socket.wakeReceiver();
      count = socket.rx.take(batch.offsets, batch.lengths, count);
      if (count === BATCH) break;
    }
    return count;
  }
}

function openSockets(options: AfXdpLinkOptions, generic: boolean): XdpSocket[] {
  const sockets: XdpSocket[] = [];
  try {
    for (let queue = 0; queue < (options.queues ?? Number.POSITIVE_INFINITY); queue++) {
      const first = sockets.at(0);
      try {
        sockets.push(
          new XdpSocket(options.umem, {
            device: options.device.name,
            ifindex: options.device.index,
            queue,
            ringSize: options.ringSize ?? RING_SIZE,
            transmit: queue === 0,
            forceCopy: generic,
            ...(first === undefined ? {} : { sibling: first }),
            ...(options.busyPoll === undefined ? {} : { busyPoll: options.busyPoll }),
          }),
        );
      } catch (error) {
        if (queue > 0 && options.queues === undefined && isMissingQueue(error)) break;
        throw error;
      }
    }
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
  return sockets;
}
