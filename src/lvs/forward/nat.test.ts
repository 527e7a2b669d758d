// SPDX-License-Identifier: Apache-2.0
// NAT there and back: every rewritten packet is valid, a broken checksum stays broken by as much, and what comes back is
// what went out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressBytes, checksumFault, frame, internetChecksum, tcp, udp } from '../../../test/support/frames.ts';
import { extension, withExtensions, withOptions } from '../../../test/support/headers.ts';
import { type Address, addressWords, formatAddress } from '../../packet/address.ts';
import { Headers, PARSE_OK, parseFrame } from '../../packet/parse.ts';
import { DESTINATION, rewriteIpv4, rewriteIpv6, SOURCE } from './nat.ts';

const word = fc.oneof(fc.integer({ min: -0x80000000, max: 0x7fffffff }), fc.constantFrom(0, -1, 0xffff, -0x10000));
const port = fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(0, 1, 0xfffe, 0xffff));
const ipv4 = word.map((w) => formatAddress(4, [w]));
const ipv6 = fc.tuple(word, word, word, word).map((words) => formatAddress(6, words));

const common = {
  sport: port,
  dport: port,
  ttl: fc.integer({ min: 2, max: 255 }),
  id: port,
  payload: fc.uint8Array({ maxLength: 40 }),
};
const fields4 = fc.record({ ...common, src: ipv4, dst: ipv4, newAddress: ipv4, newPort: port });
const fields6 = fc.record({ ...common, src: ipv6, dst: ipv6, newAddress: ipv6, newPort: port });
const fields = fc.oneof(fields4, fields6);
const kind = fc.constantFrom('tcp' as const, 'udp' as const);
const side = fc.constantFrom(SOURCE, DESTINATION);
/** Options or extension headers before the transport header. */
const more = fc.boolean();

type Fields = { src: Address; dst: Address; newAddress: Address; newPort: number; sport: number; dport: number };
type Built = Fields & { ttl: number; id: number; payload: Uint8Array };

function build(protocol: 'tcp' | 'udp', built: Built, withMore: boolean): Uint8Array {
  const plain = protocol === 'tcp' ? tcp({ ...built, flags: 'PA' }) : udp(built);
  if (!withMore) return plain;
  return plain[0] >>> 4 === 4
    ? withOptions(plain, Uint8Array.of(1, 1, 1, 0))
    : withExtensions(plain, [extension(60, 1)]);
}

function rewrite(packet: Uint8Array, end: number, address: Address, newPort: number): Uint8Array {
  const bytes = frame(packet);
  const view = new DataView(bytes.buffer);
  const headers = new Headers();
  assert.equal(parseFrame(view, 0, bytes.length, headers), PARSE_OK);
  const words = addressWords(address);
  if (headers.family === 4) rewriteIpv4(view, headers, end, words[0], newPort);
  else rewriteIpv6(view, headers, end, ...words, newPort);
  return bytes.slice(14);
}

/** Where the transport header of a packet made here begins. */
function transportOf(packet: Uint8Array): number {
  if (packet[0] >>> 4 === 4) return (packet[0] & 15) * 4;
  return packet[6] === 60 ? 56 : 40;
}

/** The packet without what `build` put before the transport header, for the checks of frames.ts. */
function plainOf(packet: Uint8Array): Uint8Array {
  if (packet[0] >>> 4 === 4 || packet[6] !== 60) return packet;
  const length = packet.length - 56;
  return Uint8Array.from([
    ...packet.subarray(0, 4),
    length >>> 8,
    length & 255,
    packet[40],
    ...packet.subarray(7, 40),
    ...packet.subarray(56),
  ]);
}

test('a rewritten packet is valid and differs in nothing but one end', () => {
  fc.assert(
    fc.property(kind, fields, side, more, (protocol, built, end, withMore) => {
      const packet = build(protocol, built, withMore);
      const result = rewrite(packet, end, built.newAddress, built.newPort);
      assert.equal(checksumFault(plainOf(result)), undefined);
      const [address, newPort] = [built.newAddress, built.newPort];
      const changed = end === SOURCE ? { src: address, sport: newPort } : { dst: address, dport: newPort };
      const expected = build(protocol, { ...built, ...changed }, withMore);
      assert.deepEqual(result, expected);
    }),
    { numRuns: 3000 },
  );
});

test('out and back is the identity', () => {
  fc.assert(
    fc.property(kind, fields, side, more, (protocol, built, end, withMore) => {
      const packet = build(protocol, built, withMore);
      const there = rewrite(packet, end, built.newAddress, built.newPort);
      const [address, oldPort] = end === SOURCE ? [built.src, built.sport] : [built.dst, built.dport];
      const back = rewrite(there, end, address, oldPort);
      assert.deepEqual(back, packet);
    }),
    { numRuns: 2000 },
  );
});

test('a transport checksum that was wrong is wrong by as much afterwards: NAT hides no damage', () => {
  fc.assert(
    fc.property(kind, fields, side, fc.integer({ min: 1, max: 0xfffe }), (protocol, built, end, error) => {
      const packet = build(protocol, built, false);
      const at = transportOf(packet) + (protocol === 'tcp' ? 16 : 6);
      const wrong = (((packet[at] << 8) | packet[at + 1]) + error) % 0xffff;
      packet.set([wrong >>> 8, wrong & 255], at);
      // A UDP checksum of 0 says that there is none.
      fc.pre(wrong !== 0);
      const result = rewrite(packet, end, built.newAddress, built.newPort);
      assert.equal(transportError(result) % 0xffff, transportError(packet) % 0xffff);
    }),
    { numRuns: 1000 },
  );
});

/** Folded sum over pseudo-header and transport: 0xffff less than nothing for a valid packet. */
function transportError(packet: Uint8Array): number {
  const isIpv6 = packet[0] >>> 4 === 6;
  const addresses = isIpv6 ? packet.subarray(8, 40) : packet.subarray(12, 20);
  const transport = packet.subarray(transportOf(packet));
  const protocol = isIpv6 ? packet[6] : packet[9];
  const pseudo = [...addresses, 0, 0, transport.length >>> 8, transport.length & 255, 0, 0, 0, protocol];
  return internetChecksum(Uint8Array.from([...pseudo, ...transport]));
}

test('UDP without a checksum gets one that is right, and never the 0 that means none', () => {
  fc.assert(
    fc.property(fields, side, (built, end) => {
      const result = rewrite(udp({ ...built, checksum: false }), end, built.newAddress, built.newPort);
      assert.equal(checksumFault(result), undefined);
      const at = transportOf(result) + 6;
      assert.notEqual((result[at] << 8) | result[at + 1], 0);
    }),
    { numRuns: 1000 },
  );
});

test('a UDP checksum that would come out as 0 is sent as 0xffff', () => {
  const base = { src: '10.7.0.1', dst: '10.0.0.1', sport: 0, dport: 80, payload: Uint8Array.of(0, 0) };
  const [address, newPort] = ['192.168.1.1' as Address, 8080];
  // The port of the client makes the sum come out so.
  const probe = udp({ ...base, dst: address, dport: newPort });
  const sport = (probe[26] << 8) | probe[27];
  for (const checksum of [true, false]) {
    const result = rewrite(udp({ ...base, sport, checksum }), DESTINATION, address, newPort);
    assert.deepEqual([result[26], result[27]], [0xff, 0xff]);
    assert.deepEqual([...result.subarray(16, 20)], addressBytes(address));
    assert.equal(checksumFault(result), undefined);
  }
});
