// SPDX-License-Identifier: Apache-2.0
// A constant shift of a client's sequence numbers: there and back, for every kind of segment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumFault } from '../../../test/support/frames.ts';
import { readSack, readSegment, Slot, sackOption, segment } from '../../../test/support/segments.ts';
import { shiftReply, shiftRequest } from './sequence-shift.ts';

const V4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const V6 = { ...V4, src: '2001:db8::c', dst: '2001:db8::1' };

const number = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
);
const fields = fc.constantFrom(V4, V6);
const flags = fc.constantFrom('S', 'SA', 'A', 'PA', 'FA', 'R', 'RA');
const blocks = fc.array(fc.tuple(number, number), { maxLength: 4 });

test('a request gets another sequence number, and nothing else', () => {
  fc.assert(
    fc.property(fields, flags, number, number, number, blocks, (base, letters, seq, ack, delta, sack) => {
      const options = sack.length === 0 ? [] : sackOption(sack);
      const all = { ...base, flags: letters, ack, options, payload: Uint8Array.of(1, 2, 3) };
      const slot = new Slot(segment({ ...all, seq }));
      shiftRequest(slot.view, slot.headers, delta | 0);
      assert.deepEqual(readSegment(slot.packet()), readSegment(segment({ ...all, seq: seq + delta })));
    }),
    { numRuns: 1000 },
  );
});

test('a reply acknowledges, also in SACK blocks at any place, what the client has sent', () => {
  const lead = fc.integer({ min: 0, max: 3 });
  fc.assert(
    fc.property(fields, flags, number, number, blocks, lead, (base, letters, ack, delta, sack, nops) => {
      fc.pre(sack.length < 4 || nops < 3);
      const option = (by: number): number[] => [
        ...new Array<number>(nops).fill(1),
        ...(sack.length === 0 ? [] : sackOption(sack.map(([from, to]) => [from + by, to + by])).slice(2)),
      ];
      const isAck = letters.includes('A');
      const slot = new Slot(segment({ ...base, flags: letters, seq: 7, ack, options: option(0) }));
      shiftReply(slot.view, slot.headers, delta | 0);
      const expected = isAck ? { ack: ack - delta, options: option(-delta) } : { ack, options: option(0) };
      const result = readSegment(slot.packet());
      assert.deepEqual(result, readSegment(segment({ ...base, flags: letters, seq: 7, ...expected })));
      if (isAck) assert.equal(readSack(result.options).length, sack.length);
    }),
    { numRuns: 1000 },
  );
});

test('a header that lies has no SACK blocks, and damage is not healed', () => {
  const slot = new Slot(segment({ ...V4, flags: 'A', ack: 100, options: sackOption([[200, 300]]) }));
  slot.bytes[slot.headers.transport + 12] = 0xf0;
  shiftReply(slot.view, slot.headers, 50);
  assert.equal(slot.view.getUint32(slot.headers.transport + 8), 50);
  assert.equal(slot.view.getUint32(slot.headers.transport + 24), 200);
  assert.notEqual(checksumFault(slot.packet()), undefined);
});
