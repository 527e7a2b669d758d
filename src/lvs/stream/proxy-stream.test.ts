// SPDX-License-Identifier: Apache-2.0
// A PROXY header in a TCP stream. One by one: what happens to each kind of segment. And whole connections between a strict
// client and a strict server over a line that loses, doubles and reorders on both sides of the director, with
// retransmissions that are cut otherwise, small and closed windows, a server that speaks first, aborted clients, sequence
// numbers that wrap, and FULLNAT's shift and TOA on top: the server must read the header and the client's bytes, each once.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { checksumFault } from '../../../test/support/frames.ts';
import { Random } from '../../../test/support/random.ts';
import {
  readOptions,
  readSack,
  readSegment,
  type Segment,
  type SegmentFields,
  Slot,
  sackOption,
  segment,
} from '../../../test/support/segments.ts';
import { ModelClient, ModelServer } from '../../../test/support/tcp-model.ts';
import { Headers } from '../../packet/parse.ts';
import {
  isHeaderAcknowledged,
  openProxyStream,
  PROXY_DROP,
  PROXY_HEADER_FIRST,
  PROXY_HEADER_ONLY,
  PROXY_PASS,
  PROXY_STREAM_WORDS,
  proxyReply,
  proxyRequest,
  proxyUnshift,
  writeHeaderSegment,
} from './proxy-stream.ts';
import { shiftReply, shiftRequest } from './sequence-shift.ts';
import { addToa, TCPOPT_TOA } from './toa.ts';

const CLIENT4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const SERVER4 = { src: '10.0.0.1', dst: '10.7.0.1', sport: 80, dport: 4000 };
const CLIENT6 = { ...CLIENT4, src: '2001:db8::c', dst: '2001:db8::1' };
const SERVER6 = { ...SERVER4, src: '2001:db8::1', dst: '2001:db8::c' };
const AT = 2;
const ISN = 1000;
const HEADER = Uint8Array.from({ length: 28 }, (_, i) => 0x80 + i);
const TIMESTAMPS = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];

const number = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.integer({ min: 0xfffffe00, max: 0xffffffff }),
  fc.integer({ min: 0x7ffffe00, max: 0x80000100 }),
);

/** A connection's words, with others around, and what goes through the director. */
class Stream {
  readonly words: Int32Array = new Int32Array(AT + PROXY_STREAM_WORDS + 2).fill(-7);
  readonly header: Uint8Array;

  constructor(isn: number, header: Uint8Array = HEADER) {
    this.header = header;
    openProxyStream(this.words, AT, isn | 0, header.length);
  }

  /** What leaves for the server: the verdict and the packets in their order. */
  request(packet: Uint8Array): { verdict: number; out: Uint8Array[] } {
    const slot = new Slot(packet);
    const verdict = proxyRequest(slot, slot.headers, this.words, AT);
    if (verdict === PROXY_DROP) return { verdict, out: [] };
    if (verdict === PROXY_PASS) return { verdict, out: [slot.packet()] };
    const $made = new Headers();
    const isAlone = verdict === PROXY_HEADER_ONLY;
    // Alone it takes the segment's place; before another it gets a slot of its own.
    const to = isAlone ? slot.frame : Slot.FRAME;
    const limit = isAlone ? slot.limit : Slot.SIZE;
    const length = writeHeaderSegment(slot, slot.headers, this.words, AT, this.header, to, limit, $made);
    assert.ok(length > 0);
    assert.equal($made.end, to + length);
    const made = slot.bytes.slice($made.ip, $made.end);
    return { verdict, out: isAlone ? [made] : [made, slot.bytes.slice(slot.headers.ip, slot.headers.end)] };
  }

  reply(packet: Uint8Array): Uint8Array {
    const slot = new Slot(packet);
    proxyReply(slot.view, slot.headers, this.words, AT);
    return slot.packet();
  }

  sent(fields: Partial<SegmentFields> & { flags: string }): { verdict: number; out: Segment[] } {
    const { verdict, out } = this.request(segment({ ...CLIENT4, ack: 7, ...fields }));
    return { verdict, out: out.map(readSegment) };
  }

  answered(fields: Partial<SegmentFields> & { flags: string }): Segment {
    return readSegment(this.reply(segment({ ...SERVER4, seq: 7, ...fields })));
  }
}

const DATA = Uint8Array.of(1, 2, 3);
const FIRST = ISN + 1;

suite('requests', () => {
  test('the acknowledgment of the handshake becomes the header, with its options and window', () => {
    const { verdict, out } = new Stream(ISN).sent({ flags: 'A', seq: FIRST, window: 501, options: TIMESTAMPS });
    assert.equal(verdict, PROXY_HEADER_ONLY);
    const [made] = out;
    assert.deepEqual(made, { ...made, seq: FIRST, ack: 7, flags: 'PA', window: 501, payload: HEADER });
    assert.deepEqual([...made.options], TIMESTAMPS);
  });

  test('data that comes first has the header before it', () => {
    const { verdict, out } = new Stream(ISN).sent({ flags: 'PA', seq: FIRST, payload: DATA });
    assert.equal(verdict, PROXY_HEADER_FIRST);
    assert.deepEqual([out[0].seq, out[0].payload], [FIRST, HEADER]);
    assert.deepEqual([out[1].seq, out[1].payload, out[1].ack], [FIRST + 28, DATA, 7]);
  });

  test('data behind the handshake goes alone once, its retransmissions bring the header', () => {
    const stream = new Stream(ISN);
    stream.sent({ flags: 'A', seq: FIRST });
    const data = { flags: 'PA', seq: FIRST, payload: DATA };
    assert.equal(stream.sent(data).verdict, PROXY_PASS);
    assert.equal(stream.sent(data).verdict, PROXY_HEADER_FIRST);
    assert.equal(stream.sent(data).verdict, PROXY_HEADER_FIRST);
  });

  test('once the server has it, every segment is only shifted', () => {
    const stream = new Stream(ISN);
    stream.answered({ flags: 'A', ack: FIRST + 27 });
    assert.equal(isHeaderAcknowledged(stream.words, AT), false);
    stream.answered({ flags: 'A', ack: FIRST + 28 });
    assert.equal(isHeaderAcknowledged(stream.words, AT), true);
    for (const fields of [{ flags: 'A' }, { flags: 'PA', payload: DATA }, { flags: 'FA' }, { flags: 'R' }]) {
      const { verdict, out } = stream.sent({ ...fields, seq: FIRST });
      assert.equal(verdict, PROXY_PASS);
      assert.equal(out[0].seq, FIRST + 28);
    }
  });

  test('a FIN without data has the header before it, and the header has no FIN', () => {
    const { verdict, out } = new Stream(ISN).sent({ flags: 'FA', seq: FIRST });
    assert.equal(verdict, PROXY_HEADER_FIRST);
    assert.deepEqual([out[0].flags, out[1].flags, out[1].seq], ['PA', 'FA', FIRST + 28]);
  });

  test('what a segment says of itself alone does not go with the header', () => {
    const { out } = new Stream(ISN).sent({ flags: 'PAUC', seq: FIRST, urgent: 2, payload: DATA });
    assert.deepEqual([out[0].flags, out[1].flags], ['PA', 'PAUC']);
  });

  test('later data and its acknowledgments do not bring the header', () => {
    for (const fields of [{ flags: 'A' }, { flags: 'PA', payload: DATA }, { flags: 'FA' }]) {
      const { verdict, out } = new Stream(ISN).sent({ ...fields, seq: FIRST + 1 });
      assert.equal(verdict, PROXY_PASS);
      assert.equal(out[0].seq, FIRST + 29);
    }
  });

  test('a keepalive before any data becomes the header, with or without its byte', () => {
    for (const payload of [new Uint8Array(0), Uint8Array.of(0)]) {
      const { verdict, out } = new Stream(ISN).sent({ flags: 'A', seq: ISN, payload });
      assert.equal(verdict, PROXY_HEADER_ONLY);
      assert.deepEqual([out[0].seq, out[0].payload], [FIRST, HEADER]);
    }
  });

  test('nobody writes into the header', () => {
    for (const [back, length, fin] of [
      [1, 2, false],
      [1, 28, false],
      [500, 501, false],
      [2, 2, true],
    ] as const) {
      const flags = fin ? 'FA' : 'PA';
      const { verdict } = new Stream(ISN).sent({ flags, seq: FIRST - back, payload: new Uint8Array(length) });
      assert.equal(verdict, PROXY_DROP, `${length} bytes ${back} before`);
    }
    const old = new Stream(ISN).sent({ flags: 'PA', seq: FIRST - 500, payload: new Uint8Array(500) });
    assert.deepEqual([old.verdict, old.out[0].seq], [PROXY_PASS, FIRST - 500]);
  });

  test('data in a SYN is taken out, and the SYN keeps its number', () => {
    const { verdict, out } = new Stream(ISN).sent({ flags: 'S', seq: ISN, options: [2, 4, 5, 180], payload: DATA });
    assert.equal(verdict, PROXY_PASS);
    assert.deepEqual([out[0].seq, out[0].payload.length, out[0].flags], [ISN, 0, 'S']);
    assert.deepEqual([...out[0].options], [2, 4, 5, 180]);
  });

  test('a reset at the first byte has the number that the server waits for', () => {
    const stream = new Stream(ISN);
    assert.equal(stream.sent({ flags: 'R', seq: FIRST }).out[0].seq, FIRST);
    stream.answered({ flags: 'A', ack: FIRST + 10 });
    assert.equal(stream.sent({ flags: 'R', seq: FIRST }).out[0].seq, FIRST + 10);
    assert.equal(stream.sent({ flags: 'RA', seq: FIRST + 5 }).out[0].seq, FIRST + 33);
    assert.equal(stream.sent({ flags: 'R', seq: ISN }).out[0].seq, ISN);
    stream.answered({ flags: 'A', ack: FIRST + 100 });
    assert.equal(stream.sent({ flags: 'R', seq: FIRST }).out[0].seq, FIRST + 28);
  });

  test('a header that lies is dropped', () => {
    const packet = segment({ ...CLIENT4, flags: 'PA', seq: FIRST });
    for (const offset of [0x40, 0x60]) {
      const wrong = packet.slice();
      wrong[32] = offset;
      assert.equal(new Stream(ISN).request(wrong).verdict, PROXY_DROP);
    }
  });
});

suite('the header segment', () => {
  const make = (packet: Uint8Array, to: number, limit: number): [number, Slot, Headers] => {
    const slot = new Slot(packet);
    const stream = new Stream(ISN);
    proxyRequest(slot, slot.headers, stream.words, AT);
    const $made = new Headers();
    return [writeHeaderSegment(slot, slot.headers, stream.words, AT, HEADER, to, limit, $made), slot, $made];
  };

  test('needs room', () => {
    const packet = segment({ ...CLIENT4, flags: 'A', seq: FIRST });
    assert.equal(make(packet, Slot.FRAME, Slot.FRAME + 14 + 40 + 27)[0], 0);
    const [length, slot, made] = make(packet, Slot.FRAME, Slot.FRAME + 14 + 40 + 28);
    assert.equal(length, 14 + 40 + 28);
    assert.deepEqual([made.family, made.protocol, made.transport - made.ip], [4, 6, 20]);
    assert.deepEqual(slot.bytes.slice(Slot.FRAME, Slot.FRAME + 14), slot.bytes.slice(slot.frame, slot.frame + 14));
  });

  test('is not made of a damaged segment', () => {
    for (const fields of [CLIENT4, CLIENT6]) {
      const packet = segment({ ...fields, flags: 'PA', seq: FIRST, payload: DATA });
      packet[packet.length - 1] ^= 0x10;
      const [length, slot] = make(packet, Slot.FRAME, Slot.SIZE);
      assert.equal(length, 0);
      assert.notEqual(checksumFault(slot.bytes.slice(slot.headers.ip, slot.headers.end)), undefined);
    }
  });
});

suite('replies', () => {
  test('acknowledgments in the header acknowledge nothing of the client', () => {
    const stream = new Stream(ISN);
    assert.equal(stream.answered({ flags: 'SA', ack: FIRST }).ack, FIRST);
    for (const by of [0, 1, 27, 28]) assert.equal(stream.answered({ flags: 'A', ack: FIRST + by }).ack, FIRST);
    assert.equal(stream.answered({ flags: 'A', ack: FIRST + 29 }).ack, FIRST + 1);
    assert.equal(stream.answered({ flags: 'A', ack: FIRST + 3 }).ack, FIRST, 'one that is late');
  });

  test('without the ACK flag nothing is translated', () => {
    assert.equal(new Stream(ISN).answered({ flags: 'R', ack: FIRST + 500 }).ack, FIRST + 500);
  });

  test('a reset acknowledges, but says nothing of what the server has', () => {
    const stream = new Stream(ISN);
    assert.equal(stream.answered({ flags: 'RA', ack: FIRST + 40 }).ack, FIRST + 12);
    assert.equal(isHeaderAcknowledged(stream.words, AT), false);
  });

  test('SACK blocks lose what is of the header', () => {
    type Block = readonly [number, number];
    const cases: readonly [acknowledged: number, blocks: readonly Block[], expected: readonly Block[]][] = [
      // The header has arrived: a block in it, one that reaches out of it, one behind it.
      [100, [[0, 28]], []],
      [100, [[0, 40]], [[0, 12]]],
      [100, [[28, 40]], [[0, 12]]],
      [
        100,
        [
          [5, 20],
          [200, 300],
        ],
        [[172, 272]],
      ],
      [
        100,
        [
          [200, 300],
          [5, 20],
          [400, 500],
        ],
        [
          [172, 272],
          [372, 472],
        ],
      ],
      // It has not: the first byte of the client's counts as missing too.
      [0, [[28, 40]], [[1, 12]]],
      [10, [[28, 29]], []],
      [
        27,
        [
          [50, 60],
          [28, 29],
        ],
        [[22, 32]],
      ],
      [0, [[0, 28]], []],
    ];
    for (const [acknowledged, blocks, expected] of cases) {
      for (const lead of [0, 1]) {
        const of = (list: readonly Block[]): Block[] => list.map(([a, b]) => [FIRST + a, FIRST + b]);
        const options = [...new Array<number>(lead).fill(1), ...sackOption(of(blocks))];
        const result = new Stream(ISN).answered({ flags: 'A', ack: FIRST + acknowledged, options });
        assert.deepEqual(readSack(result.options), of(expected));
        assert.equal(readOptions(result.options).length, expected.length === 0 ? 0 : 1);
        assert.equal(result.options.length, Math.ceil(options.length / 4) * 4);
      }
    }
  });

  test('other options stay', () => {
    const options = [...TIMESTAMPS, ...sackOption([[FIRST, FIRST + 28]])];
    const result = new Stream(ISN).answered({ flags: 'A', ack: FIRST + 100, options });
    assert.deepEqual(readOptions(result.options), [TIMESTAMPS.slice(2).filter((_, i) => i !== 1)]);
  });

  test('a SACK option of a wrong length, or a header that lies, is left alone', () => {
    const wrong = [5, 9, 1, 2, 3, 4, 5, 6, 7, 1, 1, 1];
    const result = new Stream(ISN).answered({ flags: 'A', ack: FIRST + 100, options: wrong });
    assert.deepEqual([...result.options], wrong);
    const packet = segment({ ...SERVER4, flags: 'A', ack: FIRST + 100 });
    packet[32] = 0xf0;
    const slot = new Slot(packet);
    proxyReply(slot.view, slot.headers, new Stream(ISN).words, AT);
    assert.equal(slot.view.getUint32(slot.headers.transport + 8), FIRST + 72);
  });

  test('damage is not healed', () => {
    const packet = segment({ ...SERVER4, flags: 'A', ack: FIRST + 10, options: sackOption([[FIRST, FIRST + 5]]) });
    packet[33] ^= 8;
    const slot = new Slot(packet);
    proxyReply(slot.view, slot.headers, new Stream(ISN).words, AT);
    assert.notEqual(checksumFault(slot.packet()), undefined);
  });
});

test('a stream of more than 2^32 bytes is shifted all along', () => {
  const stream = new Stream(ISN);
  stream.answered({ flags: 'A', ack: FIRST + 28 });
  for (let far = 0; far < 3 * 2 ** 32; far += 2 ** 28) {
    const ack = (FIRST + 28 + far) >>> 0;
    const options = sackOption([[ack + 5, ack + 10]]);
    const reply = stream.answered({ flags: 'A', ack, options });
    assert.equal(reply.ack, (FIRST + far) >>> 0);
    assert.deepEqual(readSack(reply.options), [[(FIRST + far + 5) >>> 0, (FIRST + far + 10) >>> 0]]);
    const { verdict, out } = stream.sent({ flags: 'PA', seq: FIRST + far, payload: DATA });
    assert.deepEqual([verdict, out[0].seq], [PROXY_PASS, ack]);
    assert.equal(proxyUnshift(stream.words, AT, ack | 0) >>> 0, (FIRST + far) >>> 0);
  }
});

test('words of others are left alone', () => {
  const stream = new Stream(ISN);
  stream.sent({ flags: 'A', seq: FIRST });
  stream.answered({ flags: 'A', ack: FIRST + 28 });
  assert.deepEqual(
    [...stream.words.subarray(0, AT), ...stream.words.subarray(AT + PROXY_STREAM_WORDS)],
    [-7, -7, -7, -7],
  );
});

test('no client writes where the header stands as long as the server may take it from there', () => {
  const sent = fc.record({
    flags: fc.constantFrom('A', 'PA', 'FA', 'P', 'F', 'R', 'RA', 'S', 'SA', 'PAU'),
    by: fc.oneof(fc.integer({ min: -60, max: 60 }), fc.constantFrom(-0x80000000, 0x7fffffff, -0x7fffffff, 0x40000000)),
    length: fc.integer({ min: 0, max: 80 }),
    acknowledged: fc.integer({ min: -5, max: 27 }),
  });
  fc.assert(
    fc.property(number, fc.array(sent, { minLength: 1, maxLength: 10 }), (isn, segments) => {
      const stream = new Stream(isn);
      for (const { flags, by, length, acknowledged } of segments) {
        const payload = new Uint8Array(length).fill(7);
        const { out } = stream.request(segment({ ...CLIENT4, flags, seq: isn + 1 + by, payload }));
        for (const { seq, payload: bytes, flags: letters } of out.map(readSegment)) {
          if (letters.includes('S')) assert.equal(bytes.length, 0);
          // What a reset carries is not of the stream.
          if (letters.includes('R')) continue;
          const at = (seq - isn - 1) | 0;
          for (let i = 0; i < bytes.length; i++) {
            if (at + i >= 0 && at + i < HEADER.length) assert.equal(bytes[i], HEADER[at + i]);
          }
        }
        stream.answered({ flags: 'A', ack: isn + 1 + acknowledged });
      }
    }),
    { numRuns: 1000 },
  );
});

interface Plan {
  readonly seed: number;
  readonly isn: number;
  readonly serverIsn: number;
  readonly header: Uint8Array;
  readonly data: Uint8Array;
  readonly mss: number;
  readonly capacity: number;
  readonly isIpv6: boolean;
  readonly loss: number;
  /** The server says something when it has the header, and the client waits for it. */
  readonly isServerFirst: boolean;
  /** FULLNAT's shift. */
  readonly delta: number;
  readonly isToa: boolean;
  readonly isAborted: boolean;
  readonly synData: Uint8Array;
}

/** Runs a connection to its end and gives the server back. */
function run(plan: Plan): ModelServer {
  const random = new Random(plan.seed);
  const stream = new Stream(plan.isn, plan.header);
  const banner = Uint8Array.from({ length: plan.isServerFirst ? 20 : 0 }, (_, i) => i);
  const ends = plan.isIpv6 ? ([CLIENT6, SERVER6] as const) : ([CLIENT4, SERVER4] as const);
  const client = new ModelClient(random, ends[0], plan.isn, plan.data, plan.mss, banner.length);
  const server = new ModelServer(random, ends[1], plan.serverIsn, plan.capacity, banner, plan.header.length);
  // Only so does a server find out that its client is gone; else a lost header must be noticed without.
  server.keepsAlive = plan.isAborted;
  const syn = client.syn(plan.synData);

  // Four stretches: client - director - server and back.
  const lines: { to: 'director' | 'server' | 'back' | 'client'; packet: Uint8Array }[] = [];
  const push = (to: (typeof lines)[number]['to'], packets: readonly Uint8Array[]): void => {
    for (const packet of packets) lines.push({ to, packet });
  };
  const forward = (packet: Uint8Array): Uint8Array => {
    const slot = new Slot(packet);
    shiftRequest(slot.view, slot.headers, plan.delta);
    if (plan.isToa) {
      addToa(slot, slot.headers, plan.serverIsn + 1, TCPOPT_TOA, 4, 0x0a070001, 0, 0, 0, 4000, slot.limit);
    }
    return slot.packet();
  };
  const back = (packet: Uint8Array): Uint8Array => {
    const slot = new Slot(packet);
    shiftReply(slot.view, slot.headers, plan.delta);
    return stream.reply(slot.packet());
  };
  const deliver = (event: (typeof lines)[number]): void => {
    if (event.to === 'director') push('server', stream.request(event.packet).out.map(forward));
    else if (event.to === 'server') push('back', server.receive(readSegment(event.packet)));
    else if (event.to === 'back') push('client', [back(event.packet)]);
    else push('director', client.receive(readSegment(event.packet)));
  };
  const isOver = (): boolean => (client.isAborted ? server.isReset : client.isDone && server.isDone);

  push('director', [syn]);
  const abortAt = plan.isAborted ? random.below(60) : -1;
  for (let step = 0; !isOver(); step++) {
    assert.ok(step < 30_000, 'the connection ends');
    if (step === abortAt && !client.isDone) push('director', [client.abort()]);
    if (lines.length > 0 && random.chance(0.75)) {
      const at = random.chance(0.6) ? 0 : random.below(lines.length);
      const event = lines[at];
      if (!random.chance(0.1)) lines.splice(at, 1);
      if (!random.chance(plan.loss)) deliver(event);
      continue;
    }
    const turn = random.below(10);
    if (turn < 4) push('director', client.send());
    else if (turn < 5) push('director', client.again());
    else if (turn < 6) push('back', server.drain());
    // Timers go when nothing else does.
    else if (lines.length === 0) {
      if (turn < 8) push('director', [...(step < 100 ? [syn] : client.timer())]);
      else push('back', server.timer());
      if (step >= 100 && !server.isOpen) push('director', [syn]);
      // Acknowledgments that nothing asks for; not for ever, or a lost header would be made good by chance.
    } else if (turn === 9 && step < 50) push('director', client.acknowledge());
  }
  return server;
}

const plans = fc.record({
  seed: fc.integer(),
  isn: number,
  serverIsn: number,
  header: fc.uint8Array({ minLength: 15, maxLength: 107 }),
  data: fc.uint8Array({ maxLength: 400 }),
  mss: fc.constantFrom(3, 40, 200, 1000),
  capacity: fc.constantFrom(150, 400, 5000),
  isIpv6: fc.boolean(),
  loss: fc.constantFrom(0, 0.1, 0.3),
  isServerFirst: fc.boolean(),
  delta: fc.oneof(fc.constant(0), fc.integer({ min: -0x80000000, max: 0x7fffffff })),
  isToa: fc.boolean(),
  isAborted: fc.constant(false),
  synData: fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 30 })),
});

test('the server reads the header and then every byte of the client once, whatever the line does', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      assert.deepEqual(run(plan).stream, Uint8Array.from([...plan.header, ...plan.data]));
    }),
    { numRuns: 400 },
  );
});

test('also into windows smaller than the header, when the client has something to say', () => {
  const small = plans.map((plan) => ({ ...plan, isServerFirst: false, capacity: 1 + (plan.mss % 37) }));
  fc.assert(
    fc.property(small, (plan) => {
      assert.deepEqual(run(plan).stream, Uint8Array.from([...plan.header, ...plan.data]));
    }),
    { numRuns: 100 },
  );
});

test('a client that gives up resets the server, wherever it stood', () => {
  const aborted = plans.map((plan) => ({ ...plan, isAborted: true }));
  fc.assert(
    fc.property(aborted, (plan) => {
      const server = run(plan);
      const whole = Uint8Array.from([...plan.header, ...plan.data]);
      assert.deepEqual(server.stream, whole.subarray(0, server.stream.length));
    }),
    { numRuns: 300 },
  );
});
