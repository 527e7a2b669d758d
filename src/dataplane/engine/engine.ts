// SPDX-License-Identifier: Apache-2.0
// The engine's turn: batches from every link through the director and out by their adjacencies. It owns each frame from
// `receive` to `transmit` or `recycle`; it never blocks, the thread around it waits.
// hot path

import type { Director } from '../../lvs/director.ts';
import { copyBytes } from '../../lvs/fragment/copy.ts';
import { Datagram } from '../../lvs/fragment/datagram.ts';
import { Fragmentation } from '../../lvs/fragment/fragmentation.ts';
import type { FrameMemory } from '../../lvs/frame-memory.ts';
import type { Server } from '../../lvs/service/server.ts';
import { ANSWER, FORWARD, LOCAL, PASS } from '../../lvs/verdict.ts';
import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6, ETH_TYPE, writeAddresses } from '../../packet/ethernet.ts';
import { IPV4_DST } from '../../packet/ipv4.ts';
import { IPV6_DST } from '../../packet/ipv6.ts';
import {
  type Adjacency,
  type AdjacencyTable,
  LOCAL_ADDRESS,
  NO_LINK,
  NO_ROUTE,
  REACHABLE,
  UNRESOLVED,
} from './adjacency.ts';
import { FRAME_SIZE, FrameBatch, type Link } from './link.ts';

/** Gives packets that are not the director's back to the kernel. */
export interface KernelPort {
  /** Hands over the IP packet of `length` bytes at `offset` of the frame memory; false when the kernel did not take it. */
  inject(offset: number, length: number): boolean;
}

/** Packets that got a good verdict but no way out, by reason. */
export const EGRESS_NAMES = [
  'drop-no-route',
  'drop-no-link',
  'drop-local-destination',
  'drop-neighbour-unresolved',
  'drop-mtu',
  'drop-tx-full',
  'drop-kernel-refused',
  'drop-no-frame',
] as const;
const EGRESS_NO_ROUTE = 0;
const EGRESS_NO_LINK = 1;
const EGRESS_LOCAL = 2;
const EGRESS_UNRESOLVED = 3;
const EGRESS_MTU = 4;
const EGRESS_TX_FULL = 5;
const EGRESS_KERNEL = 6;
const EGRESS_NO_FRAME = 7;

/** By adjacency state. */
const EGRESS_OF_STATE: Readonly<Record<number, number>> = {
  [NO_ROUTE]: EGRESS_NO_ROUTE,
  [NO_LINK]: EGRESS_NO_LINK,
  [LOCAL_ADDRESS]: EGRESS_LOCAL,
};

/** Of all frames one in so many may wait for neighbours, or silent ones would leave none to receive with. */
const WAITING_SHARE = 8;

export interface EngineOptions {
  readonly director: Director;
  readonly frames: FrameMemory;
  readonly adjacencies: AdjacencyTable;
  readonly kernel: KernelPort;
}

export class Engine {
  readonly links: Link[] = [];
  /** More connections are due to end than the last turn had time for: take the next one soon. */
  lags = false;
  /** Indexed as EGRESS_NAMES. */
  readonly egress: Float64Array = new Float64Array(EGRESS_NAMES.length);
  readonly #director: Director;
  readonly #frames: FrameMemory;
  readonly #adjacencies: AdjacencyTable;
  readonly #kernel: KernelPort;
  readonly #batch = new FrameBatch();
  readonly #mostWaiting: number;
  readonly #fragmentation = new Fragmentation();
  /** A packet that came whole and is too long for its way. */
  readonly #whole: Datagram;
  /** Of the last packet in IPv6 that was cut here. */
  #identification = 0;
  /** Frames that wait for neighbours. */
  #waiting = 0;

  constructor(options: EngineOptions) {
    this.#director = options.director;
    this.#frames = options.frames;
    this.#whole = new Datagram(options.frames);
    this.#adjacencies = options.adjacencies;
    this.#kernel = options.kernel;
    this.#mostWaiting = Math.floor(options.frames.bytes.length / FRAME_SIZE / WAITING_SHARE);
  }

  /** One batch from each link, then timers; `microseconds` is a finer clock, wrapping. Returns how many packets came in. */
  turn(now: number, microseconds = 0): number {
    const links = this.links;
    this.#director.connections.microseconds = microseconds;
    let total = 0;
    for (let i = 0; i < links.length; i++) {
      const link = links[i];
      this.#director.device = link.index;
      const count = link.receive(this.#batch);
      const { offsets, lengths } = this.#batch;
      this.#director.foresee(this.#frames, offsets, lengths, count);
      for (let place = 0; place < count; place++) this.#handle(link, offsets[place], lengths[place], now, place);
      total += count;
    }
    this.lags = this.#director.tick(now);
    if (this.#director.outbox.length > 0) this.#sendOwn();
    for (let i = 0; i < links.length; i++) links[i].flush();
    return total;
  }

  /** Sends what the director says by itself; what there is no frame for waits for the next turn. */
  #sendOwn(): void {
    const { outbox } = this.#director;
    const { bytes, view } = this.#frames;
    for (let packet = outbox.shift(); packet !== undefined; packet = outbox.shift()) {
      const frame = this.links[0]?.allocate() ?? -1;
      if (frame === -1) {
        outbox.unshift(packet);
        return;
      }
      bytes.set(packet, frame + ETH_HLEN);
      view.setUint16(frame + ETH_TYPE, packet[0] >>> 4 === 4 ? ETH_P_IP : ETH_P_IPV6);
      this.#director.adopt(this.#frames, frame, packet.length + ETH_HLEN);
      this.#egress(frame, packet.length + ETH_HLEN);
    }
  }

  /** Sends what waited for a neighbour that is known now, or drops it when there is no hope. */
  release(adjacency: Adjacency): void {
    const held = this.#takeHeld(adjacency);
    for (let i = 0; i < held.length; i += 2) {
      if (adjacency.state === REACHABLE) this.#send(adjacency, held[i], held[i + 1]);
      else this.#drop(EGRESS_UNRESOLVED, held[i]);
    }
  }

  /** Drops what waits for a neighbour that is forgotten. */
  discard(adjacency: Adjacency): void {
    const held = this.#takeHeld(adjacency);
    for (let i = 0; i < held.length; i += 2) this.#drop(EGRESS_UNRESOLVED, held[i]);
  }

  #takeHeld(adjacency: Adjacency): number[] {
    const held = adjacency.held.splice(0);
    this.#waiting -= held.length >> 1;
    return held;
  }

  #handle(link: Link, frame: number, length: number, now: number, place: number): void {
    const verdict = this.#director.processForeseen(this.#frames, frame, length, now, place);
    const { departure } = this.#director;
    const isKernels = verdict === PASS || verdict === LOCAL;
    if (verdict === FORWARD || verdict === ANSWER) {
      if (departure.beforeLength > 0) this.#sendBefore(link);
      if (departure.datagram === undefined && departure.fragmentMtu === 0) {
        this.#egress(departure.frame, departure.length);
        return;
      }
      this.#cut(link, false, verdict === ANSWER);
    } else if (isKernels && departure.datagram !== undefined) {
      this.#cut(link, true, false);
    } else if (isKernels && length > ETH_HLEN && !this.#kernel.inject(frame + ETH_HLEN, length - ETH_HLEN)) {
      this.egress[EGRESS_KERNEL]++;
    }
    link.recycle(frame);
  }

  /** Sends what has to go before the departing packet, by the same way. */
  #sendBefore(link: Link): void {
    const { before, beforeLength, memory } = this.#director.departure;
    const frame = link.allocate();
    if (frame === -1) {
      this.egress[EGRESS_NO_FRAME]++;
      return;
    }
    copyBytes(memory.view, before, this.#frames.view, frame, beforeLength);
    this.#egress(frame, beforeLength);
  }

  /**
   * Sends the departing packet, or gives it to the kernel, in frames of their own: it came in fragments, or is too long for
   * its way.
   */
  #cut(link: Link, toKernel: boolean, isAnswer: boolean): void {
    const { departure } = this.#director;
    const { memory, frame, length, fragmentMtu, isOwn } = departure;
    const adjacency = toKernel ? undefined : this.#adjacencyOf();
    // An answer to what came in fragments is a packet of its own.
    let datagram = isAnswer ? undefined : departure.datagram;
    if (datagram === undefined) {
      datagram = this.#whole;
      datagram.setWhole(memory, frame, length);
    }
    datagram.frame = frame;
    datagram.length = length;
    datagram.isOwn = isOwn;
    if (isOwn) datagram.identification = this.#identification = (this.#identification + 1) | 0;
    const mtu = fragmentMtu !== 0 ? fragmentMtu : (adjacency?.mtu ?? 0xffff);
    const fragments = this.#fragmentation.begin(datagram, mtu);
    if (fragments <= 0) this.egress[EGRESS_MTU]++;
    for (let left = fragments; left > 0; left--) {
      const next = link.allocate();
      if (next === -1) {
        this.egress[EGRESS_NO_FRAME]++;
        return;
      }
      const bytes = this.#fragmentation.next(this.#frames, next);
      if (adjacency !== undefined) {
        this.#leave(adjacency, next, bytes);
        continue;
      }
      if (!this.#kernel.inject(next + ETH_HLEN, bytes - ETH_HLEN)) this.egress[EGRESS_KERNEL]++;
      link.recycle(next);
    }
  }

  #egress(frame: number, length: number): void {
    this.#leave(this.#adjacencyOf(), frame, length);
  }

  #leave(adjacency: Adjacency, frame: number, length: number): void {
    adjacency.used = true;
    if (adjacency.state === REACHABLE) {
      this.#send(adjacency, frame, length);
    } else if (adjacency.state === UNRESOLVED) {
      this.#hold(adjacency, frame, length);
    } else {
      this.#drop(EGRESS_OF_STATE[adjacency.state], frame);
    }
  }

  #hold(adjacency: Adjacency, frame: number, length: number): void {
    if (this.#waiting >= this.#mostWaiting) {
      this.#drop(EGRESS_UNRESOLVED, frame);
      return;
    }
    const oldest = this.#adjacencies.hold(adjacency, frame, length);
    if (oldest === -1) this.#waiting++;
    else this.#drop(EGRESS_UNRESOLVED, oldest);
  }

  /** The way of the packet that the director has just decided about; a reply's is kept with its connection. */
  #adjacencyOf(): Adjacency {
    const { egressWord, nextHop } = this.#director.departure;
    if (nextHop !== undefined) return this.#adjacencyOfServer(nextHop);
    const records = this.#director.connections.records;
    if (egressWord !== 0) {
      const kept = this.#adjacencies.recall(records[egressWord]);
      if (kept !== undefined) return kept;
    }
    const { view } = this.#director.departure.memory;
    const { family, ip } = this.#director.headers;
    const adjacency =
      family === 4
        ? this.#adjacencies.resolveIpv4(view.getInt32(ip + IPV4_DST))
        : this.#adjacencies.resolveIpv6(view, ip + IPV6_DST);
    if (egressWord !== 0) records[egressWord] = adjacency.token;
    return adjacency;
  }

  /** The way to a server. */
  #adjacencyOfServer(server: Server): Adjacency {
    const kept = this.#adjacencies.recall(server.egress);
    if (kept !== undefined) return kept;
    const adjacency = this.#adjacencies.resolve(server.family, server.words);
    server.egress = adjacency.token;
    return adjacency;
  }

  #send(adjacency: Adjacency, frame: number, length: number): void {
    const link = adjacency.link as Link;
    if (length - ETH_HLEN > adjacency.mtu) {
      this.#drop(EGRESS_MTU, frame);
      return;
    }
    const view = this.#frames.view;
    writeAddresses(view, frame, adjacency.dstHigh, adjacency.dstLow, adjacency.srcHigh, adjacency.srcLow);
    if (!link.transmit(frame, length)) this.egress[EGRESS_TX_FULL]++;
  }

  #drop(reason: number, frame: number): void {
    this.egress[reason]++;
    this.links[0].recycle(frame);
  }
}
