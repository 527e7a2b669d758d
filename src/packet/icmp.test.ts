// SPDX-License-Identifier: Apache-2.0
// ICMP errors built in place: for packets of every length, valid, within their size limit and within their room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumFault, hex, udp } from '../../test/support/frames.ts';
import { makeIcmpError, makeIcmpv6Error } from './icmp.ts';

const GUARD = 0xa5;
const AT = 64;

/** Builds the error in memory that ends where its room does. */
function errorAbout(packet: Uint8Array, room: number): { error: Uint8Array; around: boolean } {
  const bytes = new Uint8Array(AT + packet.length + room + AT).fill(GUARD);
  bytes.set(packet, AT);
  const view = new DataView(bytes.buffer);
  const length =
    packet[0] >>> 4 === 4
      ? makeIcmpError(view, bytes, AT, packet.length, 3, 3, 0, 0x1234)
      : makeIcmpv6Error(view, bytes, AT, packet.length, 1, 4, 0);
  const end = AT + Math.max(packet.length, length);
  const around = bytes.subarray(0, AT).every((b) => b === GUARD) && bytes.subarray(end).every((b) => b === GUARD);
  assert.ok(length <= packet.length + room);
  return { error: bytes.slice(AT, AT + length), around };
}

test('an IPv4 error is as urgent as network control, and keeps the kind of service that its packet asked for', () => {
  for (let tos = 0; tos < 256; tos++) {
    const packet = udp({ src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80, tos });
    const { error } = errorAbout(packet, 28);
    assert.equal(error[1], (tos & 0x1e) | 0xc0, `${tos}`);
    assert.equal(checksumFault(error), undefined);
  }
});

test('an IPv4 error goes back to the sender, quotes the packet and is valid, for every length', () => {
  for (let payload = 0; payload <= 1472; payload++) {
    const body = Uint8Array.from({ length: payload }, (_, i) => i * 7 + payload);
    const packet = udp({ src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80, payload: body });
    const { error, around } = errorAbout(packet, 28);
    const quoted = Math.min(packet.length, 576 - 28);
    assert.ok(around, `${payload}: wrote outside`);
    assert.equal(error.length, 28 + quoted);
    assert.equal(checksumFault(error), undefined, `${payload}`);
    assert.equal(hex(error.subarray(0, 10)), `45c0${error.length.toString(16).padStart(4, '0')}123400004001`);
    assert.equal(hex(error.subarray(12, 22)), '0a0000010a0700010303');
    assert.deepEqual(error.subarray(28), packet.subarray(0, quoted));
  }
});

test('an IPv6 error goes back to the sender, quotes the packet and is valid, for every length', () => {
  for (let payload = 0; payload <= 1452; payload++) {
    const body = Uint8Array.from({ length: payload }, (_, i) => i * 7 + payload);
    const packet = udp({ src: '2001:db8::c', dst: '2001:db8::1', sport: 4000, dport: 80, payload: body });
    const { error, around } = errorAbout(packet, 48);
    const quoted = Math.min(packet.length, 1280 - 48);
    assert.ok(around, `${payload}: wrote outside`);
    assert.equal(error.length, 48 + quoted);
    assert.equal(checksumFault(error), undefined, `${payload}`);
    assert.equal(hex(error.subarray(0, 8)), `60000000${(8 + quoted).toString(16).padStart(4, '0')}3a40`);
    assert.deepEqual(error.subarray(8, 40), Uint8Array.from([...packet.subarray(24, 40), ...packet.subarray(8, 24)]));
    assert.equal(hex(error.subarray(40, 42)), '0104');
    assert.deepEqual(error.subarray(48), packet.subarray(0, quoted));
  }
});
