// SPDX-License-Identifier: Apache-2.0
// Packets made longer and shorter in place: they are what one would have built with the other bytes, or unchanged.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumFault, udp } from '../../test/support/frames.ts';
import { Slot, segment } from '../../test/support/segments.ts';
import { splice } from './splice.ts';

const V4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 21, flags: 'PA' };
const V6 = { ...V4, src: '2001:db8::c', dst: '2001:db8::1' };

const cut = fc.record({
  fields: fc.constantFrom(V4, V6),
  before: fc.uint8Array({ maxLength: 60 }),
  old: fc.uint8Array({ maxLength: 60 }),
  new: fc.uint8Array({ maxLength: 60 }),
  after: fc.uint8Array({ maxLength: 60 }),
  damage: fc.constantFrom(0, 0, 1, 0x100, 0xabc),
});

for (const protocol of ['tcp', 'udp'] as const) {
  const headerLength = protocol === 'tcp' ? 20 : 8;
  const checksumAt = protocol === 'tcp' ? 16 : 6;
  test(`a ${protocol} packet with other bytes of another length is the one that has them from the start`, () => {
    fc.assert(
      fc.property(cut, (c) => {
        const build = (middle: Uint8Array): Uint8Array => {
          const payload = Uint8Array.from([...c.before, ...middle, ...c.after]);
          return protocol === 'tcp' ? segment({ ...c.fields, payload }) : udp({ ...c.fields, payload });
        };
        const slot = new Slot(build(c.old));
        const field = slot.headers.transport + checksumAt;
        const sum = slot.view.getUint16(field);
        slot.view.setUint16(field, (sum + c.damage) & 0xffff);
        fc.pre(slot.view.getUint16(field) !== 0);
        const at = slot.headers.transport + headerLength + c.before.length;
        const grown = splice(slot.view, slot.bytes, slot.headers, at, c.old.length, c.new, c.new.length, slot.limit);
        assert.ok(grown);
        const result = slot.packet();
        if (c.damage === 0) assert.equal(checksumFault(result), undefined);
        else assert.notEqual(checksumFault(result), undefined, 'damage is not healed');
        const expected = build(c.new);
        // All but the checksum, of which 0 and 0xffff are the same number.
        const where = slot.headers.transport - slot.headers.ip + checksumAt;
        expected.set(result.subarray(where, where + 2), where);
        assert.deepEqual(result, expected);
      }),
      { numRuns: 2000 },
    );
  });
}

test('a packet may grow up to the limit and not by a byte more', () => {
  const payload = new Uint8Array(100).fill(7);
  for (const fields of [V4, V6]) {
    const slot = new Slot(segment({ ...fields, payload }));
    const before = slot.packet();
    const [at, end] = [slot.headers.end - 10, slot.headers.end];
    const more = new Uint8Array(8).fill(9);
    assert.equal(splice(slot.view, slot.bytes, slot.headers, at, 0, more, 8, end + 7), false);
    assert.deepEqual(slot.packet(), before);
    assert.equal(splice(slot.view, slot.bytes, slot.headers, at, 0, more, 8, end + 8), true);
    assert.equal(slot.headers.end, end + 8);
    assert.equal(checksumFault(slot.packet()), undefined);
  }
});

test('a packet already longer than the limit may shrink', () => {
  const slot = new Slot(segment({ ...V4, payload: new Uint8Array(100) }));
  const at = slot.headers.end - 20;
  assert.equal(splice(slot.view, slot.bytes, slot.headers, at, 10, new Uint8Array(0), 0, at), true);
  assert.equal(checksumFault(slot.packet()), undefined);
});

test('a datagram without a checksum stays without', () => {
  const slot = new Slot(udp({ ...V4, payload: Uint8Array.of(1, 2, 3), checksum: false }));
  const at = slot.headers.transport + 8;
  assert.ok(splice(slot.view, slot.bytes, slot.headers, at, 0, Uint8Array.of(9), 1, slot.limit));
  assert.deepEqual(slot.packet(), udp({ ...V4, payload: Uint8Array.of(9, 1, 2, 3), checksum: false }));
});

test('no checksum of UDP becomes the 0 that means none', () => {
  // One of 65536 payloads makes the sum come out so.
  for (let value = 0; value < 0x10000; value++) {
    const payload = Uint8Array.of(value >>> 8, value & 255);
    const whole = udp({ ...V4, payload });
    if (whole[26] !== 0xff || whole[27] !== 0xff) continue;
    const slot = new Slot(udp({ ...V4, payload: new Uint8Array(0) }));
    assert.ok(splice(slot.view, slot.bytes, slot.headers, slot.headers.end, 0, payload, 2, slot.limit));
    assert.deepEqual(slot.packet(), whole);
    return;
  }
  assert.fail('no such payload');
});
