// SPDX-License-Identifier: Apache-2.0
// TCP segments with options for tests, made and read independently of the code under test, and a frame's slot as the
// engine has it: 2048 bytes with the packet 256 bytes behind its beginning.

import assert from 'node:assert/strict';
import { Headers, PARSE_OK, parseFrame } from '../../src/packet/parse.ts';
import { checksumFault, frame, ip, type TcpFields } from './frames.ts';

const FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, C: 128 };

export interface SegmentFields extends TcpFields {
  /** Bytes of options; their number is made a multiple of 4 with zeros behind. */
  readonly options?: readonly number[];
  readonly urgent?: number;
}

/** What a receiver reads of a TCP segment. */
export interface Segment {
  readonly seq: number;
  readonly ack: number;
  readonly flags: string;
  readonly window: number;
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

/** An IP packet with a TCP segment. */
export function segment(fields: SegmentFields): Uint8Array {
  const options = [...(fields.options ?? [])];
  while (options.length % 4 !== 0) options.push(0);
  const bytes = Uint8Array.from([...new Array<number>(20).fill(0), ...options, ...(fields.payload ?? [])]);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.sport);
  view.setUint16(2, fields.dport);
  view.setUint32(4, (fields.seq ?? 1000) >>> 0);
  view.setUint32(8, (fields.ack ?? 0) >>> 0);
  view.setUint8(12, (5 + options.length / 4) << 4);
  view.setUint8(
    13,
    [...fields.flags].reduce((bits, letter) => bits | FLAGS[letter], 0),
  );
  view.setUint16(14, fields.window ?? 0xffff);
  view.setUint16(18, fields.urgent ?? 0);
  return ip(fields, 6, bytes, 16);
}

/** Reads an IP packet without extension headers whose checksums must be right. */
export function readSegment(packet: Uint8Array): Segment {
  assert.equal(checksumFault(packet), undefined);
  const isIpv6 = packet[0] >>> 4 === 6;
  const length = isIpv6 ? 40 + packet[4] * 256 + packet[5] : packet[2] * 256 + packet[3];
  assert.equal(length, packet.length, 'length in the IP header');
  const tcp = packet.subarray(isIpv6 ? 40 : (packet[0] & 15) * 4);
  const view = new DataView(tcp.buffer, tcp.byteOffset, tcp.length);
  const data = (tcp[12] >>> 4) * 4;
  assert.ok(data >= 20 && data <= tcp.length, 'TCP header length');
  const flags = Object.keys(FLAGS).filter((letter) => (tcp[13] & FLAGS[letter]) !== 0);
  return {
    seq: view.getUint32(4),
    ack: view.getUint32(8),
    flags: flags.join(''),
    window: view.getUint16(14),
    options: tcp.slice(20, data),
    payload: tcp.slice(data),
  };
}

/** The options of a segment as [kind, ...data], padding left out. */
export function readOptions(options: Uint8Array): number[][] {
  const found: number[][] = [];
  for (let at = 0; at < options.length && options[at] !== 0; ) {
    if (options[at] === 1) {
      at++;
      continue;
    }
    const length = options[at + 1];
    assert.ok(length >= 2 && at + length <= options.length, 'option length');
    found.push([options[at], ...options.slice(at + 2, at + length)]);
    at += length;
  }
  return found;
}

/** Bytes of a SACK option with these blocks, two NOPs before it. */
export function sackOption(blocks: readonly (readonly [number, number])[]): number[] {
  return [1, 1, 5, 2 + blocks.length * 8, ...blocks.flat().flatMap(word)];
}

/** Blocks of the one SACK option among `options`, or none. */
export function readSack(options: Uint8Array): [number, number][] {
  const data = readOptions(options).filter(([kind]) => kind === 5);
  assert.ok(data.length <= 1);
  const edges = Uint8Array.from(data[0]?.slice(1) ?? []);
  const view = new DataView(edges.buffer);
  return Array.from({ length: edges.length / 8 }, (_, i) => [view.getUint32(i * 8), view.getUint32(i * 8 + 4)]);
}

export function word(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** What lies around a slot. */
const AROUND = new Uint8Array(2048).fill(0xa5);

/** A slot of the frames' memory with one packet in it; the bytes around are not zero. */
export class Slot {
  static readonly SIZE = 2048;
  static readonly FRAME = 256;
  readonly bytes: Uint8Array = new Uint8Array(3 * Slot.SIZE).fill(0xa5);
  readonly view: DataView = new DataView(this.bytes.buffer);
  readonly headers: Headers = new Headers();
  /** The frame lies in the middle one of three slots. */
  readonly frame: number = Slot.SIZE + Slot.FRAME;
  readonly limit: number = 2 * Slot.SIZE;

  constructor(packet: Uint8Array) {
    const bytes = frame(packet);
    this.bytes.set(bytes, this.frame);
    assert.equal(parseFrame(this.view, this.frame, bytes.length, this.headers), PARSE_OK);
  }

  /** The packet as it is now; what lies outside its slot must be untouched. */
  packet(): Uint8Array {
    assert.deepEqual(Buffer.compare(this.bytes.subarray(0, Slot.SIZE), AROUND), 0, 'the slot before');
    assert.deepEqual(Buffer.compare(this.bytes.subarray(2 * Slot.SIZE), AROUND), 0, 'the slot behind');
    return this.bytes.slice(this.headers.ip, this.headers.end);
  }
}
