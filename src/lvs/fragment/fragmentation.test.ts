// SPDX-License-Identifier: Apache-2.0
// Fragmentation: what a kernel sends for what came in fragments, and valid fragments of every datagram for every MTU.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cut, join, Slot, withChecksum } from '../../../test/support/fragments.ts';
import { frame, fromHex, hex, udp } from '../../../test/support/frames.ts';
import { Headers, PARSE_FRAGMENT, PARSE_OK, parseFrame } from '../../packet/parse.ts';
import { passHop } from '../forward/hops.ts';
import { DESTINATION, rewriteIpv4 } from '../forward/nat.ts';
import { Datagram } from './datagram.ts';
import { Fragmentation, NO_ROOM, TOO_BIG } from './fragmentation.ts';
import { Reassembly } from './reassembly.ts';
import { COMPLETE } from './reassembly-answers.ts';

const SEED = { k0: 0x1234567, k1: 0x7654321 };
const GUARD = 0xa5;

/** A datagram on its own in memory, without a byte to spare behind it. */
function inMemory(packet: Uint8Array): Datagram {
  const bytes = Uint8Array.from([...new Uint8Array(37), ...frame(packet)]);
  const memory = { bytes, view: new DataView(bytes.buffer) };
  const datagram = new Datagram(memory);
  datagram.setWhole(memory, 37, packet.length + 14);
  return datagram;
}

/** Fragments as IP packets, or the reason why there are none. Nothing outside of a frame for the MTU is written. */
function fragments(datagram: Datagram, mtu: number): Uint8Array[] | number {
  const fragmentation = new Fragmentation();
  const count = fragmentation.begin(datagram, mtu);
  if (count < 0) return count;
  const slot = new Slot(Slot.FRAME + 14 + mtu + 64);
  const made: Uint8Array[] = [];
  for (;;) {
    slot.bytes.fill(GUARD);
    const length = fragmentation.next(slot, Slot.FRAME);
    if (length === 0) break;
    assert.ok(length <= mtu + 14, `${length - 14} bytes for an MTU of ${mtu}`);
    const { bytes } = slot;
    const type = bytes[Slot.FRAME + 14] >>> 4 === 6 ? '86dd' : '0800';
    assert.equal(hex(bytes.subarray(Slot.FRAME + 12, Slot.FRAME + 14)), type);
    assert.ok(bytes.subarray(0, Slot.FRAME + 12).every((byte) => byte === GUARD));
    assert.ok(bytes.subarray(Slot.FRAME + length).every((byte) => byte === GUARD));
    made.push(slot.packet(length));
  }
  assert.equal(made.length, count, 'as many as were announced');
  return made;
}

function fragmentsOf(datagram: Datagram, mtu: number): Uint8Array[] {
  const made = fragments(datagram, mtu);
  assert.ok(typeof made !== 'number', `${made}`);
  return made;
}

/** What reassembly makes of fragments. */
function reassembled(packets: readonly Uint8Array[]): Datagram {
  const reassembly = new Reassembly({ seed: SEED, bytes4: 1 << 18, bytes6: 1 << 18 });
  const slot = new Slot();
  let answer = -1;
  for (const packet of packets) {
    assert.equal(slot.put(packet), PARSE_FRAGMENT);
    answer = reassembly.add(slot, slot.headers, 0);
  }
  assert.equal(answer, COMPLETE);
  return reassembly.datagram;
}

function datagramOf(family: number, bytes: number, dontFragment = false): Uint8Array {
  const addresses = family === 4 ? { src: '10.7.0.1', dst: '10.0.0.1' } : { src: '2001:db8::c', dst: '2001:db8::1' };
  const payload = Uint8Array.from({ length: bytes - 8 }, (_, i) => i * 31 + (i >>> 8));
  const packet = udp({ ...addresses, sport: 4000, dport: 53, id: 0xbeef, payload });
  if (family === 4 && !dontFragment) {
    packet[6] = 0;
    packet.set(withChecksum(packet.subarray(0, 20)));
  }
  return packet;
}

test('fragments through NAT leave as the fragments that a kernel sends', () => {
  const datagram = reassembled(
    [
      '4500002c00072000401146b20a0700010a00000117710c1c0030aedf41414141414141414141414141414141',
      '4500002c00070003401166af0a0700010a000001414141414141414141414141414141414141414141414141',
    ].map(fromHex),
  );
  const { view } = datagram.memory;
  const headers = new Headers();
  assert.equal(parseFrame(view, datagram.frame, datagram.length, headers), PARSE_OK);
  passHop(view, headers);
  rewriteIpv4(view, headers, DESTINATION, 0xc0a80101 | 0, 3200);
  assert.deepEqual(fragmentsOf(datagram, 1500).map(hex), [
    '4500002c000720003f1190090a070001c0a8010117710c800030f6d241414141414141414141414141414141',
    '4500002c000700033f11b0060a070001c0a80101414141414141414141414141414141414141414141414141',
  ]);
});

for (const family of [4, 6]) {
  const least = family === 4 ? 68 : 96;

  test(`fragments of IPv${family} for any MTU are valid and make the datagram again`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 9000 }), fc.integer({ min: least, max: 1778 }), (bytes, mtu) => {
        const packet = datagramOf(family, bytes);
        const datagram = inMemory(packet);
        datagram.isOwn = true;
        datagram.identification = 0x89abcdef | 0;
        const made = fragmentsOf(datagram, mtu);
        if (packet.length <= mtu) {
          assert.deepEqual(made.map(hex), [hex(packet)]);
          return;
        }
        assert.equal(hex(join(made)), hex(packet));
        for (const one of made) {
          if (family === 4) assert.equal(hex(one.subarray(4, 6)), 'beef');
          else assert.equal(hex(one.subarray(44, 48)), '89abcdef');
        }
        // As few as fit: all but the last are as full as a multiple of 8 lets them.
        for (const one of made.slice(0, -1)) assert.ok(one.length > mtu - 8 && one.length <= mtu);
      }),
      { numRuns: 300 },
    );
  });

  test(`what came in fragments of IPv${family} leaves in the same ones, bit by bit, where the MTU allows`, () => {
    const ends = fc.uniqueArray(fc.integer({ min: 1, max: 1100 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(ends, fc.nat(7), (units, less) => {
        const sorted = units.map((unit) => unit * 8).sort((a, b) => a - b);
        const inside = sorted.filter((end, i) => end - (sorted[i - 1] ?? 0) <= 1440);
        fc.pre(inside.length === sorted.length);
        const cuts = [...inside, inside[inside.length - 1] + 80 - less];
        const came = cut(datagramOf(family, cuts[cuts.length - 1]), cuts, { id: 77 });
        const datagram = reassembled(came);
        const left = fragmentsOf(datagram, 1500);
        // The kernel, too, sends IPv6 whole that is no larger without its fragment header than one fragment was.
        if (left.length === 1) assert.ok(left[0].length <= Math.max(...came.map((one) => one.length)));
        else assert.deepEqual(left.map(hex), came.map(hex));
      }),
    );
  });

  test(`fragments of IPv${family} that do not fit are cut anew, none larger than the largest that came`, () => {
    const packet = datagramOf(family, 4000);
    const datagram = reassembled(cut(packet, [1400, 2000, 3400, 4000]));
    if (family === 6) {
      assert.equal(fragments(datagram, 1400), TOO_BIG);
      return;
    }
    const made = fragmentsOf(datagram, 1400);
    assert.equal(hex(join(made)), hex(packet));
    assert.deepEqual(
      made.map((one) => one.length),
      [1396, 1396, 1268],
    );
    // The director changed its length: the cuts mean nothing any more, the largest size does.
    datagram.cuts[datagram.cutCount - 1] -= 8;
    assert.deepEqual(
      fragmentsOf(datagram, 1500).map((one) => one.length),
      [1420, 1420, 1220],
    );
  });
}

test('IPv4 with DF may not be cut, unless it came in fragments with DF that fit: those keep it', () => {
  const whole = datagramOf(4, 3000, true);
  assert.equal(fragments(inMemory(whole), 1500), TOO_BIG);
  assert.deepEqual(fragmentsOf(inMemory(datagramOf(4, 1480, true)), 1500).length, 1);

  const came = cut(datagramOf(4, 3000), [1400, 2800, 3000], { dontFragment: () => true });
  const datagram = reassembled(came);
  assert.deepEqual(fragmentsOf(datagram, 1420).map(hex), came.map(hex));
  assert.equal(fragments(datagram, 1419), TOO_BIG);
});

test('IPv6 that others made is never cut smaller than it came', () => {
  assert.equal(fragments(inMemory(datagramOf(6, 1461)), 1500), TOO_BIG);
  assert.equal(fragmentsOf(inMemory(datagramOf(6, 1460)), 1500).length, 1);
});

test('an MTU without room for the headers and 8 bytes is refused', () => {
  const packet = datagramOf(4, 100);
  assert.equal(fragments(inMemory(packet), 27), NO_ROOM);
  assert.equal(fragmentsOf(inMemory(packet), 28).length, 13);
  const own = inMemory(datagramOf(6, 100));
  own.isOwn = true;
  assert.equal(fragments(own, 55), NO_ROOM);
  assert.equal(fragmentsOf(own, 56).length, 13);
});

test('options with the copied flag are in every fragment, the others give way to no-operations', () => {
  const plain = datagramOf(4, 64);
  const nothing = (bytes: number) => '01'.repeat(bytes);
  const [recordRoute, streamId, timestamp, looseRoute, end] = [
    '0707040a000001',
    '88041234',
    '4408050600000001',
    '8307040a000002',
    '00',
  ];
  const options = fromHex(`${recordRoute}${streamId}01${timestamp}${looseRoute}${end}`);
  const packet = Uint8Array.from([...plain.slice(0, 20), ...options, ...plain.slice(20)]);
  packet[0] = 0x45 + options.length / 4;
  packet.set([0, packet.length], 2);
  packet.set(withChecksum(packet.subarray(0, 20 + options.length)));
  const made = fragmentsOf(inMemory(packet), 20 + options.length + 32);
  assert.deepEqual(
    made.map((one) => hex(one.subarray(20, 20 + options.length))),
    [hex(options), `${nothing(7)}${streamId}01${nothing(8)}${looseRoute}${end}`],
  );
  assert.equal(hex(join(made)), hex(packet));
});

test('options that are broken or end are left alone', () => {
  for (const options of ['0007040a', '07010101', '07ff0101', '01010107', '07000101']) {
    const plain = datagramOf(4, 64);
    const packet = Uint8Array.from([...plain.slice(0, 20), ...fromHex(options), ...plain.slice(20)]);
    packet[0] = 0x46;
    packet.set([0, packet.length], 2);
    packet.set(withChecksum(packet.subarray(0, 24)));
    const made = fragmentsOf(inMemory(packet), 24 + 32);
    assert.deepEqual(
      made.map((one) => hex(one.subarray(20, 24))),
      [options, options],
    );
  }
});

test('a fragment can be cut again, and its pieces are fragments of the same datagram', () => {
  const packet = datagramOf(4, 4000);
  const came = cut(packet, [1400, 2800, 4000]);
  const made = came.flatMap((one) => fragmentsOf(inMemory(one), 500));
  assert.equal(made.length, 9);
  assert.equal(hex(join(made)), hex(packet));
});

test('headers for the way are in every fragment of IPv6, those for its end are cut', () => {
  const plain = datagramOf(6, 200);
  const hopByHop = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0];
  const forEnd = (next: number) => [next, 1, 1, 12, ...new Array<number>(12).fill(0)];
  const routing = (next: number) => [next, 2, 0, 0, 0, 0, 0, 0, ...new Array<number>(16).fill(9)];
  const build = (first: number, ...headers: number[][]) => {
    const packet = Uint8Array.from([...plain.slice(0, 40), ...headers.flat(), ...plain.slice(40)]);
    packet[6] = first;
    packet.set([0, packet.length - 40], 4);
    return packet;
  };
  const cases: [Uint8Array, number, number][] = [
    [build(0, hopByHop(17)), 48, 40],
    [build(0, hopByHop(60), forEnd(43), routing(17)), 88, 64],
    [build(43, routing(60), forEnd(17)), 64, 40],
    // Without a routing header Linux takes destination options for ones of the way.
    [build(60, forEnd(17)), 56, 40],
    [build(51, [17, 4, ...new Array<number>(22).fill(1)]), 40, 6],
  ];
  for (const [packet, unfragmentable, nextField] of cases) {
    const datagram = inMemory(packet);
    datagram.isOwn = true;
    const made = fragmentsOf(datagram, unfragmentable + 8 + 67);
    assert.equal(made[0].length, unfragmentable + 8 + 64);
    assert.equal(hex(join(made, unfragmentable, nextField)), hex(packet), `${unfragmentable}`);
  }
});
