// SPDX-License-Identifier: Apache-2.0
// Fragments for tests, cut and read independently of the code under test: plain arithmetic on byte arrays.

import type { FrameMemory } from '../../src/lvs/frame-memory.ts';
import { Headers, parseFrame } from '../../src/packet/parse.ts';
import { frame, internetChecksum } from './frames.ts';

export interface CutOptions {
  /** IPv6: identification in the fragment headers. */
  readonly id?: number;
  /** Bytes that each IPv6 fragment repeats; behind them comes the fragment header. */
  readonly unfragmentable?: number;
  /** Where the byte is that names the header behind those; the IPv6 header's own when left out. */
  readonly nextField?: number;
  /** IPv4: fragments (by number) with DF. */
  readonly dontFragment?: (index: number) => boolean;
  /** ECN field of each fragment. */
  readonly ecn?: (index: number) => number;
}

/** An IP packet in fragments that end at the fragmentable bytes `ends`, of which the last is the packet's end. */
export function cut(packet: Uint8Array, ends: readonly number[], options: CutOptions = {}): Uint8Array[] {
  return ends.map((end, i) => {
    const start = i === 0 ? 0 : ends[i - 1];
    return fragment(packet, start, end, i < ends.length - 1, options, i);
  });
}

/** The fragment with the fragmentable bytes `start` … `end` of a packet. */
export function fragment(
  packet: Uint8Array,
  start: number,
  end: number,
  more: boolean,
  options: CutOptions = {},
  index = 0,
): Uint8Array {
  const isIpv6 = packet[0] >>> 4 === 6;
  const header = isIpv6 ? (options.unfragmentable ?? 40) : (packet[0] & 15) * 4;
  const body = packet.subarray(header + start, header + end);
  const head = packet.slice(0, header);
  const ecn = options.ecn?.(index);
  if (isIpv6) {
    const field = options.nextField ?? 6;
    const next = head[field];
    const word = start | (more ? 1 : 0);
    const id = options.id ?? 0x12345678;
    head[field] = 44;
    if (ecn !== undefined) head[1] = (head[1] & 0xcf) | (ecn << 4);
    const payload = header - 40 + 8 + body.length;
    head.set([payload >>> 8, payload & 255], 4);
    const ids = [id >>> 24, (id >>> 16) & 255, (id >>> 8) & 255, id & 255];
    return Uint8Array.from([...head, next, 0, word >>> 8, word & 255, ...ids, ...body]);
  }
  const word = (start >>> 3) | (more ? 0x2000 : 0) | (options.dontFragment?.(index) ? 0x4000 : 0);
  if (ecn !== undefined) head[1] = (head[1] & 0xfc) | ecn;
  head.set([(header + body.length) >>> 8, (header + body.length) & 255], 2);
  head.set([word >>> 8, word & 255], 6);
  return Uint8Array.from([...withChecksum(head), ...body]);
}

/**
 * The IP packet that fragments of it in turn make, put together the slow way; throws where they leave a gap, overlap or
 * break a rule of RFC 791 or RFC 8200. IPv6's fragment header is expected behind `unfragmentable` bytes.
 */
export function join(fragments: readonly Uint8Array[], unfragmentable = 40, nextField = 6): Uint8Array {
  const isIpv6 = fragments[0][0] >>> 4 === 6;
  const body: number[] = [];
  fragments.forEach((one, i) => {
    const header = isIpv6 ? unfragmentable + 8 : (one[0] & 15) * 4;
    const at = isIpv6 ? unfragmentable + 2 : 6;
    const word = (one[at] << 8) | one[at + 1];
    const offset = isIpv6 ? word & 0xfff8 : (word & 0x1fff) << 3;
    const more = (word & (isIpv6 ? 1 : 0x2000)) !== 0;
    const length = isIpv6 ? 40 + ((one[4] << 8) | one[5]) : (one[2] << 8) | one[3];
    if (length !== one.length) throw new Error(`fragment ${i} says ${length} bytes and has ${one.length}`);
    if (offset !== body.length) throw new Error(`fragment ${i} begins at ${offset}, not at ${body.length}`);
    if (more !== i < fragments.length - 1) throw new Error(`fragment ${i} says that ${more ? 'more' : 'none'} follows`);
    if (more && (one.length - header) % 8 !== 0) throw new Error(`fragment ${i} ends at no multiple of 8`);
    if (!isIpv6 && internetChecksum(one.subarray(0, header)) !== 0) throw new Error(`checksum of fragment ${i}`);
    body.push(...one.subarray(header));
  });
  const first = fragments[0];
  if (isIpv6) {
    const head = first.slice(0, unfragmentable);
    head[nextField] = first[unfragmentable];
    const payload = unfragmentable - 40 + body.length;
    head.set([payload >>> 8, payload & 255], 4);
    return Uint8Array.from([...head, ...body]);
  }
  const head = first.slice(0, (first[0] & 15) * 4);
  head.set([(head.length + body.length) >>> 8, (head.length + body.length) & 255], 2);
  head[6] &= ~0x20;
  return Uint8Array.from([...withChecksum(head), ...body]);
}

/** The IPv4 header with its checksum made anew. */
export function withChecksum(header: Uint8Array): Uint8Array {
  const copy = header.slice();
  copy.set([0, 0], 10);
  const sum = internetChecksum(copy);
  copy.set([sum >>> 8, sum & 255], 10);
  return copy;
}

/** Frame memory with one slot in its middle and guards around it. */
export class Slot implements FrameMemory {
  static readonly FRAME = 4096 + 256;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly headers = new Headers();

  constructor(size = 3 * 4096) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Puts an IP packet in the slot and returns what parseFrame says of it. */
  put(packet: Uint8Array): number {
    const bytes = frame(packet);
    this.bytes.set(bytes, Slot.FRAME);
    return parseFrame(this.view, Slot.FRAME, bytes.length, this.headers);
  }

  /** The IP packet of a frame of `length` bytes in the slot. */
  packet(length: number): Uint8Array {
    return this.bytes.slice(Slot.FRAME + 14, Slot.FRAME + length);
  }
}
