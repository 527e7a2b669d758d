// SPDX-License-Identifier: Apache-2.0
// TOA: which segments carry the client's address, that a server finds it there, and that nothing else of them changes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressBytes, checksumFault } from '../../../test/support/frames.ts';
import {
  readOptions,
  readSegment,
  type SegmentFields,
  Slot,
  sackOption,
  segment,
} from '../../../test/support/segments.ts';
import { type Address, addressWords } from '../../packet/address.ts';
import { addToa, TOA_ADDED, TOA_NO_ROOM, TOA_NOT_NOW, TOA_OPTIONS_FULL, TOA_SIGNED } from './toa.ts';

const CLIENT4 = '10.7.0.1';
const CLIENT6 = '2001:db8::c';
const PORT = 40001;
const NEXT = 0x80000001;
const V4 = { src: '10.0.0.9', dst: '192.168.1.1', sport: 5000, dport: 80, flags: 'PA', ack: NEXT };
const V6 = { ...V4, src: '2001:db8::9', dst: '2001:db8:1::1' };

function add(slot: Slot, client: string, limit = slot.limit, kind = 254): number {
  const words = addressWords(client as Address);
  const family = client.includes(':') ? 6 : 4;
  return addToa(slot, slot.headers, NEXT | 0, kind, family, words[0], words[1], words[2], words[3], PORT, limit);
}

function option(client: string, kind = 254): number[] {
  return [kind, PORT >>> 8, PORT & 255, ...addressBytes(client)];
}

const TIMESTAMP = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];

test('the option is kind, length, port and address, before the others', () => {
  const slot = new Slot(segment({ ...V4, options: TIMESTAMP, payload: Uint8Array.of(1, 2, 3) }));
  assert.equal(add(slot, CLIENT4), TOA_ADDED);
  const { options, payload } = readSegment(slot.packet());
  assert.deepEqual([...options], [254, 8, 0x9c, 0x41, 10, 7, 0, 1, ...TIMESTAMP]);
  assert.deepEqual([...payload], [1, 2, 3]);
});

test('with IPv6 it has 20 bytes', () => {
  const slot = new Slot(segment({ ...V6, payload: Uint8Array.of(1) }));
  assert.equal(add(slot, CLIENT6), TOA_ADDED);
  const { options } = readSegment(slot.packet());
  assert.deepEqual([...options], [254, 20, 0x9c, 0x41, ...addressBytes(CLIENT6)]);
});

test('the kind is what is configured', () => {
  const slot = new Slot(segment(V4));
  assert.equal(add(slot, CLIENT4, slot.limit, 252), TOA_ADDED);
  assert.deepEqual(readOptions(readSegment(slot.packet()).options), [option(CLIENT4, 252)]);
});

test('no SYN, no RST, nothing without or with another acknowledgment carries it', () => {
  for (const fields of [
    { flags: 'S' },
    { flags: 'SA' },
    { flags: 'R' },
    { flags: 'RA' },
    { flags: 'P' },
    { ack: NEXT + 1 },
    { ack: NEXT - 1 },
  ]) {
    const packet = segment({ ...V4, ...fields });
    const slot = new Slot(packet);
    assert.equal(add(slot, CLIENT4), TOA_NOT_NOW);
    assert.deepEqual(slot.packet(), packet);
  }
  for (const flags of ['A', 'FA', 'PA']) assert.equal(add(new Slot(segment({ ...V4, flags })), CLIENT4), TOA_ADDED);
});

test('when the options are full, SACK blocks and padding make room', () => {
  const blocks = sackOption([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const slot = new Slot(segment({ ...V4, options: [...TIMESTAMP, ...blocks] }));
  assert.equal(slot.headers.end - slot.headers.transport, 60);
  assert.equal(add(slot, CLIENT4), TOA_ADDED);
  const { options } = readSegment(slot.packet());
  assert.deepEqual(readOptions(options), [option(CLIENT4), [8, 1, 2, 3, 4, 5, 6, 7, 8]]);
  assert.equal(options.length, 20);
});

test('timestamps are never left out, so that with other options it may not fit', () => {
  const other = [30, 18, ...new Array<number>(16).fill(9)];
  const packet = segment({ ...V6, options: [...TIMESTAMP, ...other], payload: Uint8Array.of(5) });
  const slot = new Slot(packet);
  assert.equal(add(slot, CLIENT6), TOA_OPTIONS_FULL);
  assert.deepEqual(slot.packet(), packet);
  assert.equal(add(slot, CLIENT4), TOA_ADDED);
});

test('a segment that would outgrow its MTU or slot goes without', () => {
  const packet = segment({ ...V4, payload: new Uint8Array(1460) });
  const slot = new Slot(packet);
  assert.equal(add(slot, CLIENT4, slot.headers.ip + 1507), TOA_NO_ROOM);
  assert.deepEqual(slot.packet(), packet);
  assert.equal(add(slot, CLIENT4, slot.headers.ip + 1508), TOA_ADDED);
  assert.equal(readSegment(slot.packet()).payload.length, 1460);
});

test('a signed segment is not touched', () => {
  for (const signature of [
    [19, 18, ...new Array<number>(16).fill(9)],
    [29, 16, 1, 1, ...new Array<number>(12).fill(9)],
  ]) {
    const packet = segment({ ...V4, options: [...signature, 254, 8, 0, 1, 1, 2, 3, 4] });
    const slot = new Slot(packet);
    assert.equal(add(slot, CLIENT4), TOA_SIGNED);
    assert.deepEqual(slot.packet(), packet);
  }
});

test('what a client says of itself is erased, whether the segment gets the option or not', () => {
  const forged = [254, 8, 0, 22, 9, 9, 9, 9];
  for (const fields of [{}, { ack: 5 }, { flags: 'S' }]) {
    const slot = new Slot(segment({ ...V4, ...fields, options: [...forged, ...TIMESTAMP, 1, 1, ...forged] }));
    const isAdded = add(slot, CLIENT4) === TOA_ADDED;
    assert.equal(isAdded, Object.keys(fields).length === 0);
    const found = readOptions(readSegment(slot.packet()).options).filter(([kind]) => kind === 254);
    assert.deepEqual(found, isAdded ? [option(CLIENT4)] : []);
  }
  const full = new Slot(segment({ ...V4, options: forged, payload: new Uint8Array(1452) }));
  assert.equal(add(full, CLIENT4, full.headers.end), TOA_NO_ROOM);
  assert.deepEqual(readOptions(readSegment(full.packet()).options), []);
});

test('a header that lies stays as it is', () => {
  const slot = new Slot(segment(V4));
  slot.bytes[slot.headers.transport + 12] = 0xf0;
  const before = slot.packet();
  assert.equal(add(slot, CLIENT4), TOA_NOT_NOW);
  assert.deepEqual(slot.packet(), before);
});

const anyOptions = fc.oneof(
  fc.shuffledSubarray([TIMESTAMP, [1], [1], [3, 3, 7], [30, 6, 1, 2, 3, 4], sackOption([[7, 9]])]).map((p) => p.flat()),
  fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
);

test('whatever the options are: valid, with the address once, the data whole, or unchanged', () => {
  const fields = fc.constantFrom<[SegmentFields, string]>([V4, CLIENT4], [V6, CLIENT6]);
  let added = 0;
  fc.assert(
    fc.property(fields, anyOptions, fc.uint8Array({ maxLength: 50 }), ([base, client], options, payload) => {
      const packet = segment({ ...base, options: options.slice(0, 40), payload });
      const slot = new Slot(packet);
      const result = add(slot, client);
      assert.equal(checksumFault(slot.packet()), undefined);
      const read = readSegment(slot.packet());
      assert.deepEqual(read.payload, payload);
      if (result !== TOA_ADDED) {
        assert.ok(result === TOA_OPTIONS_FULL || result === TOA_SIGNED);
        return;
      }
      added++;
      const expected = option(client);
      assert.deepEqual(
        [...read.options.subarray(0, expected.length + 1)],
        [254, expected.length + 1, ...expected.slice(1)],
      );
      assert.ok(read.options.length <= 40);
    }),
    { numRuns: 2000 },
  );
  assert.ok(added > 500);
});

test('damage is not healed', () => {
  const slot = new Slot(segment({ ...V4, options: TIMESTAMP, payload: Uint8Array.of(1, 2, 3) }));
  slot.bytes[slot.headers.end - 1] ^= 1;
  assert.equal(add(slot, CLIENT4), TOA_ADDED);
  assert.notEqual(checksumFault(slot.packet()), undefined);
});
