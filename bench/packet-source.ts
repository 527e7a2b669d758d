// SPDX-License-Identifier: Apache-2.0
// A link that makes its packets as they are received, for benchmarks: clients 10.0.0.0/8 to one VIP, or servers back to
// them. Every header field that the engine rewrites is written anew each time, so that each packet is a valid one.
// hot path

import type { FramePool } from '../src/dataplane/engine/frame-pool.ts';
import { HOLDER_NONE } from '../src/dataplane/engine/frame-pool.ts';
import { BATCH, type FrameBatch, type Link } from '../src/dataplane/engine/link.ts';
import { applyDifference, difference16, difference32 } from '../src/packet/checksum.ts';

const HEADROOM = 256;
const FRAME_BYTES = 14 + 20 + 20 + 10;
/** A prime: flows come up in an order that no cache guesses. */
const STRIDE = 7_368_787;

/** What the source sends: connection openings, client data, server data, or client and server data in turn. */
export type Pattern = 'syn' | 'request' | 'reply' | 'both';

export interface SourceOptions {
  readonly pool: FramePool;
  readonly bytes: Uint8Array;
  readonly virtualAddress: number;
  readonly virtualPort: number;
  /** Server of flow i is `servers[i % servers.length]` in replies. */
  readonly servers: readonly number[];
  readonly serverPort: number;
}

export class PacketSource implements Link {
  readonly name = 'source';
  readonly index = 1;
  readonly mode = 'memory';
  readonly queues = 1;
  readonly pollFds: readonly number[] = [];
  readonly pending = false;
  rxPackets = 0;
  txPackets = 0;
  txDropped = 0;
  pattern: Pattern = 'syn';
  flows = 1;
  /** Server that each flow was given, by flow: filled from what the engine sent. */
  readonly serverOf: Int32Array;

  readonly #options: SourceOptions;
  readonly #view: DataView;
  /** The frames' memory by words; frames start on one. */
  readonly #words: Int32Array;
  readonly #request: Int32Array;
  readonly #reply: Int32Array;
  readonly #requestIp: number;
  readonly #requestTcp: number;
  readonly #replyIp: number;
  readonly #replyTcp: number;
  #next = 0;

  constructor(options: SourceOptions, maxFlows: number) {
    this.#options = options;
    this.#view = new DataView(options.bytes.buffer, options.bytes.byteOffset, options.bytes.byteLength);
    this.serverOf = new Int32Array(maxFlows);
    this.#words = new Int32Array(options.bytes.buffer, options.bytes.byteOffset, options.bytes.byteLength >> 2);
    const request = template(0, options.virtualAddress, 0, options.virtualPort);
    const reply = template(0, 0, options.serverPort, 0);
    const field = (frame: Uint8Array, at: number): number => (frame[at] << 8) | frame[at + 1];
    this.#request = new Int32Array(request.buffer);
    this.#requestIp = field(request, 24);
    this.#requestTcp = field(request, 50);
    this.#reply = new Int32Array(reply.buffer);
    this.#replyIp = field(reply, 24);
    this.#replyTcp = field(reply, 50);
  }

  receive(batch: FrameBatch): number {
    const { pattern, flows } = this;
    const step = pattern === 'syn' ? 1 : STRIDE % flows;
    for (let i = 0; i < BATCH; i++) {
      const frame = this.#options.pool.take(HOLDER_NONE) + HEADROOM;
      const flow = this.#next;
      const isReply = pattern === 'reply' || (pattern === 'both' && (i & 1) === 1);
      if (isReply) this.#writeReply(frame, flow);
      else this.#writeRequest(frame, flow, pattern === 'syn' ? 2 : 16);
      const next = flow + step;
      this.#next = next >= flows ? next - flows : next;
      batch.offsets[i] = frame;
      batch.lengths[i] = FRAME_BYTES;
    }
    this.rxPackets += BATCH;
    return BATCH;
  }

  transmit(offset: number, _length: number): boolean {
    if (this.pattern === 'syn') this.#remember(offset);
    this.#options.pool.give(offset);
    this.txPackets++;
    return true;
  }

  recycle(offset: number): void {
    this.#options.pool.give(offset);
  }

  flush(): void {}

  allocate(): number {
    return -1;
  }

  close(): void {}

  #writeRequest(frame: number, flow: number, flags: number): void {
    const view = this.#view;
    const client = clientOf(flow);
    const port = portOf(flow);
    this.#copy(this.#request, frame);
    const address = difference32(0, client);
    view.setInt32(frame + 26, client);
    view.setUint16(frame + 34, port);
    view.setUint8(frame + 47, flags);
    view.setUint16(frame + 24, applyDifference(this.#requestIp, address));
    view.setUint16(frame + 50, applyDifference(this.#requestTcp, address + difference16(0, port) + flags));
  }

  #writeReply(frame: number, flow: number): void {
    const view = this.#view;
    const client = clientOf(flow);
    const server = this.serverOf[flow];
    const port = portOf(flow);
    this.#copy(this.#reply, frame);
    const addresses = difference32(0, client) + difference32(0, server);
    view.setInt32(frame + 26, server);
    view.setInt32(frame + 30, client);
    view.setUint16(frame + 36, port);
    view.setUint8(frame + 47, 16);
    view.setUint16(frame + 24, applyDifference(this.#replyIp, addresses));
    view.setUint16(frame + 50, applyDifference(this.#replyTcp, addresses + difference16(0, port) + 16));
  }

  #copy(template: Int32Array, frame: number): void {
    const at = frame >> 2;
    for (let i = 0; i < FRAME_BYTES >> 2; i++) this.#words[at + i] = template[i];
  }

  #remember(frame: number): void {
    const view = this.#view;
    const flow = ((view.getInt32(frame + 26) & 0xffffff) << 2) | (view.getUint16(frame + 34) & 3);
    this.serverOf[flow] = view.getInt32(frame + 30);
  }
}

/** Client of a flow: four flows share one address of 10.0.0.0/8. */
function clientOf(flow: number): number {
  return 0x0a000000 | (flow >>> 2);
}

function portOf(flow: number): number {
  return 40000 | (flow & 3);
}

/** A TCP segment of 10 bytes without flags, checksums whole. */
function template(source: number, destination: number, sport: number, dport: number): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  view.setUint16(14, 0x4500);
  view.setUint16(16, FRAME_BYTES - 14);
  view.setUint16(20, 0x4000);
  view.setUint16(22, 0x4006);
  view.setInt32(26, source);
  view.setInt32(30, destination);
  view.setUint16(34, sport);
  view.setUint16(36, dport);
  view.setUint8(46, 0x50);
  view.setUint16(48, 0xffff);
  view.setUint16(24, sum(view, 14, 20, 0));
  view.setUint16(
    50,
    sum(view, 34, 30, (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + 6 + 30),
  );
  return frame;
}

function sum(view: DataView, at: number, length: number, initial: number): number {
  let total = initial;
  for (let i = 0; i < length; i += 2) total += view.getUint16(at + i);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}
