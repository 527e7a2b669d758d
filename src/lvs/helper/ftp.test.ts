// SPDX-License-Identifier: Apache-2.0
// What the FTP helper takes for an address and what not, with the replies that a real kernel rewrote, and that no bytes
// make it throw or look outside.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { type Address, addressFamily, addressWords, formatAddress } from '../../packet/address.ts';
import {
  FTP_EPRT,
  FTP_EPSV,
  FTP_EXTENDED_REPLY,
  FTP_MAX_TEXT,
  FTP_NONE,
  FTP_PASSIVE_REPLY,
  FTP_PASV,
  FTP_PORT,
  FtpText,
  parseFtpReply,
  parseFtpRequest,
  writeFtpExtended,
  writeFtpNumbers,
  writeFtpPort,
} from './ftp.ts';

/** What was found: its kind, and the text, address and port if it has some. */
interface Found {
  readonly kind: number;
  readonly text?: string;
  readonly address?: string | undefined;
  readonly port?: number;
}

type Parse = (view: DataView, start: number, end: number, $text: FtpText) => number;

/** Parses Latin-1 `text` in a view that ends where it does. */
function parse(text: string, family: 4 | 6, parser: Parse): Found {
  const bytes = Uint8Array.from(Buffer.from(text, 'latin1'));
  const $text = new FtpText();
  const kind = parser(new DataView(bytes.buffer), 0, bytes.length, $text);
  if (kind === FTP_NONE || kind === FTP_PASV || kind === FTP_EPSV) return { kind };
  return {
    kind,
    text: text.slice($text.start, $text.end),
    address: $text.hasAddress ? formatAddress(family, $text.address) : undefined,
    port: $text.port,
  };
}

function request(text: string, family: 4 | 6 = 4): Found {
  return parse(text, family, (view, start, end, $text) => parseFtpRequest(view, start, end, family, $text));
}

function reply(text: string, mode: number, family: 4 | 6 = 4): Found {
  return parse(text, family, (view, start, end, $text) => parseFtpReply(view, start, end, family, mode, $text));
}

/** The text with what was found replaced, as the director would do. */
function rewritten(text: string, mode: number, address: string, port: number): string {
  const { kind, text: old } = reply(text, mode);
  const into = new Uint8Array(FTP_MAX_TEXT);
  const length =
    kind === FTP_PASSIVE_REPLY
      ? writeFtpNumbers(into, addressWords(address as Address)[0], port)
      : writeFtpPort(into, port);
  return text.replace(old!, Buffer.from(into.subarray(0, length)).toString('latin1'));
}

suite('what a real kernel did (6.1, IPVS NAT)', () => {
  test('227: the server says 192,168,1,1, the client reads the virtual address', () => {
    const sent = '227 Entering Passive Mode (192,168,1,1,19,137).\r\n';
    assert.deepEqual(reply(sent, FTP_PASV), {
      kind: FTP_PASSIVE_REPLY,
      text: '192,168,1,1,19,137',
      address: '192.168.1.1',
      port: 5001,
    });
    assert.equal(rewritten(sent, FTP_PASV, '10.0.0.1', 5001), '227 Entering Passive Mode (10,0,0,1,19,137).\r\n');
  });

  test('229: only the port, which stays', () => {
    const sent = '229 Entering Extended Passive Mode (|||5002|)\r\n';
    assert.deepEqual(reply(sent, FTP_EPSV), {
      kind: FTP_EXTENDED_REPLY,
      text: '|||5002|',
      address: undefined,
      port: 5002,
    });
    assert.equal(rewritten(sent, FTP_EPSV, '10.0.0.1', 5002), sent);
  });

  test('PORT', () => {
    const expected = { kind: FTP_PORT, text: '10,7,0,1,31,64', address: '10.7.0.1', port: 8000 };
    assert.deepEqual(request('PORT 10,7,0,1,31,64\r\n'), expected);
  });
});

const FORM = { kind: FTP_PASSIVE_REPLY, text: '1,2,3,4,5,6', address: '1.2.3.4', port: 1286 };
const NONE = { kind: FTP_NONE };

const PASSIVE: readonly [name: string, text: string, expected: Found][] = [
  ['without parentheses', '227 Entering Passive Mode 1,2,3,4,5,6\r\n', FORM],
  ['with another mark before it', '227 =1,2,3,4,5,6\r\n', FORM],
  ['with more than one parenthesis', '227 ((1,2,3,4,5,6))\r\n', FORM],
  ['with no text', '227 1,2,3,4,5,6\n', FORM],
  ['ended by a comma', '227 (1,2,3,4,5,6,7)\r\n', FORM],
  ['with leading zeros', '227 (001,02,3,04,005,0006)\r\n', { ...FORM, text: '001,02,3,04,005,0006' }],
  ['with bytes that are no ASCII around', '227 \xe9\xff\0(1,2,3,4,5,6)\xff', FORM],
  ['not behind a digit in the text', '227 Mode 2 (1,2,3,4,5,6)\r\n', NONE],
  ['not behind a parenthesis with a blank', '227 ( 1,2,3,4,5,6)\r\n', NONE],
  ['not when the segment ends with it: there may be more', '227 (1,2,3,4,5,6', NONE],
  ['not when cut before', '227 (1,2,3,4,5,', NONE],
  ['not with five numbers', '227 (1,2,3,4,5)\r\n', NONE],
  ['not with an empty number', '227 (1,2,,4,5,6)\r\n', NONE],
  ['not with a number above 255', '227 (1,2,3,256,5,6)\r\n', NONE],
  ['not with a giant number', `227 (1,2,3,${'9'.repeat(1000)},5,6)\r\n`, NONE],
  ['not with port 0', '227 (1,2,3,4,0,0)\r\n', NONE],
  ['not with blanks between', '227 (1, 2, 3, 4, 5, 6)\r\n', NONE],
  ['not in a reply of many lines', '227-(1,2,3,4,5,6)\r\n', NONE],
  ['not behind another line', '200 ok\r\n227 (1,2,3,4,5,6)\r\n', NONE],
  ['not in a shorter text than its number', '227', NONE],
];

suite('227', () => {
  for (const [name, text, expected] of PASSIVE) {
    test(name, () => assert.deepEqual(reply(text, FTP_PASV), expected));
  }
  test('only in passive mode', () => {
    assert.deepEqual(reply('227 (1,2,3,4,5,6)\r\n', FTP_NONE), NONE);
    assert.deepEqual(reply('227 (1,2,3,4,5,6)\r\n', FTP_EPSV), NONE);
  });
});

const EXTENDED = { kind: FTP_EXTENDED_REPLY, text: '|||81|', address: undefined, port: 81 };

const REPLY_229: readonly [name: string, text: string, expected: Found][] = [
  ['with another mark', '229 (!!!81!)\r\n', { ...EXTENDED, text: '!!!81!' }],
  ['as the last of the segment', '229 (|||81|', EXTENDED],
  ['with an address', '229 (|1|1.2.3.4|81|)\r\n', { ...EXTENDED, text: '|1|1.2.3.4|81|', address: '1.2.3.4' }],
  ['with leading zeros', '229 (|||0081|)\r\n', { ...EXTENDED, text: '|||0081|' }],
  ['not without a parenthesis', '229 |||81|\r\n', NONE],
  ['not with the other family', '229 (|2|::1|81|)\r\n', NONE],
  ['not with port 0', '229 (|||0|)\r\n', NONE],
  ['not without a port', '229 (||||)\r\n', NONE],
  ['not with a port above 65535', '229 (|||65536|)\r\n', NONE],
  ['not when cut before the last mark', '229 (|||81', NONE],
  ['not when cut anywhere before', '229 (||', NONE],
  ['not with a blank as mark', '229 (   81 )\r\n', NONE],
  ['not with a mark that is no ASCII', '229 (\xff\xff\xff81\xff)\r\n', NONE],
  ['not with a digit as mark', '229 (111811)\r\n', NONE],
  ['not with two marks', '229 (||!81|)\r\n', NONE],
];

suite('229', () => {
  for (const [name, text, expected] of REPLY_229) {
    test(name, () => assert.deepEqual(reply(text, FTP_EPSV), expected));
  }
  test('of IPv6', () => {
    assert.deepEqual(reply('229 (|||81|)\r\n', FTP_EPSV, 6), EXTENDED);
    const text = '|2|2001:db8::1|81|';
    assert.deepEqual(reply(`229 (${text})\r\n`, FTP_EPSV, 6), { ...EXTENDED, text, address: '2001:db8::1' });
    assert.deepEqual(reply('229 (|1|1.2.3.4|81|)\r\n', FTP_EPSV, 6), NONE);
  });
  test('only in extended passive mode', () => {
    assert.deepEqual(reply('229 (|||81|)\r\n', FTP_PASV), NONE);
    assert.deepEqual(reply('229 (|||81|)\r\n', FTP_NONE), NONE);
  });
});

const V4_EPRT = { kind: FTP_EPRT, text: '|1|1.2.3.4|81|', address: '1.2.3.4', port: 81 };
const V6_EPRT = { kind: FTP_EPRT, text: '|2|2001:db8::c|81|', address: '2001:db8::c', port: 81 };

const REQUESTS: readonly [text: string, family: 4 | 6, expected: Found][] = [
  ['PASV\r\n', 4, { kind: FTP_PASV }],
  ['pasv\r\n', 4, { kind: FTP_PASV }],
  ['NOOP\r\nPASV\r\n', 4, { kind: FTP_PASV }],
  ['PASV\n', 4, NONE],
  ['PASV \r\n', 4, NONE],
  ['PASV\r', 4, NONE],
  ['PASV\r\n', 6, NONE],
  ['EPSV\r\n', 4, { kind: FTP_EPSV }],
  ['EPSV\r\n', 6, { kind: FTP_EPSV }],
  ['EPSV 1\r\n', 4, { kind: FTP_EPSV }],
  ['EPSV 2\r\n', 6, { kind: FTP_EPSV }],
  ['EPSV 2\r\n', 4, NONE],
  ['EPSV 1\r\n', 6, NONE],
  ['EPSV ALL\r\n', 4, NONE],
  ['EPSV 1', 4, NONE],
  ['EPSVX\r\nEPSV\r\n', 4, { kind: FTP_EPSV }],
  ['PORT 1,2,3,4,5,6\r\n', 4, { ...FORM, kind: FTP_PORT }],
  ['port1,2,3,4,5,6\r\n', 4, { ...FORM, kind: FTP_PORT }],
  ['PORT   1,2,3,4,5,6\r\n', 4, { ...FORM, kind: FTP_PORT }],
  ['PORT 1,2,3,4,5,6', 4, NONE],
  ['PORT 1,2,3,4,5,6\r\n', 6, NONE],
  ['NOOP\r\nPORT 1,2,3,4,5,6\r\n', 4, NONE],
  ['PORT', 4, NONE],
  ['EPRT |1|1.2.3.4|81|\r\n', 4, V4_EPRT],
  ['eprt |1|001.2.3.04|81|', 4, { ...V4_EPRT, text: '|1|001.2.3.04|81|' }],
  ['EPRT |2|2001:db8::c|81|\r\n', 6, V6_EPRT],
  ['EPRT |2|2001:DB8:0:0::c|81|\r\n', 6, { ...V6_EPRT, text: '|2|2001:DB8:0:0::c|81|' }],
  ['EPRT |2|1.2.3.4|81|\r\n', 6, NONE],
  ['EPRT |2|2001:db8::g|81|\r\n', 6, NONE],
  [`EPRT |2|${'1:'.repeat(40)}1|81|\r\n`, 6, NONE],
  ['EPRT |1|1.2.3.4|81|\r\n', 6, NONE],
  ['EPRT |2|2001:db8::c|81|\r\n', 4, NONE],
  ['EPRT |1|1.2.3.256|81|\r\n', 4, NONE],
  ['EPRT |1|1.2.3|81|\r\n', 4, NONE],
  ['EPRT |1|1.2.3.|81|\r\n', 4, NONE],
  ['EPRT |1|1.2.3.4|0|\r\n', 4, NONE],
  ['EPRT |1|1.2.3.4|65536|\r\n', 4, NONE],
  ['EPRT |1|1.2.3.4|81\r\n', 4, NONE],
  ['EPRT |||81|\r\n', 4, NONE],
  ['EPRT', 4, NONE],
  ['', 4, NONE],
];

suite('requests', () => {
  for (const [text, family, expected] of REQUESTS) {
    test(`${JSON.stringify(text.slice(0, 30))} over IPv${family}`, () =>
      assert.deepEqual(request(text, family), expected));
  }
});

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const port = fc.integer({ min: 1, max: 0xffff });

test('what is written is read again', () => {
  fc.assert(
    fc.property(fc.constantFrom(4 as const, 6 as const), word, word, word, word, port, (family, a, b, c, d, number) => {
      const address = formatAddress(family, [a, b, c, d]);
      const into = new Uint8Array(FTP_MAX_TEXT);
      const written = (length: number): string => Buffer.from(into.subarray(0, length)).toString('latin1');
      const numbers = written(writeFtpNumbers(into, a, number));
      const ipv4 = formatAddress(4, [a]);
      assert.deepEqual(request(`PORT ${numbers}\r\n`), {
        kind: FTP_PORT,
        text: numbers,
        address: ipv4,
        port: number,
      });
      assert.equal(reply(`227 Entering (${numbers})\r\n`, FTP_PASV).address, ipv4);
      const extended = written(writeFtpExtended(into, addressFamily(address), addressWords(address), number));
      const found = request(`EPRT ${extended}\r\n`, family);
      assert.deepEqual(found, { kind: FTP_EPRT, text: extended, address, port: number });
      const short = written(writeFtpPort(into, number));
      assert.deepEqual(reply(`229 (${short})\r\n`, FTP_EPSV, family).port, number);
    }),
    { numRuns: 1000 },
  );
});

test('a text cut anywhere is none: of two segments neither is taken', () => {
  const whole = '227 Entering Passive Mode (192,168,1,1,19,137)';
  for (let length = 0; length < whole.length; length++) {
    assert.deepEqual(reply(whole.slice(0, length), FTP_PASV), NONE, whole.slice(0, length));
    assert.deepEqual(reply(whole.slice(length), FTP_PASV), length === 0 ? reply(whole, FTP_PASV) : NONE);
  }
});

/** Bytes that mean something to the parser more often than others. */
const piece = fc.oneof(
  fc.constantFrom('227 ', '229 ', 'PORT ', 'EPRT ', 'PASV', 'EPSV', '\r\n', '(', ')', '|', ',', '|1|', '|2|', '.', ':'),
  fc.nat({ max: 70000 }).map(String),
  fc.constantFrom('1,2,3,4,5,6', '|||81|', '|1|10.0.0.1|81|', '|2|2001:db8::1|81|', ' '),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 6 }),
);
const hostile = fc
  .tuple(fc.constantFrom('', '227 (', '229 (', 'PORT ', 'EPRT '), fc.array(piece, { maxLength: 12 }))
  .map(([head, pieces]) => head + pieces.join(''));

test('no bytes make it throw or read outside, and what is found is an address that stands there', () => {
  let found = 0;
  fc.assert(
    fc.property(hostile, hostile, fc.constantFrom(4 as const, 6 as const), (text, around, family) => {
      const results = [request(text, family), reply(text, FTP_PASV, family), reply(text, FTP_EPSV, family)];
      const bytes = Uint8Array.from(Buffer.from(`${around}${text}${around}`, 'latin1'));
      const view = new DataView(bytes.buffer);
      const [start, end] = [around.length, around.length + text.length];
      const $text = new FtpText();
      const kinds = [
        parseFtpRequest(view, start, end, family, $text),
        parseFtpReply(view, start, end, family, FTP_PASV, $text),
        parseFtpReply(view, start, end, family, FTP_EPSV, $text),
      ];
      assert.deepEqual(
        kinds,
        results.map(({ kind }) => kind),
      );
      for (const result of results) {
        if (result.text === undefined) continue;
        found++;
        assert.ok(result.port! >= 1 && result.port! <= 0xffff);
        assert.ok(text.includes(result.text) && result.text.length >= 5);
      }
    }),
    { numRuns: 5000 },
  );
  assert.ok(found > 50, `only ${found} had one`);
});
