// SPDX-License-Identifier: Apache-2.0
// Two ends of a TCP connection for tests of what lies between them: a client with a stream of bytes and a server that
// reads it, each as strict as RFC 9293 allows. They check what they are told: a client fails when something is acknowledged
// that it has not sent, and trusts a SACK block for ever; a server fails when a byte of the stream changes. Every number
// is unsigned and wraps.

import assert from 'node:assert/strict';
import type { Random } from './random.ts';
import { readSack, type Segment, type SegmentFields, sackOption, segment } from './segments.ts';

type Ends = Pick<SegmentFields, 'src' | 'dst' | 'sport' | 'dport'>;

/** Timestamps as in most segments of today, two NOPs before. */
const TIMESTAMPS = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

export class ModelClient {
  readonly #random: Random;
  readonly #ends: Ends;
  readonly #isn: number;
  readonly #data: Uint8Array;
  readonly #mss: number;
  /** Bytes of the server's that must have come before the client speaks. */
  readonly #waitsFor: number;
  readonly #sacked = new Set<number>();
  readonly heard = new Map<number, number>();
  #isOpen = false;
  #serverIsn = 0;
  #received = 0;
  #acknowledged = 0;
  #sent = 0;
  #window = 0;
  isAborted = false;

  constructor(random: Random, ends: Ends, isn: number, data: Uint8Array, mss: number, waitsFor: number) {
    this.#random = random;
    this.#ends = ends;
    this.#isn = isn;
    this.#data = data;
    this.#mss = mss;
    this.#waitsFor = waitsFor;
  }

  /** All data and the FIN are acknowledged. */
  get isDone(): boolean {
    return this.#acknowledged === this.#data.length + 1;
  }

  syn(payload: Uint8Array): Uint8Array {
    return segment({ ...this.#ends, flags: 'S', seq: this.#isn, ack: 0, options: [2, 4, 5, 180], payload });
  }

  /** What the client answers to a segment. */
  receive(got: Segment): Uint8Array[] {
    if (this.isAborted) return got.flags.includes('R') ? [] : [this.#make('R', got.ack, 0, 0)];
    if (got.flags.includes('S')) {
      assert.equal(got.ack, (this.#isn + 1) >>> 0, 'the SYN is acknowledged');
      this.#isOpen = true;
      this.#serverIsn = got.seq;
      this.#window = Math.max(this.#window, got.window);
      return [this.#make('A', this.#number(this.#sent), 0, 0)];
    }
    assert.ok(this.#isOpen, 'nothing comes before the SYN');
    const acknowledged = (got.ack - this.#isn - 1) | 0;
    assert.ok(acknowledged >= 0, 'no acknowledgment below the first byte');
    assert.ok(acknowledged <= this.#sent, 'nothing is acknowledged that was not sent');
    for (const [left, right] of readSack(got.options)) {
      const from = (left - this.#isn - 1) | 0;
      const to = (right - this.#isn - 1) | 0;
      assert.ok(from >= 0 && from < to && to <= this.#sent, 'a SACK block is of what was sent');
      assert.ok(from !== acknowledged, 'a SACK block does not begin where the acknowledgment ends');
      if (from > acknowledged) for (let at = from; at < to; at++) this.#sacked.add(at);
    }
    if (acknowledged >= this.#acknowledged) {
      this.#acknowledged = acknowledged;
      this.#window = got.window;
    }
    const at = (got.seq - this.#serverIsn - 1) | 0;
    for (let i = 0; i < got.payload.length; i++) this.heard.set(at + i, got.payload[i]);
    while (this.heard.has(this.#received)) this.#received++;
    const isProbe = at < this.#received && got.payload.length === 0 && at + 1 === this.#received;
    return got.payload.length > 0 || isProbe ? [this.#make('A', this.#number(this.#sent), 0, 0)] : [];
  }

  /** Sends what is new, or nothing. */
  send(): Uint8Array[] {
    if (!this.#isOpen || this.isAborted || this.#received < this.#waitsFor) return [];
    const room = this.#acknowledged + this.#window - this.#sent;
    const all = this.#data.length + 1;
    if (this.#sent === all || room <= 0) return [];
    const length = Math.min(room, 1 + this.#random.below(this.#mss), all - this.#sent);
    const from = this.#sent;
    this.#sent += length;
    return [this.#data_(from, this.#sent)];
  }

  /** The timer: sends the first thing missing again, cut and joined otherwise, or probes a closed window. */
  timer(): Uint8Array[] {
    if (!this.#isOpen || this.isAborted) return [];
    let from = this.#acknowledged;
    if (from === this.#sent) {
      if (this.#window > 0 || this.#sent > this.#data.length) return [];
      return [this.keepalive()];
    }
    while (this.#sacked.has(from)) from++;
    assert.ok(from < this.#sent, 'something is missing');
    return [this.#data_(from, Math.min(this.#sent, from + 1 + this.#random.below(this.#mss)))];
  }

  /** Any part of what is not acknowledged, as a sender may send again at any time. */
  again(): Uint8Array[] {
    if (!this.#isOpen || this.isAborted || this.#acknowledged === this.#sent) return [];
    const from = this.#acknowledged + this.#random.below(this.#sent - this.#acknowledged);
    return [this.#data_(from, Math.min(this.#sent, from + 1 + this.#random.below(this.#mss)))];
  }

  /** One before what is acknowledged, with the byte that some systems send or without; also a window's probe. */
  keepalive(): Uint8Array {
    return this.#make('A', this.#number(this.#acknowledged - 1), 0, this.#acknowledged > 0 ? 0 : this.#random.below(2));
  }

  acknowledge(): Uint8Array[] {
    return this.#isOpen && !this.isAborted ? [this.#make('A', this.#number(this.#sent), 0, 0)] : [];
  }

  /** Ends the connection with a reset. */
  abort(): Uint8Array {
    this.isAborted = true;
    return this.#make(this.#random.chance(0.5) ? 'RA' : 'R', this.#number(this.#sent), 0, 0);
  }

  #number(distance: number): number {
    return (this.#isn + 1 + distance) >>> 0;
  }

  #data_(from: number, to: number): Uint8Array {
    const end = Math.min(to, this.#data.length);
    const flags = to > this.#data.length ? 'FPA' : 'PA';
    return this.#make(flags, this.#number(from), from, end - from);
  }

  #make(flags: string, seq: number, from: number, length: number): Uint8Array {
    const payload = from < 0 ? new Uint8Array(length) : this.#data.slice(from, from + length);
    const isProbe = flags === 'A' && length > 0;
    return segment({
      ...this.#ends,
      flags,
      seq,
      ack: flags.includes('A') ? (this.#serverIsn + 1 + this.#received) >>> 0 : 0,
      options: this.#random.chance(0.5) ? TIMESTAMPS : [],
      payload: isProbe ? Uint8Array.of(0x55) : payload,
    });
  }
}

export class ModelServer {
  readonly #random: Random;
  readonly #ends: Ends;
  readonly #isn: number;
  readonly #capacity: number;
  /** What it says once it has read so many bytes. */
  readonly #banner: Uint8Array;
  readonly #bannerAfter: number;
  readonly #bytes = new Map<number, number>();
  /** Whether it asks a silent client for a sign of life. */
  keepsAlive = false;
  #state: 'listen' | 'syn-received' | 'established' | 'reset' = 'listen';
  #first = 0;
  #next = 0;
  #read = 0;
  #fin = -1;
  #edge = 0;
  #acknowledged = 0;

  constructor(random: Random, ends: Ends, isn: number, capacity: number, banner: Uint8Array, bannerAfter: number) {
    this.#random = random;
    this.#ends = ends;
    this.#isn = isn;
    this.#capacity = capacity;
    this.#banner = banner;
    this.#bannerAfter = bannerAfter;
  }

  /** It has had a SYN. */
  get isOpen(): boolean {
    return this.#state !== 'listen';
  }

  get isReset(): boolean {
    return this.#state === 'reset';
  }

  get isDone(): boolean {
    return this.#fin >= 0 && this.#next > this.#fin && this.#acknowledged === this.#banner.length;
  }

  /** The bytes read so far, in order. */
  get stream(): Uint8Array {
    const length = this.#fin >= 0 && this.#next > this.#fin ? this.#fin : this.#next;
    return Uint8Array.from({ length }, (_, at) => this.#bytes.get(at)!);
  }

  receive(got: Segment): Uint8Array[] {
    if (this.#state === 'reset') return [];
    if (got.flags.includes('S')) {
      assert.equal(got.payload.length, 0, 'no data in the SYN');
      if (this.#state === 'established') return [];
      this.#state = 'syn-received';
      this.#first = got.seq + 1;
      return [this.#synAck()];
    }
    if (this.#state === 'listen') return [];
    const from = (got.seq - this.#first - this.#next) | 0;
    const window = this.#edge - this.#next;
    if (got.flags.includes('R')) {
      if (from === 0) this.#state = 'reset';
      return from > 0 && from < window ? [this.#ack([])] : [];
    }
    const length = got.payload.length + (got.flags.includes('F') ? 1 : 0);
    const isAcceptable =
      length === 0 ? from >= 0 && from <= window : from + length > 0 && (from < window || from === 0);
    if (!isAcceptable) {
      const isDouble = length > 0 && from + length <= 0 && this.#random.chance(0.7);
      return [this.#ack(isDouble ? [this.#next + from, this.#next + from + length] : [])];
    }
    if (!got.flags.includes('A')) return [];
    const acknowledged = (got.ack - this.#isn - 1) | 0;
    assert.ok(acknowledged >= 0 && acknowledged <= this.#banner.length, 'the server said what is acknowledged');
    this.#state = 'established';
    this.#acknowledged = Math.max(this.#acknowledged, acknowledged);

    const at = this.#next + from;
    for (let i = 0; i < got.payload.length; i++) {
      if (at + i < this.#next || at + i >= this.#edge) continue;
      const known = this.#bytes.get(at + i);
      assert.ok(known === undefined || known === got.payload[i], `byte ${at + i} of the stream is one`);
      this.#bytes.set(at + i, got.payload[i]);
    }
    if (got.flags.includes('F') && at + got.payload.length < this.#edge) this.#fin = at + got.payload.length;
    const before = this.#next;
    while (this.#bytes.has(this.#next)) this.#next++;
    if (this.#next === this.#fin) this.#next++;
    const isDouble = length > 0 && from < 0 && this.#random.chance(0.5);
    if (length === 0 && before === this.#next) return [];
    return this.#random.chance(0.8) ? [this.#ack(isDouble ? [at, Math.min(before, at + length)] : [])] : [];
  }

  /** The application reads; a window that opens is told. */
  drain(): Uint8Array[] {
    if (this.#state !== 'established' || this.#read >= this.#next) return [];
    this.#read += 1 + this.#random.below(this.#next - this.#read);
    return [this.#ack([])];
  }

  /** Timers: the SYN again, its own data again, or a keepalive if it sends those. */
  timer(): Uint8Array[] {
    if (this.#state === 'syn-received') return [this.#synAck()];
    if (this.#state !== 'established') return [];
    if (this.#next >= this.#bannerAfter && this.#acknowledged < this.#banner.length) {
      return [this.#make('PA', this.#acknowledged, this.#banner.slice(this.#acknowledged), [])];
    }
    return this.keepsAlive ? [this.#make('A', this.#acknowledged - 1, new Uint8Array(0), [])] : [];
  }

  #synAck(): Uint8Array {
    this.#edge = Math.max(this.#edge, this.#capacity);
    const { seq, ack, window } = { seq: this.#isn, ack: this.#first >>> 0, window: this.#edge };
    return segment({ ...this.#ends, flags: 'SA', seq, ack, window, options: [2, 4, 5, 180] });
  }

  /** An acknowledgment with what lies behind, and first what came twice. */
  #ack(double: readonly number[]): Uint8Array {
    return this.#make('A', this.#acknowledged, new Uint8Array(0), double);
  }

  #make(flags: string, from: number, payload: Uint8Array, double: readonly number[]): Uint8Array {
    this.#edge = Math.max(this.#edge, this.#read + this.#capacity);
    const blocks = this.#blocks();
    if (double.length === 2 && double[0] < double[1]) blocks.unshift([double[0], double[1]]);
    const options = blocks
      .slice(0, 4)
      .map(([left, right]): [number, number] => [this.#first + left, this.#first + right]);
    return segment({
      ...this.#ends,
      flags,
      seq: (this.#isn + 1 + from) >>> 0,
      ack: (this.#first + this.#next) >>> 0,
      window: this.#edge - this.#next < 0 ? 0 : this.#edge - this.#next,
      options: options.length === 0 ? [] : sackOption(options),
      payload,
    });
  }

  #blocks(): [number, number][] {
    const blocks: [number, number][] = [];
    const known = [...this.#bytes.keys()].filter((at) => at >= this.#next).sort((a, b) => a - b);
    if (this.#fin > this.#next) known.push(this.#fin);
    for (const at of known) {
      const last = blocks[blocks.length - 1];
      if (last !== undefined && last[1] === at) last[1]++;
      else blocks.push([at, at + 1]);
    }
    if (this.#random.chance(0.3)) blocks.reverse();
    return blocks.slice(0, 3);
  }
}
