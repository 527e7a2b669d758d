// SPDX-License-Identifier: Apache-2.0
// Ethernet addresses and ARP packets, byte by byte.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, hex } from '../../test/support/frames.ts';
import { ARP_LENGTH, ARP_REPLY, ARP_REQUEST, isArp, writeArp } from './arp.ts';
import { ETH_HLEN, formatMac, parseMac, writeAddresses } from './ethernet.ts';

test('both addresses are written, the rest of the frame is left', () => {
  const bytes = new Uint8Array(ETH_HLEN + 6).fill(0xa5);
  writeAddresses(new DataView(bytes.buffer), 3, 0x02000000, 0x0001, 0xfedcba98 | 0, 0x7654);
  assert.equal(hex(bytes), `${'a5'.repeat(3)}020000000001fedcba987654${'a5'.repeat(5)}`);
});

test('an Ethernet address is read and printed', () => {
  assert.deepEqual(parseMac('02:00:AB:cd:ef:ff'), Uint8Array.of(2, 0, 0xab, 0xcd, 0xef, 0xff));
  assert.equal(formatMac([2, 0, 0xab, 0xcd, 0xef, 0xff]), '02:00:ab:cd:ef:ff');
  for (const text of [
    '',
    '02:00:00:00:00',
    '02:00:00:00:00:00:00',
    '2:0:0:0:0:1',
    '02-00-00-00-00-01',
    '0g:00:00:00:00:00',
  ]) {
    assert.equal(parseMac(text), undefined, text);
  }
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) => {
      assert.deepEqual(parseMac(formatMac(mac)), mac);
    }),
  );
});

// RFC 826: Ethernet (1), IPv4 (0800), lengths 6 and 4, operation, sender, target.
const REQUEST = '00010800060400010200000000010a000001000000000000' + '0a000002';

test('an ARP request has the layout of RFC 826', () => {
  const bytes = new Uint8Array(ARP_LENGTH + 4).fill(0xa5);
  const view = new DataView(bytes.buffer);
  writeArp(view, 2, ARP_REQUEST, [2, 0, 0, 0, 0, 1], 0x0a000001, [], 0x0a000002);
  assert.equal(hex(bytes), `a5a5${REQUEST}a5a5`);
  writeArp(view, 2, ARP_REPLY, [2, 0, 0, 0, 0, 2], 0x0a000002, [2, 0, 0, 0, 0, 1], 0x0a000001);
  assert.equal(hex(bytes), 'a5a5' + '0001080006040002' + '0200000000020a000002' + '0200000000010a000001' + 'a5a5');
});

test('only whole ARP packets for IPv4 over Ethernet are taken for such', () => {
  const bytes = fromHex(REQUEST);
  const isOne = (packet: Uint8Array, length = packet.length): boolean => isArp(new DataView(packet.buffer), 0, length);
  assert.equal(isOne(bytes), true);
  assert.equal(isOne(Uint8Array.from([...bytes, 0, 0]), 30), true);
  for (let length = 0; length < ARP_LENGTH; length++) assert.equal(isOne(bytes.slice(0, length)), false, `${length}`);
  for (let at = 0; at < 6; at++) {
    const wrong = bytes.slice();
    wrong[at] ^= 1;
    assert.equal(isOne(wrong), false, `byte ${at}`);
  }
});
