// SPDX-License-Identifier: Apache-2.0
// Reassembly: whole datagrams out of fragments in any order, and the kernel's answers to fragments that do not fit.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CutOptions, cut, fragment, Slot, withChecksum } from '../../../test/support/fragments.ts';
import { checksumFault, fromHex, hex, tcp, udp } from '../../../test/support/frames.ts';
import { Random } from '../../../test/support/random.ts';
import { makeIcmpError, makeIcmpv6Error } from '../../packet/icmp.ts';
import { Headers, PARSE_FRAGMENT, PARSE_OK, parseFrame } from '../../packet/parse.ts';
import { MAX_FRAGMENTS } from './datagram.ts';
import { EXPIRED, EXPIRED_WITH_FIRST, NONE_EXPIRED, Reassembly, type ReassemblyOptions } from './reassembly.ts';
import { COMPLETE, HELD, REASSEMBLY_NAMES } from './reassembly-answers.ts';

const SEED = { k0: 0x1234567, k1: 0x7654321 };
/** Memory for short tests. */
const SMALL = { bytes4: 1 << 17, bytes6: 1 << 17 };
const V4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 53 };
const V6 = { src: '2001:db8::c', dst: '2001:db8::1', sport: 4000, dport: 53 };

/** A reassembly with the words for its answers. */
class Site {
  readonly reassembly: Reassembly;
  readonly slot = new Slot();

  constructor(options: Partial<ReassemblyOptions> = {}) {
    this.reassembly = new Reassembly({ seed: SEED, ...options });
  }

  add(packet: Uint8Array, now = 0): string {
    assert.equal(this.slot.put(packet), PARSE_FRAGMENT);
    return REASSEMBLY_NAMES[this.reassembly.add(this.slot, this.slot.headers, now)];
  }

  addAll(packets: readonly Uint8Array[]): string[] {
    return packets.map((packet) => this.add(packet));
  }

  /** The IP packet that `datagram` names. */
  get packet(): Uint8Array {
    const { memory, frame, length } = this.reassembly.datagram;
    return memory.bytes.slice(frame + 14, frame + length);
  }

  /** What parseFrame says of the datagram. */
  get parsed(): number {
    const { memory, frame, length } = this.reassembly.datagram;
    return parseFrame(memory.view, frame, length, new Headers());
  }
}

function bytesOf(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8) * 7 + seed) & 255);
}

/** The packet without DF, as what may come in fragments. */
function fragmentable(packet: Uint8Array): Uint8Array {
  if (packet[0] >>> 4 === 6) return packet;
  const copy = packet.slice();
  copy[6] &= ~0x40;
  copy.set(withChecksum(copy.subarray(0, (copy[0] & 15) * 4)));
  return copy;
}

/** A UDP datagram with so many fragmentable bytes. */
function datagramOf(family: number, bytes: number, id = 7): Uint8Array {
  return fragmentable(udp({ ...(family === 4 ? V4 : V6), id, payload: bytesOf(bytes - 8, id) }));
}

/** Captured from a kernel's IPVS: a UDP datagram in two fragments, of which the first came first. */
const GOLDEN = [
  '4500002c00072000401146b20a0700010a00000117710c1c0030aedf41414141414141414141414141414141',
  '4500002c00070003401166af0a0700010a000001414141414141414141414141414141414141414141414141',
].map(fromHex);

for (const order of [
  [0, 1],
  [1, 0],
]) {
  test(`the fragments that a kernel was sent become one datagram, in the order ${order}`, () => {
    const site = new Site();
    assert.deepEqual(site.addAll(order.map((i) => GOLDEN[i])), ['held', 'complete']);
    const transport = `17710c1c0030aedf${'41'.repeat(40)}`;
    assert.equal(hex(site.packet.subarray(20)), transport);
    assert.equal(hex(site.packet.subarray(0, 10)), '45000044000700004011');
    assert.equal(checksumFault(site.packet), undefined);
    assert.equal(site.parsed, PARSE_OK);
    assert.equal(site.reassembly.datagram.largestFragment, 44);
    assert.equal(site.reassembly.waiting, 0);
    assert.equal(site.reassembly.bytesInUse(4), 0);
  });
}

const cuts = fc
  .tuple(fc.integer({ min: 16, max: 9000 }), fc.array(fc.integer({ min: 1, max: 1124 }), { maxLength: 30 }))
  .map(([bytes, ends]) => {
    const inside = [...new Set(ends.map((end) => end * 8))].filter((end) => end < bytes).sort((a, b) => a - b);
    return { bytes, ends: [...splitLong(inside), bytes] };
  })
  .map(({ bytes, ends }) => ({ bytes, ends: splitLong(ends) }));

/** More ends, so that no fragment is larger than a frame. */
function splitLong(ends: readonly number[]): number[] {
  let before = 0;
  return ends.flatMap((end) => {
    const all: number[] = [];
    for (let at = before + 1440; at < end; at += 1440) all.push(at);
    before = end;
    return [...all, end];
  });
}

for (const family of [4, 6]) {
  test(`random cuts of IPv${family}, shuffled and with duplicates, become the datagram that was cut`, () => {
    fc.assert(
      fc.property(cuts, fc.integer(), ({ bytes, ends }, seed) => {
        fc.pre(ends.length > 1);
        const random = new Random(seed);
        const site = new Site();
        const whole = datagramOf(family, bytes);
        const fragments = cut(whole, ends);
        // Not of the last to come: with it the datagram is gone, and a duplicate would begin another.
        const last = fragments.splice(random.below(fragments.length), 1)[0];
        const others = fragments.flatMap((one) => (random.chance(0.3) ? [one, one] : [one]));
        for (let i = others.length - 1; i > 0; i--) {
          const j = random.below(i + 1);
          [others[i], others[j]] = [others[j], others[i]];
        }
        for (const answer of site.addAll(others)) assert.match(answer, /^(held|drop-duplicate)$/);
        assert.equal(site.add(last), 'complete');
        assert.equal(hex(site.packet), hex(whole));
        assert.deepEqual([...site.reassembly.datagram.cuts.subarray(0, ends.length)], ends);
        assert.equal(site.reassembly.datagram.cutCount, ends.length);
        assert.equal(site.reassembly.bytesInUse(family), 0);
      }),
    );
  });

  test(`many datagrams of IPv${family} whose fragments come mixed do not touch each other`, () => {
    fc.assert(
      fc.property(fc.array(cuts, { minLength: 2, maxLength: 12 }), fc.integer(), (all, seed) => {
        const random = new Random(seed);
        const site = new Site();
        const wholes = all.map(({ bytes }, i) => datagramOf(family, bytes, i + 1));
        const pending = all.map(({ ends }, i) => cut(wholes[i], ends, { id: i + 1 }));
        const done = new Set<string>();
        for (let left = pending.flat().length; left > 0; left--) {
          const queue = random.pick(pending.filter((fragments) => fragments.length > 0));
          const one = queue.splice(random.below(queue.length), 1)[0];
          if (site.slot.put(one) !== PARSE_FRAGMENT) continue;
          if (site.add(one) === 'complete') done.add(hex(site.packet));
        }
        assert.deepEqual(done, new Set(wholes.filter((_, i) => all[i].ends.length > 1).map(hex)));
        assert.equal(site.reassembly.waiting, 0);
      }),
      { numRuns: 50 },
    );
  });

  test(`the longest datagram of IPv${family} is put together, and one byte more is dropped`, () => {
    const most = family === 4 ? 65535 - 20 : 65535;
    const site = new Site();
    const fragments = cut(datagramOf(family, most - 1), splitLong([most - 1]));
    fragments.pop();
    const begin = Math.floor((most - 1) / 1440) * 1440;
    site.addAll(fragments);
    const packet = datagramOf(family, most);
    assert.equal(site.add(fragment(packet, begin, most, false)), 'complete');
    assert.equal(site.packet.length, family === 4 ? 65535 : 65575);
    assert.equal(site.parsed, PARSE_OK);

    const longer = Uint8Array.from([...packet.slice(0, begin + (family === 4 ? 20 : 40)), ...bytesOf(1440)]);
    assert.equal(site.add(fragment(longer, begin, most + 1, false)), 'drop-too-long');
    assert.equal(site.reassembly.waiting, 0);
  });
}

// ---- what overlaps ----

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly more: boolean;
}

/**
 * The kernel's rules (inet_frag_queue_insert and what calls it) on plain intervals: what it says of each piece, in turn.
 * A datagram that was discarded or completed is forgotten, and the next piece begins another.
 */
function model(pieces: readonly Piece[], family: number): string[] {
  interface State {
    runs: [number, number][];
    length: number;
    hasLast: boolean;
  }
  let state: State | undefined;
  return pieces.map(({ start, end, more }) => {
    const { runs, length, hasLast } = state ?? { runs: [], length: 0, hasLast: false };
    const badEnd = more ? hasLast && end > length : end < length || (hasLast && end !== length);
    if (badEnd) {
      if (family === 4) state = undefined;
      return 'drop-bad-end';
    }
    const highest = runs.at(-1);
    const hit = runs.filter(([from, to]) => start < to && end > from);
    if (hit.length > 0) {
      const isInside = hit.length === 1 && start >= hit[0][0] && end <= hit[0][1];
      state = isInside ? { runs, length, hasLast: hasLast || !more } : undefined;
      return isInside ? 'drop-duplicate' : 'drop-overlap';
    }
    if (highest !== undefined && start === highest[1]) highest[1] = end;
    else runs.push([start, end]);
    runs.sort((a, b) => a[0] - b[0]);
    state = { runs, length: Math.max(length, end), hasLast: hasLast || !more };
    const meat = runs.reduce((sum, [from, to]) => sum + to - from, 0);
    if (!state.hasLast || meat !== state.length) return 'held';
    state = undefined;
    return 'complete';
  });
}

/** Pieces of any kind, and as often regular ones, which come together now and then. */
const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc
    .tuple(fc.nat(9), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 7 }), fc.boolean())
    .filter(([block, , , more]) => block > 0 || more)
    .map(([block, blocks, less, more]) => ({
      start: block * 8,
      end: (block + blocks) * 8 - (more ? 0 : less),
      more,
    })),
  fc.nat(2).map((third) => ({ start: third * 16, end: third * 16 + 16, more: third < 2 })),
);

for (const family of [4, 6]) {
  test(`pieces of IPv${family} that overlap, repeat and contradict each other get the kernel's answers`, () => {
    const answers = new Map<string, number>();
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const site = new Site(SMALL);
        const whole = datagramOf(family, 200);
        const said = pieces.map(({ start, end, more }) => site.add(fragment(whole, start, end, more)));
        assert.deepEqual(said, model(pieces, family));
        for (const answer of said) answers.set(answer, (answers.get(answer) ?? 0) + 1);
      }),
      { numRuns: 2000 },
    );
    for (const kind of ['held', 'complete', 'drop-duplicate', 'drop-overlap', 'drop-bad-end']) {
      assert.ok((answers.get(kind) ?? 0) > 50, `${kind} came up ${answers.get(kind)} times`);
    }
  });

  test(`an overlap discards the whole datagram of IPv${family}, and nothing of it is left`, () => {
    const site = new Site();
    const whole = datagramOf(family, 64);
    const at = (start: number, end: number) => fragment(whole, start, end, end < 64);
    assert.deepEqual(site.addAll([at(0, 24), at(40, 64), at(16, 40)]), ['held', 'held', 'drop-overlap']);
    assert.equal(site.reassembly.waiting, 0);
    assert.equal(site.reassembly.bytesInUse(family), 0);
    assert.deepEqual(site.addAll([at(24, 40)]), ['held']);
  });

  test(`what a duplicate of IPv${family} holds is not looked at: the first to come stays`, () => {
    const site = new Site();
    const whole = datagramOf(family, 64);
    const other = whole.slice();
    other.fill(0xee, whole.length - 64 + 16, whole.length - 64 + 24);
    const answers = site.addAll([
      fragment(whole, 0, 24, true),
      fragment(other, 16, 24, true),
      fragment(whole, 24, 64, false),
    ]);
    assert.deepEqual(answers, ['held', 'drop-duplicate', 'complete']);
    assert.equal(hex(site.packet), hex(whole));
  });
}

// ---- what is wrong with one fragment ----

test('an end that is no multiple of 8 is cut off for IPv4 and discards the datagram for IPv6, as in Linux', () => {
  const four = new Site();
  const whole = datagramOf(4, 64);
  assert.deepEqual(four.addAll([fragment(whole, 0, 29, true), fragment(whole, 24, 64, false)]), ['held', 'complete']);
  assert.equal(hex(four.packet), hex(whole));
  const six = new Site();
  const whole6 = datagramOf(6, 64);
  assert.deepEqual(six.addAll([fragment(whole6, 0, 24, true), fragment(whole6, 24, 45, true)]), [
    'held',
    'drop-bad-length',
  ]);
  assert.equal(six.reassembly.waiting, 0);
});

test('a fragment without bytes discards the datagram for IPv4 and is ignored for IPv6', () => {
  for (const [family, waiting] of [
    [4, 0],
    [6, 1],
  ]) {
    const site = new Site();
    const whole = datagramOf(family, 64);
    assert.deepEqual(site.addAll([fragment(whole, 0, 24, true), fragment(whole, 24, 24, true)]), [
      'held',
      'drop-empty',
    ]);
    assert.equal(site.reassembly.waiting, waiting, `IPv${family}`);
  }
  const alone = new Site();
  assert.equal(alone.add(fragment(datagramOf(4, 64), 8, 15, true)), 'drop-empty');
  assert.equal(alone.reassembly.waiting, 0);
});

test('a first fragment of IPv6 has to hold all headers up to the upper layer', () => {
  const site = new Site();
  const whole = tcp({ ...V6, flags: 'A', payload: bytesOf(40) });
  assert.equal(site.add(fragment(whole, 0, 16, true)), 'drop-incomplete-headers');
  assert.equal(site.add(fragment(whole, 0, 24, true)), 'held');
  // The same with destination options in front of TCP, which belong to the fragmentable part.
  const options = Uint8Array.from([...whole.slice(0, 40), 6, 0, 1, 4, 0, 0, 0, 0, ...whole.slice(40)]);
  options[6] = 60;
  assert.equal(site.add(fragment(options, 0, 24, true, { id: 2 })), 'drop-incomplete-headers');
  assert.equal(site.add(fragment(options, 0, 32, true, { id: 2 })), 'held');
  const cutShort = fragment(options, 0, 8, true, { id: 3 });
  assert.equal(site.add(cutShort), 'drop-incomplete-headers');
});

test('ECN fields of fragments become one by RFC 3168 §5.3, or the datagram is dropped', () => {
  // Every pair of fields: not ECT, ECT(1), ECT(0), CE; what comes of them with the first one's in front.
  const expected = [
    [0, -1, -1, -1],
    [-1, 1, 1, 3],
    [-1, 2, 2, 3],
    [-1, 3, 3, 3],
  ];
  for (const family of [4, 6]) {
    for (let first = 0; first < 4; first++) {
      for (let second = 0; second < 4; second++) {
        const site = new Site();
        const options = { ecn: (i: number) => [first, second][i] };
        const [, answer] = site.addAll(cut(datagramOf(family, 64), [32, 64], options));
        const want = expected[first][second];
        assert.equal(answer, want === -1 ? 'drop-bad-ecn' : 'complete', `IPv${family} ${first} ${second}`);
        assert.equal(site.reassembly.waiting, 0);
        if (want === -1) continue;
        const field = family === 4 ? site.packet[1] & 3 : (site.packet[1] >>> 4) & 3;
        assert.equal(field, want, `IPv${family} ${first} ${second}`);
        assert.equal(checksumFault(site.packet), undefined);
      }
    }
  }
});

test('a datagram has DF when its largest fragment had', () => {
  for (const [flags, want] of [
    [[false, false], false],
    [[true, true], true],
    [[true, false], true],
    [[false, true], false],
  ] as const) {
    const site = new Site();
    site.addAll(cut(datagramOf(4, 64), [40, 64], { dontFragment: (i) => flags[i] }));
    assert.equal((site.packet[6] & 0x40) !== 0, want, `${flags}`);
    assert.equal(site.reassembly.datagram.largestFragment, 60);
    assert.equal(checksumFault(site.packet), undefined);
  }
});

// ---- headers ----

test('TTL, TOS and options are those of the first fragment', () => {
  const whole = datagramOf(4, 64);
  const options = fromHex('8307040a0000010794040000000000'.padEnd(32, '0'));
  const long = Uint8Array.from([0x45 + 4, ...whole.slice(1, 20), ...options, ...whole.slice(20)]);
  const [first, second] = cut(long, [32, 64]);
  const bare = cut(whole, [32, 64])[1];
  for (const last of [second, bare]) {
    const altered = last.slice();
    altered[8] = 3;
    const head = (altered[0] & 15) * 4;
    altered.set(withChecksum(altered.subarray(0, head)));
    const site = new Site();
    assert.deepEqual(site.addAll([altered, first]), ['held', 'complete']);
    assert.equal(hex(site.packet.subarray(20, 36)), hex(options));
    assert.equal(site.packet[8], 64);
    assert.equal(site.packet.length, 36 + 64);
    assert.equal(hex(site.packet.subarray(36)), hex(whole.subarray(20)));
  }
});

test('headers in front of the fragment header stay, and the one before it names what follows', () => {
  const whole = datagramOf(6, 100);
  const hopByHop = [43, 0, 1, 4, 0, 0, 0, 0];
  const routing = [17, 2, 0, 0, 0, 0, 0, 0, ...bytesOf(16)];
  const packet = Uint8Array.from([...whole.slice(0, 40), ...hopByHop, ...routing, ...whole.slice(40)]);
  packet[6] = 0;
  packet.set([0, packet.length - 40], 4);
  const options: CutOptions = { unfragmentable: 72, nextField: 48, id: -2 };
  for (const [a, b] of [
    [0, 1],
    [1, 0],
  ]) {
    const fragments = cut(packet, [48, 100], options);
    const site = new Site();
    assert.deepEqual(site.addAll([fragments[a], fragments[b]]), ['held', 'complete']);
    assert.equal(hex(site.packet), hex(packet));
    assert.equal(site.parsed, PARSE_OK);
    assert.equal(site.reassembly.datagram.identification, -2);
    assert.equal(site.reassembly.datagram.largestFragment, 72 + 8 + 52);
  }
});

test('an atomic fragment in front of the fragment header is walked over', () => {
  const whole = datagramOf(6, 64);
  const packet = Uint8Array.from([...whole.slice(0, 40), 17, 0, 0, 0, 1, 2, 3, 4, ...whole.slice(40)]);
  packet[6] = 44;
  packet[5] += 8;
  const site = new Site();
  site.addAll(cut(packet, [32, 64], { unfragmentable: 48, nextField: 40 }));
  assert.equal(hex(site.packet), hex(packet));
});

test('IPv4 tells datagrams apart by protocol, IPv6 does not by next header', () => {
  const four = new Site();
  const [first, second] = cut(datagramOf(4, 64), [32, 64]);
  const other = second.slice();
  other[9] = 6;
  other.set(withChecksum(other.subarray(0, 20)));
  assert.deepEqual(four.addAll([first, other]), ['held', 'held']);
  assert.equal(four.reassembly.waiting, 2);
  const six = new Site();
  const [first6, second6] = cut(datagramOf(6, 64), [32, 64]);
  second6[40] = 6;
  assert.deepEqual(six.addAll([second6, first6]), ['held', 'complete']);
  assert.equal(hex(six.packet), hex(datagramOf(6, 64)));
});

// ---- bounds and time ----

for (const family of [4, 6]) {
  test(`fragments of IPv${family} over its threshold are refused, and the other family's are not`, () => {
    const other = family === 4 ? 6 : 4;
    const site = new Site({ bytes4: 10 * 2048, bytes6: 10 * 2048 });
    const first = (of: number, id: number) => cut(datagramOf(of, 64, id), [32, 64], { id });
    for (let id = 1; id <= 10; id++) assert.equal(site.add(first(family, id)[0]), 'held');
    assert.equal(site.reassembly.bytesInUse(family), 10 * 2048);
    assert.equal(site.add(first(family, 11)[0]), 'drop-no-memory');
    // Also the one that would have completed: Linux looks at the threshold first.
    assert.equal(site.add(first(family, 10)[1]), 'drop-no-memory');
    assert.deepEqual(site.addAll(first(other, 1)), ['held', 'complete']);
    const life = family === 4 ? 3000 : 6000;
    while (site.reassembly.expire(life) !== NONE_EXPIRED);
    assert.deepEqual(site.addAll(first(family, 12)), ['held', 'complete']);
  });

  for (const start of [0, 2 ** 31 - 100, 2 ** 32 - 100]) {
    test(`a datagram of IPv${family} lives its time from its first fragment on, from tick ${start}`, () => {
      const site = new Site();
      const life = family === 4 ? 3000 : 6000;
      const [first, second, third] = cut(datagramOf(family, 96), [32, 64, 96]);
      assert.equal(site.add(second, start | 0), 'held');
      assert.equal(site.add(first, (start + life - 1) | 0), 'held');
      assert.equal(site.reassembly.expire((start + life - 1) | 0), NONE_EXPIRED);
      assert.equal(site.reassembly.expire((start + life) | 0), EXPIRED_WITH_FIRST);
      assert.equal(hex(site.packet), hex(first));
      assert.equal(site.reassembly.expire((start + life) | 0), NONE_EXPIRED);
      assert.equal(site.add(third, (start + life) | 0), 'held');
      assert.equal(site.reassembly.expire((start + 3 * life) | 0), EXPIRED);
      assert.equal(site.reassembly.waiting, 0);
      assert.equal(site.reassembly.bytesInUse(family), 0);
      assert.equal(site.reassembly.counters[REASSEMBLY_NAMES.indexOf('drop-expired')], 2);
    });
  }
}

test('of the longest first fragment an ICMP time exceeded can be made where it is, and what is held stays whole', () => {
  for (const [family, makeError] of [
    [
      4,
      (view: DataView, bytes: Uint8Array, at: number, length: number) =>
        makeIcmpError(view, bytes, at, length, 11, 1, 0, 9),
    ],
    [
      6,
      (view: DataView, bytes: Uint8Array, at: number, length: number) =>
        makeIcmpv6Error(view, bytes, at, length, 3, 1, 0),
    ],
  ] as const) {
    const site = new Site(SMALL);
    const [first] = cut(datagramOf(family, 1900), [1880, 1900]);
    const other = cut(datagramOf(family, 1900, 8), [1440, 1900], { id: 8 });
    site.add(first, 0);
    site.add(other[0], 1000);
    assert.equal(site.reassembly.expire(6000 - (family === 4 ? 3000 : 0)), EXPIRED_WITH_FIRST);
    const { memory, frame, length } = site.reassembly.datagram;
    const error = makeError(memory.view, memory.bytes, frame + 14, length - 14);
    const packet = memory.bytes.slice(frame + 14, frame + 14 + error);
    assert.equal(checksumFault(packet), undefined);
    const quote = packet.subarray(family === 4 ? 28 : 48);
    assert.equal(hex(quote), hex(first.subarray(0, quote.length)));
    assert.equal(site.add(other[1], 6000), 'complete');
    assert.equal(hex(site.packet), hex(datagramOf(family, 1900, 8)));
  }
});

test('a datagram has no more fragments than that many, which bounds the search', () => {
  const site = new Site();
  const whole = datagramOf(4, 8 * (MAX_FRAGMENTS + 2));
  for (let i = MAX_FRAGMENTS; i > 0; i--) assert.equal(site.add(fragment(whole, i * 8, i * 8 + 8, true)), 'held');
  assert.equal(site.add(fragment(whole, 0, 8, true)), 'drop-too-many');
  assert.equal(site.reassembly.waiting, 0);
});

test('a fragment that is larger than a block is dropped', () => {
  const site = new Site();
  assert.equal(site.add(fragment(datagramOf(4, 3000), 0, 2040, true)), 'drop-too-long');
  assert.equal(site.add(fragment(datagramOf(4, 3000), 0, 2024, true)), 'held');
});

test('random fragments and frames that were spoilt never throw, stay in their memory and are all forgotten in time', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const limit = 40 * 2048;
      const site = new Site({ bytes4: limit, bytes6: limit });
      let sum = 0;
      for (let now = 0; now < 400; now++) {
        const family = random.pick([4, 6]);
        const whole = datagramOf(family, 64 + random.below(1400), random.below(12));
        const start = random.below(20) * 8;
        const packet = fragment(whole, start, start + random.below(200), random.chance(0.8), { id: random.below(12) });
        if (random.chance(0.2)) packet[random.below(packet.length)] = random.below(256);
        if (packet[0] >>> 4 === 4 && random.chance(0.9)) packet.set(withChecksum(packet.subarray(0, 20)));
        if (site.slot.put(packet) !== PARSE_FRAGMENT) continue;
        const answer = site.reassembly.add(site.slot, site.slot.headers, now * 100);
        sum++;
        if (answer === COMPLETE) assert.notEqual(site.packet.length, 0);
        else assert.ok(answer >= HELD && answer < REASSEMBLY_NAMES.length);
        assert.ok(site.reassembly.bytesInUse(4) <= limit && site.reassembly.bytesInUse(6) <= limit);
        if (random.chance(0.1)) while (site.reassembly.expire(now * 100) !== NONE_EXPIRED);
      }
      const counted = site.reassembly.counters.slice(0, -1).reduce((a, b) => a + b);
      assert.equal(counted, sum);
      while (site.reassembly.expire(1_000_000) !== NONE_EXPIRED);
      assert.equal(site.reassembly.waiting, 0);
      assert.equal(site.reassembly.bytesInUse(4) + site.reassembly.bytesInUse(6), 0);
    }),
    { numRuns: 60 },
  );
});
