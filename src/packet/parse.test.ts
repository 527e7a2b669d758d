// SPDX-License-Identifier: Apache-2.0
// Frames taken apart: whole ones, cut ones, lying ones, random ones. Every frame ends where its memory ends, so that a
// read behind it throws.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frame, internetChecksum, ip, tcp, udp } from '../../test/support/frames.ts';
import { extension, withExtensions, withOptions } from '../../test/support/headers.ts';
import {
  Headers,
  MALFORMED_NAMES,
  PARSE_BAD_CHECKSUM,
  PARSE_BAD_EXTENSION,
  PARSE_BAD_HEADER_LENGTH,
  PARSE_BAD_TOTAL_LENGTH,
  PARSE_BAD_VERSION,
  PARSE_FRAGMENT,
  PARSE_MALFORMED,
  PARSE_NOT_IP,
  PARSE_OK,
  PARSE_TRUNCATED,
  PARSE_TRUNCATED_TRANSPORT,
  parseFrame,
} from './parse.ts';

const PAYLOAD = Uint8Array.of(1, 2, 3, 4, 5);
const V4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const V6 = { src: '2001:db8::c', dst: '2001:db8::1', sport: 4000, dport: 80 };
const LEAD = 6;

interface Parsed {
  readonly result: number;
  readonly headers: Headers;
  readonly length: number;
}

function parse(bytes: Uint8Array): Parsed {
  const memory = new Uint8Array(LEAD + bytes.length).fill(0x45);
  memory.set(bytes, LEAD);
  const headers = new Headers();
  return {
    result: parseFrame(new DataView(memory.buffer), LEAD, bytes.length, headers),
    headers,
    length: bytes.length,
  };
}

/** Parses an IP packet in a frame. */
function parsePacket(packet: Uint8Array): Parsed {
  return parse(frame(packet));
}

/** An IPv4 packet changed by `change`, its header checksum right again. */
function changed(packet: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = packet.slice();
  change(bytes);
  const length = Math.min((bytes[0] & 15) * 4, bytes.length);
  bytes.set([0, 0], 10);
  const sum = internetChecksum(bytes.subarray(0, length));
  bytes.set([sum >>> 8, sum & 255], 10);
  return bytes;
}

const TCP4 = tcp({ ...V4, flags: 'S', payload: PAYLOAD });
const UDP4 = udp({ ...V4, payload: PAYLOAD });
const TCP6 = tcp({ ...V6, flags: 'S', payload: PAYLOAD });
const UDP6 = udp({ ...V6, payload: PAYLOAD });
const VALID: readonly [string, Uint8Array][] = [
  ['TCP over IPv4', TCP4],
  ['UDP over IPv4', UDP4],
  ['TCP over IPv4 with 40 bytes of options', withOptions(TCP4, new Uint8Array(40).fill(1))],
  ['ICMP over IPv4', ip(V4, 1, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0), 2)],
  ['a protocol without payload over IPv4', ip(V4, 99, new Uint8Array(0), -1)],
  ['TCP over IPv6', TCP6],
  ['UDP over IPv6', UDP6],
  [
    'TCP behind four extension headers',
    withExtensions(
      TCP6,
      [0, 60, 43, 51].map((kind) => extension(kind, 1)),
    ),
  ],
  ['UDP in an atomic fragment', withExtensions(UDP6, [extension(44)])],
  ['no next header', withExtensions(ip(V6, 59, new Uint8Array(0), -1), [extension(60)])],
];

for (const [name, packet] of VALID) {
  test(`${name} is found, and malformed when cut anywhere`, () => {
    const whole = frame(packet);
    const { result, headers } = parse(whole);
    assert.equal(result, PARSE_OK);
    assert.equal(headers.end, LEAD + whole.length);
    for (let length = 0; length < whole.length; length++) {
      const cut = parse(whole.slice(0, length)).result;
      const header = packet[0] >>> 4 === 4 ? 20 : 40;
      const options = packet[0] >>> 4 === 4 ? (packet[0] & 15) * 4 : header;
      let expected = PARSE_BAD_TOTAL_LENGTH;
      if (length < 14 + header) expected = PARSE_TRUNCATED;
      else if (length < 14 + options) expected = PARSE_BAD_HEADER_LENGTH;
      assert.equal(cut, expected, `cut to ${length}`);
    }
  });

  test(`${name} ends where its length says, whatever padding follows`, () => {
    const whole = frame(packet);
    const { result, headers } = parse(Uint8Array.from([...whole, ...new Uint8Array(30).fill(0xff)]));
    assert.equal(result, PARSE_OK);
    assert.equal(headers.end, LEAD + whole.length);
  });
}

test('headers are where they are', () => {
  const { headers } = parsePacket(withOptions(TCP4, new Uint8Array(8)));
  const at = LEAD + 14;
  assert.deepEqual({ ...headers }, { family: 4, ip: at, transport: at + 28, end: at + 53, protocol: 6 });
  const six = parsePacket(withExtensions(UDP6, [extension(0, 2), extension(51, 3)])).headers;
  const transport = at + 40 + 24 + 24;
  assert.deepEqual({ ...six }, { family: 6, ip: at, transport, end: transport + 13, protocol: 17 });
});

test('what is not IP is told apart by its type alone', () => {
  for (const type of [0x0806, 0x8100, 0x88a8, 0x0000, 0x0800 + 1, 0x86dc]) {
    const bytes = frame(TCP4);
    bytes[12] = type >>> 8;
    bytes[13] = type & 255;
    assert.equal(parse(bytes).result, PARSE_NOT_IP);
    assert.equal(parse(bytes.slice(0, 14)).result, PARSE_NOT_IP);
  }
});

test('only version 4 is IPv4 and only version 6 is IPv6', () => {
  for (let version = 0; version < 16; version++) {
    const four = frame(changed(TCP4, (bytes) => (bytes[0] = (version << 4) | 5)));
    four.set([0x08, 0x00], 12);
    assert.equal(parse(four).result, version === 4 ? PARSE_OK : PARSE_BAD_VERSION);
    const six = frame(TCP6);
    six[14] = version << 4;
    assert.equal(parse(six).result, version === 6 ? PARSE_OK : PARSE_BAD_VERSION);
  }
});

test('an IPv4 header shorter than 20 bytes or longer than the frame is malformed', () => {
  const short = tcp({ ...V4, flags: 'S' });
  for (let words = 0; words < 16; words++) {
    const { result } = parsePacket(changed(short, (bytes) => (bytes[0] = 0x40 | words)));
    if (words < 5 || words > 10) assert.equal(result, PARSE_BAD_HEADER_LENGTH, `${words}`);
    else assert.equal(result, words === 5 ? PARSE_OK : PARSE_TRUNCATED_TRANSPORT, `${words}`);
  }
});

test('a total length below the header or above the frame is malformed', () => {
  for (let total = 0; total < 80; total++) {
    const { result } = parsePacket(changed(TCP4, (bytes) => bytes.set([0, total], 2)));
    if (total < 20 || total > 45) assert.equal(result, PARSE_BAD_TOTAL_LENGTH, `${total}`);
    else assert.equal(result, total < 40 ? PARSE_TRUNCATED_TRANSPORT : PARSE_OK, `${total}`);
  }
  for (let payload = 0; payload < 80; payload++) {
    const bytes = TCP6.slice();
    bytes.set([0, payload], 4);
    const { result } = parsePacket(bytes);
    if (payload > 25) assert.equal(result, PARSE_BAD_TOTAL_LENGTH, `${payload}`);
    else assert.equal(result, payload < 20 ? PARSE_TRUNCATED_TRANSPORT : PARSE_OK, `${payload}`);
  }
});

test('no single bit of an IPv4 header can be wrong unnoticed', () => {
  const packet = withOptions(TCP4, Uint8Array.of(1, 1, 1, 0));
  for (let bit = 0; bit < 24 * 8; bit++) {
    const bytes = packet.slice();
    bytes[bit >>> 3] ^= 1 << (bit & 7);
    const whole = frame(bytes);
    whole.set([0x08, 0x00], 12);
    assert.ok(parse(whole).result >= PARSE_MALFORMED, `bit ${bit}`);
  }
  const bytes = packet.slice();
  bytes[8] ^= 0x40;
  assert.equal(parsePacket(bytes).result, PARSE_BAD_CHECKSUM);
});

test('IPv4 fragments are fragments, first, middle and last; "do not fragment" is not', () => {
  const withField = (field: number): number =>
    parsePacket(changed(UDP4, (bytes) => bytes.set([field >>> 8, field & 255], 6))).result;
  assert.equal(withField(0x2000), PARSE_FRAGMENT);
  assert.equal(withField(0x2001), PARSE_FRAGMENT);
  assert.equal(withField(0x1fff), PARSE_FRAGMENT);
  assert.equal(withField(0x0001), PARSE_FRAGMENT);
  assert.equal(withField(0x4000), PARSE_OK);
  assert.equal(withField(0x8000), PARSE_OK);
});

test('IPv6 fragments are fragments unless they are atomic', () => {
  const withField = (field: number): Parsed => {
    const header = extension(44);
    header.bytes.set([field >>> 8, field & 255], 2);
    return parsePacket(withExtensions(UDP6, [extension(60), header]));
  };
  for (const field of [1, 8, 0xfff8, 0xfff9]) {
    const { result, headers } = withField(field);
    assert.equal(result, PARSE_FRAGMENT, `${field}`);
    assert.equal(headers.protocol, 17);
    assert.equal(headers.transport, LEAD + 14 + 40 + 16);
  }
  // The two reserved bits mean nothing.
  for (const field of [0, 2, 4, 6]) assert.equal(withField(field).result, PARSE_OK, `${field}`);
});

test('a transport header that does not fit is malformed, of other protocols nothing is asked', () => {
  for (let length = 0; length <= 20; length++) {
    for (const address of [V4, V6]) {
      const of = (protocol: number): number => parsePacket(ip(address, protocol, new Uint8Array(length), -1)).result;
      assert.equal(of(6), length < 20 ? PARSE_TRUNCATED_TRANSPORT : PARSE_OK);
      assert.equal(of(17), length < 8 ? PARSE_TRUNCATED_TRANSPORT : PARSE_OK);
      assert.equal(of(99), PARSE_OK);
    }
  }
});

const chain = fc.array(
  fc.tuple(fc.constantFrom(0, 43, 44, 51, 60), fc.nat({ max: 4 })).map(([kind, units]) => extension(kind, units)),
  { maxLength: 10 },
);

test('up to six extension headers of any kind and order are walked, no more', () => {
  fc.assert(
    fc.property(chain, fc.constantFrom(TCP6, UDP6), (extensions, packet) => {
      const { result, headers } = parsePacket(withExtensions(packet, extensions));
      if (extensions.length > 6) {
        assert.equal(result, PARSE_BAD_EXTENSION);
        return;
      }
      assert.equal(result, PARSE_OK);
      const middle = extensions.reduce((sum, { bytes }) => sum + bytes.length, 0);
      assert.equal(headers.transport, LEAD + 14 + 40 + middle);
      assert.equal(headers.protocol, packet[6]);
    }),
    { numRuns: 500 },
  );
});

test('an extension header that leads out of the packet is malformed', () => {
  for (const kind of [0, 43, 51, 60]) {
    const packet = withExtensions(TCP6, [extension(kind)]);
    for (let units = 0; units < 256; units++) {
      const bytes = packet.slice();
      bytes[41] = units;
      const { result, headers } = parsePacket(bytes);
      const size = kind === 51 ? (units + 2) * 4 : (units + 1) * 8;
      if (size > packet.length - 40) assert.equal(result, PARSE_BAD_EXTENSION, `${kind} ${units}`);
      else if (result === PARSE_OK) assert.ok(headers.transport + 20 <= headers.end);
      else assert.equal(result, PARSE_TRUNCATED_TRANSPORT, `${kind} ${units}`);
    }
  }
  // The payload ends within the second extension header.
  for (let payload = 0; payload < 16; payload++) {
    const bytes = withExtensions(TCP6, [extension(0), extension(60)]);
    bytes.set([0, payload], 4);
    assert.equal(parsePacket(bytes).result, PARSE_BAD_EXTENSION, `${payload}`);
  }
});

test('an extension header of which less than its least size is there is malformed', () => {
  for (const kind of [0, 43, 44, 51, 60]) {
    const packet = withExtensions(TCP6, [extension(60), extension(kind)]);
    for (let left = 0; left < 8; left++) {
      const bytes = packet.slice(0, 48 + left);
      bytes.set([0, 8 + left], 4);
      assert.equal(parsePacket(bytes).result, PARSE_BAD_EXTENSION, `${kind} ${left}`);
    }
  }
});

/** What a caller may rely on, whatever the frame was. */
function checkPromises({ result, headers, length }: Parsed): void {
  assert.ok(result >= PARSE_OK && result < PARSE_MALFORMED + MALFORMED_NAMES.length);
  if (result !== PARSE_OK && result !== PARSE_FRAGMENT) return;
  const { family, ip: at, transport, end, protocol } = headers;
  assert.ok(family === 4 || family === 6);
  assert.equal(at, LEAD + 14);
  assert.ok(end <= LEAD + length);
  assert.ok(transport >= at + (family === 4 ? 20 : 40) && transport <= end);
  if (result !== PARSE_OK) return;
  if (protocol === 6) assert.ok(transport + 20 <= end);
  if (protocol === 17) assert.ok(transport + 8 <= end);
}

test('random bytes of an IP type never throw and keep every promise', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom([0x08, 0x00, 0x45], [0x86, 0xdd, 0x60], [0x08, 0x00]),
      (bytes, start) => {
        for (const [i, value] of start.entries()) if (12 + i < bytes.length) bytes[12 + i] = value;
        checkPromises(parse(bytes));
      },
    ),
    { numRuns: 5000 },
  );
});

test('valid frames with some bytes changed never throw and keep every promise', () => {
  const change = fc.tuple(fc.nat({ max: 200 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(
      fc.constantFrom(...VALID),
      fc.array(change, { maxLength: 6 }),
      fc.boolean(),
      ([, packet], edits, mend) => {
        const edit = (bytes: Uint8Array): void => {
          for (const [at, value] of edits) bytes[at % bytes.length] = value;
        };
        // With the checksum mended, IPv4 headers that lie get further than it.
        const bytes = packet.slice();
        edit(bytes);
        const whole = frame(mend && packet[0] >>> 4 === 4 ? changed(packet, edit) : bytes);
        whole.set(packet[0] >>> 4 === 4 ? [0x08, 0x00] : [0x86, 0xdd], 12);
        checkPromises(parse(whole));
      },
    ),
    { numRuns: 5000 },
  );
});
