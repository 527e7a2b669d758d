// SPDX-License-Identifier: Apache-2.0
// Netlink bytes: what is built can be read, and what is damaged is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bytesOf,
  MessageBuilder,
  NetlinkFormatError,
  NLM_F_ACK,
  NLMSG_DONE,
  NLMSG_ERROR,
  nested,
  parseAcknowledgement,
  parseAttributes,
  parseMessages,
  text,
  u8,
  u32,
} from './netlink-message.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(/[\s|]/g, ''), 'hex'));

test('a built message has the bytes that the kernel expects, padded to four', () => {
  const message = new MessageBuilder(16, NLM_F_ACK, Uint8Array.of(1, 2, 3, 4))
    .text(3, 'lo')
    .u8(1, 9)
    .nest(18, (nest) => nest.u32(2, 0x01020304).u16(5, 0xabcd))
    .finish();
  const expected = bytes(`
    38000000 1000 0500 00000000 00000000 | 01020304
    0700 0300 6c6f00 00 | 0500 0100 09 000000 | 1400 1280 | 0800 0200 04030201 | 0600 0500 cdab 0000`);
  assert.deepEqual(Uint8Array.from(message), expected);
});

test('a message of many attributes outgrows its first buffer without losing any', () => {
  const builder = new MessageBuilder(1, 0, new Uint8Array(0));
  for (let i = 0; i < 500; i++) builder.u32(i, i * 3);
  const [message] = parseMessages(builder.finish());
  const attributes = parseAttributes(message.payload);
  assert.equal(attributes.size, 500);
  for (let i = 0; i < 500; i++) assert.equal(u32(attributes, i, -1), i * 3);
});

test('attributes read back as they were written', () => {
  const built = new MessageBuilder(20, 0, new Uint8Array(0))
    .text(1, 'eth0')
    .u8(2, 255)
    .nest(3, (nest) => nest.text(4, 'inner'))
    .sized((inner) => inner.raw(Uint8Array.of(0, 0, 7, 7)))
    .finish();
  const [message] = parseMessages(built);
  const attributes = parseAttributes(new DataView(message.payload.buffer, message.payload.byteOffset, 36));
  assert.equal(text(attributes, 1), 'eth0');
  assert.equal(u8(attributes, 2, 0), 255);
  assert.equal(text(nested(attributes, 3), 4), 'inner');
  assert.equal(text(attributes, 99), '');
  assert.equal(u32(attributes, 99, 42), 42);
  assert.equal(nested(attributes, 99).size, 0);
  assert.deepEqual(bytesOf(message.payload).slice(-4), Uint8Array.of(4, 0, 7, 7));
});

test('one receive call may hold several messages', () => {
  const first = bytes('14000000 0300 0200 05000000 06000000 00000000');
  const second = bytes('12000000 1000 0000 07000000 00000000 aabb 0000');
  const [a, b, ...rest] = parseMessages(Uint8Array.from([...first, ...second]));
  assert.deepEqual([a.type, a.flags, a.sequence, a.port, a.payload.byteLength], [3, 2, 5, 6, 4]);
  assert.deepEqual([b.type, bytesOf(b.payload)], [16, bytes('aabb')]);
  assert.equal(rest.length, 0);
});

test('messages and attributes that contradict their length are refused', () => {
  const cases = {
    'a cut header': () => parseMessages(bytes('140000000300')),
    'a length below the header': () => parseMessages(bytes('0f000000 0300 0200 05000000 06000000')),
    'a length past the end': () => parseMessages(bytes('11000000 0300 0200 05000000 06000000')),
    'an attribute below its header': () => parseAttributes(new DataView(bytes('03000100').buffer)),
    'an attribute past the end': () => parseAttributes(new DataView(bytes('09000100 00000000').buffer)),
    'a number that is too short': () => u32(parseAttributes(new DataView(bytes('06000100 00000000').buffer)), 1, 0),
    'an empty number': () => u8(parseAttributes(new DataView(bytes('04000100').buffer)), 1, 0),
  };
  for (const [what, attempt] of Object.entries(cases)) assert.throws(attempt, NetlinkFormatError, what);
});

test('arbitrary bytes give messages or a format error, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
      try {
        for (const message of parseMessages(input)) {
          parseAttributes(message.payload);
          parseAcknowledgement(message);
        }
      } catch (error) {
        assert.ok(error instanceof NetlinkFormatError, String(error));
      }
    }),
  );
});

test("an acknowledgement tells the errno and the kernel's own words", () => {
  // NLM_F_CAPPED | NLM_F_ACK_TLVS: errno -17, the header of the request, NLMSGERR_ATTR_MSG.
  const payload = bytes('efffffff 1c000000 1000 0506 01000000 00000000 | 0b00 0100 6578697374 7300 00');
  const message = { type: NLMSG_ERROR, flags: 0x300, sequence: 1, port: 0, payload: new DataView(payload.buffer) };
  assert.deepEqual(parseAcknowledgement(message), { errno: 17, text: 'exists' });
  assert.deepEqual(parseAcknowledgement({ ...message, flags: 0 }), { errno: 17, text: '' });
});

test('an acknowledgement that repeats the whole request has its words behind it', () => {
  const payload = bytes('eaffffff 14000000 1000 0506 01000000 00000000 aabbccdd | 0700 0100 6e6f00 00');
  const message = { type: NLMSG_ERROR, flags: 0x200, sequence: 1, port: 0, payload: new DataView(payload.buffer) };
  assert.deepEqual(parseAcknowledgement(message), { errno: 22, text: 'no' });
});

test('the end of a dump without a status is success', () => {
  const message = { type: NLMSG_DONE, flags: 2, sequence: 1, port: 0, payload: new DataView(new ArrayBuffer(0)) };
  assert.deepEqual(parseAcknowledgement(message), { errno: 0, text: '' });
});
