// SPDX-License-Identifier: Apache-2.0
// Sequence numbers behind texts of changed length: the rules of nf_conntrack_seqadj one by one, and a control connection
// over a line that loses, doubles and reorders, whose client must read every reply once and whose server must see its
// own numbers acknowledged.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Random } from '../../../test/support/random.ts';
import {
  readSack,
  readSegment,
  type Segment,
  type SegmentFields,
  Slot,
  sackOption,
  segment,
} from '../../../test/support/segments.ts';
import { splice } from '../../packet/splice.ts';
import { REPLY, REQUEST } from '../connection/layout.ts';
import {
  adjustSegment,
  clearSequence,
  isSequenceShifted,
  noteResize,
  SEQUENCE_WORDS,
  shiftedSequence,
  unshiftedSequence,
} from './sequence.ts';

const SERVER = { src: '10.0.0.1', dst: '10.7.0.1', sport: 21, dport: 4000, flags: 'PA' };
const CLIENT = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 21, flags: 'A' };
const AT = 5;

function fresh(): Int32Array {
  const words = new Int32Array(AT + SEQUENCE_WORDS + 3).fill(-1);
  clearSequence(words, AT);
  return words;
}

function adjust(words: Int32Array, direction: number, fields: SegmentFields): Segment {
  const slot = new Slot(segment(fields));
  adjustSegment(slot.view, slot.headers, words, AT, direction);
  return readSegment(slot.packet());
}

test('nothing is shifted before a text was resized, and words around are left alone', () => {
  const words = fresh();
  assert.equal(isSequenceShifted(words, AT), false);
  const packet = segment({ ...SERVER, seq: 77, ack: 99, options: sackOption([[100, 200]]) });
  const slot = new Slot(packet);
  adjustSegment(slot.view, slot.headers, words, AT, REPLY);
  assert.deepEqual(slot.packet(), packet);
  noteResize(words, AT, REPLY, 5, -3);
  noteResize(words, AT, REQUEST, 5, 3);
  assert.deepEqual([...words.subarray(0, AT), ...words.subarray(AT + SEQUENCE_WORDS)], new Array(AT + 3).fill(-1));
});

test('the resized segment and those before it keep their numbers, those behind it are shifted', () => {
  for (const base of [1000, 0, -1, -3, 0x7fffffff]) {
    const words = fresh();
    noteResize(words, AT, REPLY, base, -3);
    assert.ok(isSequenceShifted(words, AT));
    const numbers = [-100, 0, 1, 50, 100].map((by) => shiftedSequence(words, AT, REPLY, (base + by) | 0) - base);
    assert.deepEqual(
      numbers.map((n) => n | 0),
      [-100, 0, -2, 47, 97],
    );
    assert.equal(shiftedSequence(words, AT, REQUEST, base + 50), (base + 50) | 0, 'the other direction');
  }
});

test('a retransmission of the resized segment is not counted again, the next text is', () => {
  const words = fresh();
  noteResize(words, AT, REPLY, 1000, 5);
  noteResize(words, AT, REPLY, 1000, 5);
  noteResize(words, AT, REPLY, 900, 5);
  assert.equal(shiftedSequence(words, AT, REPLY, 1050), 1055);
  noteResize(words, AT, REPLY, 1050, 7);
  noteResize(words, AT, REPLY, 1050, 7);
  assert.equal(shiftedSequence(words, AT, REPLY, 1050), 1055);
  assert.equal(shiftedSequence(words, AT, REPLY, 1100), 1112);
});

test('a text that keeps its length changes nothing', () => {
  const words = fresh();
  noteResize(words, AT, REPLY, 1000, 5);
  noteResize(words, AT, REPLY, 2000, 0);
  assert.equal(shiftedSequence(words, AT, REPLY, 1500), 1505);
  assert.equal(shiftedSequence(words, AT, REPLY, 1000), 1000, 'a retransmission of the first');
});

test('two texts whose changes cancel out are noted like any', () => {
  const words = fresh();
  noteResize(words, AT, REPLY, 1000, 5);
  noteResize(words, AT, REPLY, 2000, -5);
  assert.equal(isSequenceShifted(words, AT), true);
  assert.equal(shiftedSequence(words, AT, REPLY, 2000), 2005);
  assert.equal(shiftedSequence(words, AT, REPLY, 2001), 2001);
});

test('acknowledgment and SACK blocks of the other direction are shifted back, at odd places too', () => {
  const words = fresh();
  noteResize(words, AT, REPLY, 1000, -3);
  for (const lead of [0, 1, 2, 3]) {
    const sack = sackOption([
      [1047, 1097],
      [990, 1000],
    ]);
    const options = [...new Array<number>(lead).fill(1), ...sack];
    const result = adjust(words, REQUEST, { ...CLIENT, seq: 5, ack: 1017, options });
    assert.equal(result.seq, 5);
    assert.equal(result.ack, 1020);
    assert.deepEqual(readSack(result.options), [
      [1050, 1100],
      [990, 1000],
    ]);
  }
});

test('an acknowledgment of what stands before the text is left alone', () => {
  const words = fresh();
  noteResize(words, AT, REPLY, 1000, -3);
  assert.equal(adjust(words, REQUEST, { ...CLIENT, ack: 1000 }).ack, 1000);
  assert.equal(adjust(words, REQUEST, { ...CLIENT, ack: 1017 }).ack, 1020);
});

test('without the ACK flag the field is no acknowledgment', () => {
  const words = fresh();
  noteResize(words, AT, REPLY, 1000, -3);
  const options = sackOption([[2000, 2100]]);
  const result = adjust(words, REQUEST, { ...CLIENT, flags: 'R', ack: 2000, options });
  assert.equal(result.ack, 2000);
  assert.deepEqual(readSack(result.options), [[2000, 2100]]);
});

test('a SACK option of a wrong length, or a header that lies, is not touched', () => {
  const words = fresh();
  noteResize(words, AT, REPLY, 1000, -3);
  const wrong = [1, 5, 7, 0, 0, 8, 0, 0, 1, 1, 1, 1];
  assert.deepEqual([...adjust(words, REQUEST, { ...CLIENT, ack: 5, options: wrong }).options], wrong);
  const slot = new Slot(segment({ ...CLIENT, ack: 2000 }));
  slot.bytes[slot.headers.transport + 12] = 0xf0;
  adjustSegment(slot.view, slot.headers, words, AT, REQUEST);
  assert.equal(slot.view.getUint32(slot.headers.transport + 8), 2003);
});

test('shifted there and back is the same number', () => {
  const number = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  const near = fc.oneof(number, fc.integer({ min: -300, max: 300 }));
  const steps = fc.array(fc.tuple(fc.integer({ min: 200, max: 5000 }), fc.integer({ min: -40, max: 40 })), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(number, steps, near, (start, texts, by) => {
      const words = fresh();
      let position = start;
      for (const [distance, growth] of texts) {
        position = (position + distance) | 0;
        noteResize(words, AT, REPLY, position, growth);
      }
      // A segment has its text behind its first byte, which nobody acknowledges alone.
      fc.pre(by <= 0 || by > 64);
      fc.pre(by > -0x40000000 && by < 0x40000000);
      const sequence = (position + by) | 0;
      const there = shiftedSequence(words, AT, REPLY, sequence);
      assert.equal(unshiftedSequence(words, AT, REPLY, there), sequence);
    }),
    { numRuns: 3000 },
  );
});

/** One reply of the server: what it writes, and what the helper makes of it. */
interface Message {
  readonly written: Uint8Array;
  readonly read: Uint8Array;
}

/**
 * A control connection. The server has one reply that is rewritten under way at a time, as FTP does, and others behind it,
 * which reach the director behind it. Between director and client, and on the way back, all may happen.
 */
function converse(random: Random, messages: readonly Message[], serverIsn: number): void {
  const words = fresh();
  const starts: number[] = [serverIsn + 1];
  for (const { written } of messages) starts.push(starts[starts.length - 1] + written.length);
  const line: { toClient: boolean; packet: Uint8Array }[] = [];
  let acknowledged = 0;
  let sent = 0;
  // The client: bytes by distance from the first.
  const bytes = new Map<number, number>();
  let next = 0;

  const isRewritten = (message: Message): boolean => message.read !== message.written;

  /** The server sends, the director rewrites and shifts. */
  const send = (index: number): void => {
    const { written, read } = messages[index];
    const {
      view,
      bytes: memory,
      headers,
      limit,
      ...slot
    } = new Slot(segment({ ...SERVER, seq: starts[index], ack: 50, payload: written }));
    if (isRewritten(messages[index])) {
      assert.ok(splice(view, memory, headers, headers.end - written.length, written.length, read, read.length, limit));
      noteResize(words, AT, REPLY, starts[index] | 0, read.length - written.length);
    }
    adjustSegment(view, headers, words, AT, REPLY);
    line.push({ toClient: true, packet: memory.slice(slot.frame + 14, headers.end) });
  };

  const toClient = (packet: Uint8Array): void => {
    const { seq, payload } = readSegment(packet);
    const from = (seq - (serverIsn + 1)) | 0;
    for (let i = 0; i < payload.length; i++) {
      if (from + i < next) continue;
      const known = bytes.get(from + i);
      assert.ok(known === undefined || known === payload[i], 'a byte never changes');
      bytes.set(from + i, payload[i]);
    }
    while (bytes.has(next)) next++;
    const blocks = blocksBehind(bytes, next).map(([start, end]): [number, number] => [
      serverIsn + 1 + start,
      serverIsn + 1 + end,
    ]);
    if (random.chance(0.5)) blocks.reverse();
    const options = blocks.length === 0 ? [] : sackOption(blocks);
    line.push({
      toClient: false,
      packet: segment({ ...CLIENT, seq: 50, ack: serverIsn + 1 + next, options }),
    });
  };

  const toServer = (packet: Uint8Array): void => {
    const slot = new Slot(packet);
    adjustSegment(slot.view, slot.headers, words, AT, REQUEST);
    const { ack, options } = readSegment(slot.packet());
    // One that was on its way while two texts passed is translated by a shift too late, but is old in any case.
    if (((ack - starts[acknowledged]) | 0) < 0) return;
    const index = starts.findIndex((start) => start >>> 0 === ack);
    assert.ok(index >= 0 && index <= sent, `acknowledgment ${ack} is a boundary of the server's`);
    acknowledged = index;
    for (const edge of readSack(options).flat()) {
      const known = starts.slice(0, sent + 1).some((start) => start >>> 0 === edge);
      assert.ok(known, 'SACK blocks have the boundaries of segments');
    }
  };

  for (let step = 0; acknowledged < messages.length; step++) {
    assert.ok(step < 20_000, 'the conversation ends');
    if (line.length === 0 || random.chance(0.3)) {
      const isFree = sent < messages.length && (acknowledged === sent || !isRewritten(messages[sent]));
      if (isFree && random.chance(0.7)) send(sent++);
      else if (acknowledged < sent) send(acknowledged + random.below(sent - acknowledged));
      continue;
    }
    const at = random.chance(0.6) ? 0 : random.below(line.length);
    const event = line[at];
    if (!random.chance(0.15)) line.splice(at, 1);
    if (random.chance(0.2)) continue;
    if (event.toClient) toClient(event.packet);
    else toServer(event.packet);
  }
  const expected = messages.flatMap(({ read }) => [...read]);
  assert.deepEqual(
    Array.from({ length: next }, (_, i) => bytes.get(i)),
    expected,
  );
}

/** Runs of bytes behind `next`, at most three. */
function blocksBehind(bytes: ReadonlyMap<number, number>, next: number): [number, number][] {
  const blocks: [number, number][] = [];
  const known = [...bytes.keys()].filter((at) => at >= next).sort((a, b) => a - b);
  for (const at of known) {
    const last = blocks[blocks.length - 1];
    if (last !== undefined && last[1] === at) last[1]++;
    else blocks.push([at, at + 1]);
  }
  return blocks.slice(0, 3);
}

test('over a bad line the client reads every rewritten reply once, and the server sees its own numbers', () => {
  const isn = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0xffffff80, max: 0xffffffff }));
  fc.assert(
    fc.property(fc.integer(), isn, fc.integer({ min: 1, max: 8 }), (seed, serverIsn, count) => {
      const random = new Random(seed);
      const messages = Array.from({ length: count }, (_, i): Message => {
        const read = Uint8Array.from({ length: 10 + random.below(40) }, () => random.below(256));
        const written = random.chance(0.5) ? read : Uint8Array.from({ length: 10 + random.below(40) }, () => i);
        return { written, read };
      });
      converse(random, messages, serverIsn);
    }),
    { numRuns: 300 },
  );
});
