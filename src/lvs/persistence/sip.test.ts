// SPDX-License-Identifier: Apache-2.0
// The Call-ID of SIP messages as the kernel finds it, oddities included (nf_conntrack_sip.c, ip_vs_pe_sip.c), and that no
// message makes the parser throw or look outside.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { findCallId } from './sip.ts';

const HEAD = 'INVITE sip:bob@example.com SIP/2.0\r\n';
const WORD = [...'abcXYZ019-.!%*_+`\'~()<>:\\"/[]?{}'];

/** The Call-ID of a message of Latin-1 text, in a view that ends where the message does. */
function callId(message: string): string | undefined {
  const bytes = Uint8Array.from(Buffer.from(message, 'latin1'));
  return findCallId(new DataView(bytes.buffer), 0, bytes.length);
}

const FOUND: readonly [name: string, message: string, callId: string | undefined][] = [
  ['a header of its own line', `${HEAD}Via: x\r\nCall-ID: abc@host\r\nCSeq: 1\r\n`, 'abc@host'],
  ['the first of two', `${HEAD}Call-ID: one\r\nCall-ID: two\r\n`, 'one'],
  ['not in the first line, which has no line before it', 'Call-ID: abc\r\n', undefined],
  ['lower case', `${HEAD}call-id: abc\r\n`, 'abc'],
  ['upper case', `${HEAD}CALL-ID: abc\r\n`, 'abc'],
  ['the compact form', `${HEAD}i: abc\r\n`, 'abc'],
  ['the compact form in upper case', `${HEAD}I:abc\r\n`, 'abc'],
  ['another header that begins with its compact form', `${HEAD}iq: no\r\nCall-ID: abc\r\n`, 'abc'],
  ['a compact form that ends the message', `${HEAD}i`, undefined],
  ['nothing behind a compact form with a digit', `${HEAD}i2: no\r\nCall-ID: abc\r\n`, undefined],
  ['nothing behind a name that only begins so', `${HEAD}Call-IDs: no\r\nCall-ID: abc\r\n`, undefined],
  ['blanks around the colon', `${HEAD}Call-ID \t :\t  abc\r\n`, 'abc'],
  ['a value without a blank', `${HEAD}Call-ID:abc\r\n`, 'abc'],
  ['the colon in a continuation line', `${HEAD}Call-ID\r\n \t: abc\r\n`, 'abc'],
  ['the value in a continuation line', `${HEAD}Call-ID:\r\n abc\r\n`, 'abc'],
  ['the value in a continuation line behind LF alone', 'INVITE\nCall-ID:\n abc\n', 'abc'],
  ['the value behind two continuation lines', `${HEAD}Call-ID:\r\n \r\n abc\r\n`, undefined],
  ['the value in a line of its own that is none', `${HEAD}Call-ID:\r\nabc\r\n`, undefined],
  ['a continuation line that looks like it', `${HEAD}Subject: x\r\n Call-ID: no\r\n\tCall-ID: no\r\n`, undefined],
  ['lines that end with LF', 'INVITE\nCall-ID: abc\nVia: x', 'abc'],
  ['lines that end with CR', 'INVITE\rCall-ID: abc\rVia: x', 'abc'],
  ['a header behind an empty line', `${HEAD}\r\nCall-ID: abc\r\n`, 'abc'],
  ['no header behind an empty line that is LF alone', 'INVITE\n\nCall-ID: abc\n', undefined],
  ['no value without the end of its line', `${HEAD}Call-ID: abc`, undefined],
  ['no value with a blank behind', `${HEAD}Call-ID: abc \r\n`, undefined],
  ['no value with a parameter', `${HEAD}Call-ID: abc;x\r\nCall-ID: def\r\n`, undefined],
  ['no value that ends the message with its colon', `${HEAD}Call-ID:`, undefined],
  ['no value of blanks to the end of the message', `${HEAD}Call-ID:  `, undefined],
  ['no name that is cut short', `${HEAD}Call-I`, undefined],
  ['no name that ends the message', `${HEAD}Call-ID`, undefined],
  ['nothing behind an empty value', `${HEAD}Call-ID: \r\nCall-ID: abc\r\n`, undefined],
  ['what follows a value that begins with no word', `${HEAD}Call-ID: ;\r\nCall-ID: abc\r\n`, 'abc'],
  ['what follows a value without a domain behind its @', `${HEAD}Call-ID: no@\r\ni: abc\r\n`, 'abc'],
  ['no value with two @', `${HEAD}Call-ID: a@b@c\r\nCall-ID: abc\r\n`, undefined],
  ['no header that the kernel jumps over behind two without a word', twoWithoutWord(''), undefined],
  ['a header behind where the kernel goes on after two without a word', twoWithoutWord('x'.repeat(90)), 'abc'],
  [
    'all characters of words',
    `${HEAD}Call-ID: ${WORD.join('')}@${WORD.join('')}\r\n`,
    `${WORD.join('')}@${WORD.join('')}`,
  ],
  ['letters of Latin-1', `${HEAD}Call-ID: \xc0\xd6\xd8\xf6\xf8\xff\r\n`, '\xc0\xd6\xd8\xf6\xf8\xff'],
  ['a letter of Latin-1 behind the compact form', `${HEAD}i\xe9: no\r\nCall-ID: abc\r\n`, 'abc'],
];

/** After a value without a word the kernel adds the place of its value to where it began: the second time too much. */
function twoWithoutWord(between: string): string {
  return `A\r\nCall-ID: ;\r\nCall-ID: ;${between}\r\nCall-ID: abc\r\n`;
}

suite('what is found', () => {
  for (const [name, message, expected] of FOUND) test(name, () => assert.equal(callId(message), expected));
});

test('a Call-ID of 255 characters counts, one of 256 does not', () => {
  for (const make of [(n: number) => 'x'.repeat(n), (n: number) => `${'x'.repeat(n - 101)}@${'y'.repeat(100)}`]) {
    assert.equal(callId(`${HEAD}Call-ID: ${make(255)}\r\n`), make(255));
    assert.equal(callId(`${HEAD}Call-ID: ${make(256)}\r\n`), undefined);
    assert.equal(callId(`${HEAD}Call-ID: ${make(256)}\r\nCall-ID: abc\r\n`), undefined);
  }
});

test('every other byte ends a word', () => {
  for (let byte = 0; byte < 256; byte++) {
    const character = String.fromCharCode(byte);
    const isLetter = /[a-z\d\xc0-\xd6\xd8-\xf6\xf8-\xff]/i.test(character);
    const found = callId(`${HEAD}Call-ID: ab${character}cd\r\n`);
    if (isLetter || WORD.includes(character) || character === '@') assert.equal(found, `ab${character}cd`);
    else assert.equal(found, character === '\r' || character === '\n' ? 'ab' : undefined, `byte ${byte}`);
  }
});

const word = fc.string({ unit: fc.constantFrom(...WORD), minLength: 1, maxLength: 127 });
const blanks = fc.string({ unit: fc.constantFrom(' ', '\t'), maxLength: 3 });
const line = fc.constantFrom('Via: SIP/2.0/UDP 10.7.0.1', 'Max-Forwards: 70', ' continued', 'Contact: <sip:a@b>', 'x');
const name = fc
  .tuple(fc.constantFrom('call-id', 'i'), fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }))
  .map(([text, upper]) => [...text].map((c, i) => (upper[i] ? c.toUpperCase() : c)).join(''));

test('the one Call-ID of a message is found among whatever other headers it has', () => {
  const ends = fc.constantFrom('\r\n', '\r\n', '\n', '\r');
  const parts = fc.tuple(fc.array(line), name, blanks, blanks, word, fc.option(word), fc.array(line), ends);
  fc.assert(
    fc.property(parts, ([before, header, left, right, user, host, after, end]) => {
      const value = host === null ? user : `${user}@${host}`;
      const lines = ['INVITE', ...before, `${header}${left}:${right}${value}`, ...after, ''];
      assert.equal(callId(lines.join(end)), value);
    }),
    { numRuns: 500 },
  );
});

/** Bytes that mean something to the parser more often than others. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom('\r\n', '\r', '\n', ' ', '\t', ':', '@', ';', 'Call-ID', 'call-id:', 'i', 'i:', '\r\ni: a\r\n'),
      fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 8 }),
      fc.integer({ min: 250, max: 260 }).map((length) => 'z'.repeat(length)),
    ),
    { maxLength: 30 },
  )
  .map((pieces) => pieces.join(''));

test('no message makes it throw or read outside, and what it finds is a Call-ID that stands there', () => {
  let found = 0;
  fc.assert(
    fc.property(hostile, hostile, (message, around) => {
      const result = callId(message);
      const surrounded = Buffer.from(`${around}${message}${around}`, 'latin1');
      const view = new DataView(surrounded.buffer, surrounded.byteOffset, surrounded.length);
      assert.equal(findCallId(view, around.length, around.length + message.length), result);
      if (result === undefined) return;
      found++;
      assert.ok(result.length >= 1 && result.length <= 255);
      assert.match(result, /^[^\s@;]+(@[^\s@;]+)?$/);
      assert.ok(message.includes(`${result}\r`) || message.includes(`${result}\n`));
    }),
    { numRuns: 5000 },
  );
  assert.ok(found > 100, `only ${found} had one`);
});
