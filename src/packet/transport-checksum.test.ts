// SPDX-License-Identifier: Apache-2.0
// The checksum of whole packets against an independent one, for every protocol and up to the longest packet.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frame, hex, ip, type PacketFields, sctp, tcp, udp } from '../../test/support/frames.ts';
import { Headers, PARSE_OK, parseFrame } from './parse.ts';
import { isTransportIntact, writeTransportChecksum } from './transport-checksum.ts';

const V4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const V6 = { src: '2001:db8::c', dst: '2001:db8::1', sport: 4000, dport: 80 };

const MAKERS: Readonly<Record<string, { make: (fields: PacketFields) => Uint8Array; field: number; size: number }>> = {
  tcp: { make: (fields) => tcp({ ...fields, flags: 'A' }), field: 16, size: 2 },
  udp: { make: udp, field: 6, size: 2 },
  sctp: { make: (fields) => sctp({ ...fields, chunks: [0] }), field: 8, size: 4 },
  icmp: { make: (fields) => icmp(fields), field: 2, size: 2 },
};

/** An echo request. */
function icmp(fields: PacketFields): Uint8Array {
  const isIpv6 = fields.src.includes(':');
  const body = Uint8Array.from([isIpv6 ? 128 : 8, 0, 0, 0, 0, 1, 0, 2, ...(fields.payload ?? [])]);
  if (isIpv6) return ip(fields, 58, body, 2);
  // ICMP has no pseudo-header, which `ip` would add.
  const header = ip(fields, 1, body, -1);
  let sum = 0;
  for (let i = 0; i < body.length; i += 2) sum += (body[i] << 8) | (body[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  header.set([(~sum >>> 8) & 255, ~sum & 255], 22);
  return header;
}

function parse(packet: Uint8Array): { view: DataView; headers: Headers; bytes: Uint8Array } {
  const bytes = frame(packet);
  const view = new DataView(bytes.buffer);
  const headers = new Headers();
  assert.equal(parseFrame(view, 0, bytes.length, headers), PARSE_OK);
  return { view, headers, bytes };
}

for (const [name, { make, field, size }] of Object.entries(MAKERS)) {
  test(`the checksum of ${name} is made anew as it was, and a packet with any byte spoilt is not intact`, () => {
    fc.assert(
      fc.property(fc.boolean(), fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), (isIpv6, payload, where) => {
        const packet = make({ ...(isIpv6 ? V6 : V4), payload });
        const { view, headers, bytes } = parse(packet);
        assert.ok(isTransportIntact(view, headers));
        assert.equal(hex(bytes.subarray(14)), hex(packet), 'nothing changed by looking');
        bytes.fill(0xee, headers.transport + field, headers.transport + field + size);
        assert.ok(writeTransportChecksum(view, headers));
        assert.equal(hex(bytes.subarray(14)), hex(packet));
        const at = headers.transport + 8 + (where % (headers.end - headers.transport - 8));
        bytes[at] ^= 1 << (where % 8);
        assert.ok(!isTransportIntact(view, headers));
      }),
    );
  });
}

for (const fields of [V4, V6]) {
  test(`the longest packet from ${fields.src} is summed right`, () => {
    const payload = new Uint8Array(65535 - 8 - (fields === V4 ? 20 : 0)).fill(0xff);
    const packet = udp({ ...fields, payload });
    const { view, headers, bytes } = parse(packet);
    assert.ok(isTransportIntact(view, headers));
    bytes.fill(0, headers.transport + 6, headers.transport + 8);
    writeTransportChecksum(view, headers);
    assert.equal(hex(bytes.subarray(14, 70)), hex(packet.subarray(0, 56)));
  });
}

test("UDP's checksum 0 is none: intact over IPv4, broken over IPv6, and never written", () => {
  const four = parse(udp({ ...V4, checksum: false }));
  assert.ok(isTransportIntact(four.view, four.headers));
  const six = parse(udp({ ...V6, checksum: false }));
  assert.ok(!isTransportIntact(six.view, six.headers));
  // A payload that makes the sum 0: what stood in the checksum, put behind.
  const base = parse(udp({ ...V4, payload: new Uint8Array(2) }));
  const payload = base.bytes.slice(base.headers.transport + 6, base.headers.transport + 8);
  const { view, headers } = parse(udp({ ...V4, payload }));
  view.setUint16(headers.transport + 6, 0);
  writeTransportChecksum(view, headers);
  assert.equal(view.getUint16(headers.transport + 6), 0xffff);
});

test('other protocols, and packets that end before the checksum, are left alone', () => {
  for (const packet of [ip(V4, 47, new Uint8Array(20), -1), ip(V4, 1, new Uint8Array(3), -1)]) {
    const { view, headers, bytes } = parse(packet);
    assert.equal(writeTransportChecksum(view, headers), false);
    assert.ok(isTransportIntact(view, headers));
    assert.equal(hex(bytes.subarray(14)), hex(packet));
  }
});
