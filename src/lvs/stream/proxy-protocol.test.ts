// SPDX-License-Identifier: Apache-2.0
// PROXY headers byte by byte as the specification has them, written and read again, and before datagrams.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, hex, udp } from '../../../test/support/frames.ts';
import { Slot } from '../../../test/support/segments.ts';
import { type Address, addressWords } from '../../packet/address.ts';
import { prependProxyHeader } from './proxy-datagram.ts';
import {
  PROXY_MAX,
  PROXY_V1_MAX,
  PROXY_V2_MAX,
  type ProxyEnds,
  type ProxyHeader,
  readProxyHeader,
  writeProxyLocal,
  writeProxyV1,
  writeProxyV2,
} from './proxy-protocol.ts';

const TCP = 6;
const UDP = 17;
const SIGNATURE = '0d0a0d0a000d0a515549540a';

function ends(protocol: number, source: string, sourcePort: number, destination: string, port: number): ProxyEnds {
  const count = source.includes(':') ? 4 : 1;
  return {
    family: count === 4 ? 6 : 4,
    protocol,
    source: addressWords(source as Address).slice(0, count),
    sourcePort,
    destination: addressWords(destination as Address).slice(0, count),
    destinationPort: port,
  };
}

function written(write: (into: Uint8Array) => number): Uint8Array {
  const into = new Uint8Array(PROXY_MAX + 10).fill(0xee);
  const length = write(into);
  assert.ok(
    into.subarray(length).every((byte) => byte === 0xee),
    'nothing is written behind it',
  );
  return into.slice(0, length);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function read(bytes: Uint8Array | string): ProxyHeader | undefined {
  const all = typeof bytes === 'string' ? Uint8Array.from(Buffer.from(bytes, 'latin1')) : bytes;
  return readProxyHeader(all, 0, all.length);
}

const CASE4 = [TCP, '192.168.0.1', 56324, '192.168.0.11', 443] as const;
const CASE6 = [TCP, '2001:db8::c', 40000, '2001:db8::1', 80] as const;

test('version 1 is the line of the specification', () => {
  // The example of its section 2.1.
  const line = 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n';
  assert.equal(text(written((into) => writeProxyV1(into, ends(...CASE4)))), line);
  const six = 'PROXY TCP6 2001:db8::c 2001:db8::1 40000 80\r\n';
  assert.equal(text(written((into) => writeProxyV1(into, ends(...CASE6)))), six);
});

test('version 1 has no UDP', () => {
  assert.equal(written((into) => writeProxyV1(into, ends(UDP, '10.7.0.1', 1, '10.0.0.1', 2))).length, 0);
});

test('version 2 for TCP and UDP over both families', () => {
  const header = (...of: Parameters<typeof ends>): string => hex(written((into) => writeProxyV2(into, ends(...of))));
  assert.equal(header(...CASE4), `${SIGNATURE}2111000cc0a80001c0a8000bdc0401bb`);
  assert.equal(header(UDP, '10.7.0.1', 1, '10.0.0.1', 2), `${SIGNATURE}2112000c0a0700010a00000100010002`);
  const six = '20010db800000000000000000000000c20010db80000000000000000000000019c400050';
  assert.equal(header(...CASE6), `${SIGNATURE}21210024${six}`);
  assert.equal(header(UDP, ...(CASE6.slice(1) as [string, number, string, number])), `${SIGNATURE}21220024${six}`);
  assert.equal(fromHex(header(...CASE6)).length, PROXY_V2_MAX);
});

test('LOCAL has no addresses', () => {
  const bytes = written(writeProxyLocal);
  assert.equal(hex(bytes), `${SIGNATURE}20000000`);
  assert.deepEqual(read(bytes), { version: 2, length: 16, ends: undefined });
});

const word = fc.oneof(fc.integer({ min: -0x80000000, max: 0x7fffffff }), fc.constantFrom(0, -1));
const port = fc.integer({ min: 0, max: 0xffff });
const family = fc.constantFrom(4 as const, 6 as const);
const anyEnds = fc
  .tuple(family, fc.constantFrom(TCP, UDP), fc.array(word, { minLength: 8, maxLength: 8 }), port, port)
  .map(([of, protocol, words, sourcePort, destinationPort]): ProxyEnds => {
    const count = of === 4 ? 1 : 4;
    const [source, destination] = [words.slice(0, count), words.slice(4, 4 + count)];
    return { family: of, protocol, source, sourcePort, destination, destinationPort };
  });

test('what is written is read again, whatever follows, and a part of it never', () => {
  const version = fc.constantFrom(1 as const, 2 as const);
  fc.assert(
    fc.property(
      anyEnds,
      version,
      fc.uint8Array({ maxLength: 20 }),
      fc.double({ min: 0, max: 1 }),
      (of, v, more, cut) => {
        fc.pre(v === 2 || of.protocol === TCP);
        const bytes = written((into) => (v === 1 ? writeProxyV1(into, of) : writeProxyV2(into, of)));
        assert.ok(bytes.length <= (v === 1 ? PROXY_V1_MAX : PROXY_V2_MAX));
        assert.deepEqual(read(Uint8Array.from([...bytes, ...more])), { version: v, length: bytes.length, ends: of });
        const shifted = Uint8Array.from([...more, ...bytes, ...more]);
        const found = readProxyHeader(shifted, more.length, more.length + bytes.length);
        assert.deepEqual(found?.ends, of);
        const part = Math.floor(cut * bytes.length) % bytes.length;
        assert.equal(read(bytes.slice(0, part)), undefined);
      },
    ),
    { numRuns: 2000 },
  );
});

test('the other forms of the specification are read', () => {
  assert.deepEqual(read('PROXY UNKNOWN\r\n'), { version: 1, length: 15, ends: undefined });
  assert.equal(read('PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\nGET /')?.length, 43);
  // A TLV behind the addresses, and a Unix socket, which is neither TCP nor UDP.
  const tlv = fromHex(`${SIGNATURE}2111000f0a0700010a00000100010002040000`);
  assert.deepEqual(read(tlv), { version: 2, length: 31, ends: ends(TCP, '10.7.0.1', 1, '10.0.0.1', 2) });
  assert.deepEqual(read(fromHex(`${SIGNATURE}213100040a070001`)), { version: 2, length: 20, ends: undefined });
});

test('what is not right is no header', () => {
  const wrong = [
    '',
    'PROXY',
    'GET / HTTP/1.1\r\n',
    'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n',
    'PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n',
    'PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n',
    'PROXY TCP4 192.168.0.1 192.168.0.11 056 443\r\n',
    'PROXY TCP4 192.168.0.256 192.168.0.11 56 443\r\n',
    'PROXY TCP6 192.168.0.1 192.168.0.11 56 443\r\n',
    'PROXY TCP4 ::1 ::2 56 443\r\n',
    'PROXY  TCP4 192.168.0.1 192.168.0.11 56 443\r\n',
    'proxy TCP4 192.168.0.1 192.168.0.11 56 443\r\n',
    'PROXY UNKNOWNS\r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
  ];
  for (const line of wrong) assert.equal(read(line), undefined, line);
  for (const rest of [
    '2211000c0a0700010a00000100010002',
    '1111000c0a0700010a00000100010002',
    '211100080a0700010a000001',
  ]) {
    assert.equal(read(fromHex(SIGNATURE + rest)), undefined, rest);
  }
});

test('no bytes make it throw', () => {
  const head = fc.constantFrom('', 'PROXY TCP4 ', 'PROXY TCP6 ', Buffer.from(SIGNATURE, 'hex').toString('latin1'));
  fc.assert(
    fc.property(head, fc.uint8Array({ maxLength: 60 }), (start, bytes) => {
      const all = Uint8Array.from([...Buffer.from(start, 'latin1'), ...bytes]);
      const found = read(all);
      if (found !== undefined) assert.ok(found.length <= all.length);
    }),
    { numRuns: 3000 },
  );
});

const V4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 53 };
const V6 = { ...V4, src: '2001:db8::c', dst: '2001:db8::1' };

test('a datagram with a header is the one that had it from the start', () => {
  const odd = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(fc.constantFrom(V4, V6), odd, anyEnds, fc.boolean(), (fields, payload, of, checksum) => {
      const header = written((into) => writeProxyV2(into, of));
      const slot = new Slot(udp({ ...fields, payload, checksum }));
      assert.ok(prependProxyHeader(slot, slot.headers, header, header.length, slot.limit));
      const expected = udp({ ...fields, payload: Uint8Array.from([...header, ...payload]), checksum });
      assert.deepEqual(slot.packet(), expected);
    }),
    { numRuns: 500 },
  );
});

test('a datagram without room for a header is left alone', () => {
  const header = written((into) => writeProxyV2(into, ends(UDP, '10.7.0.1', 1, '10.0.0.1', 2)));
  const packet = udp({ ...V4, payload: new Uint8Array(1472) });
  const slot = new Slot(packet);
  const mtu = slot.headers.ip + 1500;
  assert.equal(prependProxyHeader(slot, slot.headers, header, header.length, mtu), false);
  assert.deepEqual(slot.packet(), packet);
  const small = new Slot(udp({ ...V4, payload: new Uint8Array(1472 - 28) }));
  assert.equal(prependProxyHeader(small, small.headers, header, header.length, small.headers.ip + 1500), true);
});

test('a datagram that says another length than it has is left alone', () => {
  for (const length of [0, 7, 8, 11, 13, 0xffff]) {
    const slot = new Slot(udp({ ...V4, payload: new Uint8Array(4) }));
    slot.view.setUint16(slot.headers.transport + 4, length);
    const before = slot.packet();
    assert.equal(prependProxyHeader(slot, slot.headers, new Uint8Array(28), 28, slot.limit), false);
    assert.deepEqual(slot.packet(), before);
  }
});
