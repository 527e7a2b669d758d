// SPDX-License-Identifier: Apache-2.0
// Server ids in QUIC connection IDs: vectors, every encoding written by an encoder of the test's own, what is not to be
// found, and that no packet makes the reader throw or look outside.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { fromHex, hex } from '../../../test/support/frames.ts';
import {
  type ConnectionIdEncoding,
  ConnectionIdReader,
  QUIC_CLIENT_CHOSEN,
  QUIC_FOUND,
  QUIC_MALFORMED,
  QUIC_UNROUTABLE,
  ServerId,
} from './connection-id.ts';

const V1 = 1;
const V2 = 0x6b3343cf;
const DRAFT_29 = 0xff00001d;

/** First bytes of long headers by version: Initial, 0-RTT, Handshake, Retry (RFC 9000 §17.2, RFC 9369 §3.2). */
const TYPES: Readonly<Record<number, readonly [number, number, number, number]>> = {
  [V1]: [0xc0, 0xd0, 0xe0, 0xf0],
  [DRAFT_29]: [0xc0, 0xd0, 0xe0, 0xf0],
  [V2]: [0xd0, 0xe0, 0xf0, 0xc0],
};

const QUIC_LB: ConnectionIdEncoding = {
  kind: 'quic-lb',
  configs: [
    { configId: 0, serverIdLength: 3, nonceLength: 4 },
    { configId: 1, serverIdLength: 5, nonceLength: 5 },
  ],
  hasLength: true,
};
const LENGTHLESS: ConnectionIdEncoding = { ...QUIC_LB, hasLength: false };

function short(id: Uint8Array): Uint8Array {
  return Uint8Array.from([0x41, ...id, 0x99, 0x98, 0x97, 0x96, 0x95, 0x94, 0x93, 0x92, 0x91, 0x90]);
}

function long(id: Uint8Array, first = TYPES[V1][2], version = V1): Uint8Array {
  const numbers = [version >>> 24, (version >>> 16) & 255, (version >>> 8) & 255, version & 255];
  return Uint8Array.from([first, ...numbers, id.length, ...id, 0, 1, 2, 3]);
}

/** The id in hexadecimal, or the result without one. The packet ends where its memory does. */
function read(encoding: ConnectionIdEncoding, packet: Uint8Array): string | number {
  const memory = Uint8Array.from([0xff, 0xff, 0xff, ...packet]);
  const $id = new ServerId();
  const result = new ConnectionIdReader(encoding).read(new DataView(memory.buffer), 3, memory.length, $id);
  return result === QUIC_FOUND ? hex($id.bytes.subarray(0, $id.length)) : result;
}

suite('draft-ietf-quic-load-balancers', () => {
  test('the vector of its appendix B.1', () => {
    // cr_bits 0, sid c4605e, nonce 4504cc4f.
    const id = fromHex('07c4605e4504cc4f');
    for (const encoding of [QUIC_LB, LENGTHLESS]) {
      assert.equal(read(encoding, short(id)), 'c4605e');
      assert.equal(read(encoding, long(id)), 'c4605e');
    }
  });

  test('a second configuration', () => {
    // The draft's second vector, of which the printed nonce lacks a digit, with a whole one: 001 01010, id, nonce.
    const id = fromHex('2a350d28b4203487d9700b');
    assert.equal(read(QUIC_LB, short(id)), '350d28b420');
    assert.equal(read(QUIC_LB, long(id)), '350d28b420');
  });

  test('configurations that are not there, above all the seventh, are none', () => {
    for (const config of [2, 6, 7]) {
      const id = fromHex('07c4605e4504cc4f');
      id[0] |= config << 5;
      assert.equal(read(QUIC_LB, short(id)), QUIC_UNROUTABLE);
      assert.equal(read(LENGTHLESS, long(id)), QUIC_UNROUTABLE);
    }
  });

  test('the ID may be longer than id and nonce, not shorter', () => {
    const id = fromHex('0ac4605e4504cc4f010203');
    assert.equal(read(QUIC_LB, long(id)), 'c4605e');
    assert.equal(read(QUIC_LB, short(id)), 'c4605e');
    const cut = fromHex('06c4605e4504cc');
    assert.equal(read(QUIC_LB, long(cut)), QUIC_UNROUTABLE);
    assert.equal(read(LENGTHLESS, long(cut)), QUIC_UNROUTABLE);
    assert.equal(read(QUIC_LB, Uint8Array.from([0x41, ...cut])), QUIC_UNROUTABLE);
    assert.equal(read(LENGTHLESS, Uint8Array.from([0x41, ...cut])), QUIC_UNROUTABLE);
    assert.equal(read(LENGTHLESS, Uint8Array.of(0x41)), QUIC_UNROUTABLE);
  });

  test('a length that the first byte states wrongly is none, where it states one', () => {
    for (const first of [0x06, 0x08, 0x00, 0x1f]) {
      const id = fromHex('07c4605e4504cc4f');
      id[0] = first;
      assert.equal(read(QUIC_LB, long(id)), QUIC_UNROUTABLE);
      assert.equal(read(LENGTHLESS, long(id)), 'c4605e');
      // In a short header it may be longer, if the packet is.
      const expected = first === 0x08 ? 'c4605e' : QUIC_UNROUTABLE;
      assert.equal(read(QUIC_LB, short(id)), expected);
      assert.equal(read(LENGTHLESS, short(id)), 'c4605e');
    }
    // In a long header it is the ID's, to the byte.
    assert.equal(read(QUIC_LB, long(fromHex('07c4605e4504cc4f010203'))), QUIC_UNROUTABLE);
    assert.equal(read(LENGTHLESS, long(fromHex('07c4605e4504cc4f010203'))), 'c4605e');
    const long20 = Uint8Array.from([0x41, 0x14, ...new Array<number>(30).fill(1)]);
    assert.equal(read(QUIC_LB, long20), QUIC_UNROUTABLE, '21 bytes are too long for QUIC');
    long20[1] = 0x13;
    assert.equal(read(QUIC_LB, long20), '010101');
  });

  test('a configuration that the draft does not allow is refused', () => {
    const make = (...configs: [number, number, number][]): ConnectionIdReader =>
      new ConnectionIdReader({
        kind: 'quic-lb',
        hasLength: false,
        configs: configs.map(([configId, serverIdLength, nonceLength]) => ({ configId, serverIdLength, nonceLength })),
      });
    make([0, 1, 4], [6, 15, 4], [3, 1, 18]);
    for (const wrong of [
      [7, 3, 4],
      [-1, 3, 4],
      [0.5, 3, 4],
      [0, 0, 4],
      [0, 3, 3],
      [0, 16, 4],
      [0, 15, 5],
      [0, 1.5, 4],
      [0, Number.NaN, 4],
    ] as const) {
      assert.throws(() => make([...wrong]), RangeError, String(wrong));
    }
    assert.throws(() => make([0, 3, 4], [0, 4, 4]), RangeError);
  });
});

suite('Katran', () => {
  const KATRAN: ConnectionIdEncoding = { kind: 'katran' };
  // Version 1 is the bits 01 and 16 bits of id: 4000 4000 is 01, then 15 zeros and a one.
  const VECTORS: readonly [id: string, found: string | number][] = [
    ['4000400000000000', '00000001'],
    ['7fffc00000000000', '0000ffff'],
    ['4048d15566778899', '00000123'],
    ['80123456778899aa', '00123456'],
    ['bfffffff778899aa', '00ffffff'],
    ['c012345678aabbcc', '12345678'],
    ['ffffffffff000000', 'ffffffff'],
    ['0012345678aabbcc', QUIC_UNROUTABLE],
    ['80123456778899', QUIC_UNROUTABLE],
  ];

  for (const [id, found] of VECTORS) {
    test(id, () => {
      assert.equal(read(KATRAN, long(fromHex(id))), found);
      if (id.length === 16) assert.equal(read(KATRAN, short(fromHex(id))), found);
      else assert.equal(read(KATRAN, Uint8Array.from([0x41, ...fromHex(id)])), found);
    });
  }
});

suite('DPVS', () => {
  const DPVS: ConnectionIdEncoding = { kind: 'dpvs' };

  test('low bytes of the address, with and without a port', () => {
    // One byte of address, 0x0a: 000 0, 0a, nonce. Two: 001 0, 01 0a. Four and a port: 011 1, c0a8010a, 01bb.
    assert.equal(read(DPVS, long(fromHex('ee00a111111111'))), '010a');
    assert.equal(read(DPVS, short(fromHex('ee00a111111111'))), '010a');
    assert.equal(read(DPVS, long(fromHex('ee2010a111111111'))), '02010a');
    assert.equal(read(DPVS, short(fromHex('ee7c0a8010a01bb111111111'))), '84c0a8010a01bb');
    assert.equal(read(DPVS, long(fromHex('ee7c0a8010a01bb111111111'))), '84c0a8010a01bb');
    assert.equal(read(DPVS, long(fromHex('eef0123456789abcdef01bb111111111'))), '880123456789abcdef01bb');
  });

  test('an ID without room for a nonce of 4 bytes is none', () => {
    assert.equal(read(DPVS, long(fromHex('ee00a1111111'))), QUIC_UNROUTABLE);
    assert.equal(read(DPVS, long(fromHex('ee10a01bb1111111'))), QUIC_UNROUTABLE);
    assert.equal(read(DPVS, long(fromHex('ee'))), QUIC_UNROUTABLE);
    assert.equal(read(DPVS, Uint8Array.of(0x41)), QUIC_UNROUTABLE);
  });
});

suite('packets', () => {
  const id = fromHex('07c4605e4504cc4f');

  test('the client chose the ID of Initial and 0-RTT packets, in each version', () => {
    for (const version of [V1, DRAFT_29, V2]) {
      const [initial, zeroRtt, handshake, retry] = TYPES[version];
      assert.equal(read(QUIC_LB, long(id, initial, version)), QUIC_CLIENT_CHOSEN);
      assert.equal(read(QUIC_LB, long(id, zeroRtt, version)), QUIC_CLIENT_CHOSEN);
      assert.equal(read(QUIC_LB, long(id, handshake, version)), 'c4605e');
      assert.equal(read(QUIC_LB, long(id, retry, version)), 'c4605e');
    }
  });

  test('also of packets of other versions, with IDs of any length', () => {
    for (const version of [0, 2, 0x1a2a3a4a]) {
      assert.equal(read(QUIC_LB, long(id, 0xe0, version)), QUIC_CLIENT_CHOSEN);
      assert.equal(read(QUIC_LB, long(new Uint8Array(100), 0xe0, version)), QUIC_CLIENT_CHOSEN);
    }
  });

  test('the fixed bit may be 0', () => {
    const packet = short(id);
    packet[0] = 0x01;
    assert.equal(read(QUIC_LB, packet), 'c4605e');
    assert.equal(read(QUIC_LB, long(id, 0xa0)), 'c4605e');
  });

  test('what is cut, or has an ID longer than 20 bytes, is no QUIC packet', () => {
    const whole = long(id);
    assert.equal(read(QUIC_LB, new Uint8Array(0)), QUIC_MALFORMED);
    for (let length = 1; length < 6 + id.length; length++) {
      assert.equal(read(QUIC_LB, whole.slice(0, length)), QUIC_MALFORMED);
    }
    assert.equal(read(QUIC_LB, whole.slice(0, 6 + id.length)), 'c4605e');
    assert.equal(read(LENGTHLESS, long(new Uint8Array(20))), '000000');
    assert.equal(read(LENGTHLESS, long(new Uint8Array(21))), QUIC_MALFORMED);
  });
});

const byte = fc.integer({ min: 0, max: 255 });

test('what a server writes is found in every packet with its ID', () => {
  const config = fc
    .record({ configId: fc.integer({ min: 0, max: 6 }), serverIdLength: fc.integer({ min: 1, max: 15 }) })
    .chain((c) => fc.record({ config: fc.constant(c), nonce: fc.integer({ min: 4, max: 19 - c.serverIdLength }) }));
  const bytes = fc.uint8Array({ minLength: 20, maxLength: 20 });
  fc.assert(
    fc.property(config, bytes, fc.boolean(), byte, ({ config: c, nonce }, random, hasLength, low) => {
      const length = c.serverIdLength + nonce;
      const first = (c.configId << 5) | (hasLength ? length : low & 31);
      const id = Uint8Array.from([first, ...random.subarray(0, length)]);
      const configs = [{ ...c, nonceLength: nonce }];
      const encoding: ConnectionIdEncoding = { kind: 'quic-lb', configs, hasLength };
      const expected = hex(random.subarray(0, c.serverIdLength));
      assert.equal(read(encoding, short(id)), expected);
      assert.equal(read(encoding, long(id)), expected);
      assert.equal(read(encoding, long(id, TYPES[V2][2], V2)), expected);
    }),
    { numRuns: 1000 },
  );
});

test('no packet makes the reader throw or look outside', () => {
  const start = fc.constantFrom([], [0x41], [0xe0, 0, 0, 0, 1], [0xf0, 0x6b, 0x33, 0x43, 0xcf], [0xc0, 0, 0, 0, 1]);
  const encodings = fc.constantFrom<ConnectionIdEncoding>(QUIC_LB, LENGTHLESS, { kind: 'katran' }, { kind: 'dpvs' });
  const length = fc.option(fc.integer({ min: 0, max: 25 }), { nil: undefined });
  let found = 0;
  fc.assert(
    fc.property(start, length, fc.uint8Array({ maxLength: 40 }), encodings, (head, stated, tail, encoding) => {
      const result = read(encoding, Uint8Array.from([...head, ...(stated === undefined ? [] : [stated]), ...tail]));
      if (typeof result === 'string') found++;
      else assert.ok(result >= QUIC_CLIENT_CHOSEN && result <= QUIC_MALFORMED);
    }),
    { numRuns: 5000 },
  );
  assert.ok(found > 100, `only ${found} had an id`);
});
