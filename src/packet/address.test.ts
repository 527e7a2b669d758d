// SPDX-License-Identifier: Apache-2.0
// Addresses as text: the examples of RFC 4291 and RFC 5952, round trips, and Node's own parsers as a second opinion.

import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Address, addressFamily, addressWords, type Family, formatAddress, parseAddress } from './address.ts';

test('addresses are printed as RFC 5952 asks', () => {
  const cases: readonly [string, string][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    // §4.1 leading zeros, §4.2.1 as short as can be, §4.3 lower case
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:AAAA', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa'],
    // §4.2.2 one zero group stays
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    // §4.2.3 the longest run, the first of equals
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    // runs at the ends
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
    ['0:0:3:4:5:6:7:8', '::3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    // §5 mapped addresses in mixed notation, no others
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['::FFFF:192.0.2.1', '::ffff:192.0.2.1'],
    ['::192.0.2.1', '::c000:201'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7.8.9.10', '1:2:3:4:5:6:708:90a'],
  ];
  for (const [text, canonical] of cases) assert.equal(parseAddress(text), canonical, text);
});

test('text that is no address is refused', () => {
  const cases = [
    ...['', '.', ':', ':::', '1', '10.0.0', '10.0.0.0.1', '10.0.0.256', '10.0.0.01', '010.0.0.1', '0x10.0.0.1'],
    ...['10.0.0.1 ', ' 10.0.0.1', '10.0.0.-1', '1e1.0.0.1', '10..0.1', '10.0.0.1/8', '10.0.0.1\n', '１.0.0.1'],
    ...['1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2:3:4:5:6:7:8', '1::2::3', '12345::', 'g::', '::1%eth0', '[::1]'],
    ...[':1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8:', '1:2:3:4:5:6:7:', ':1::', '::1:', '1.2.3.4::', '::1.2.3.4:5'],
    ...['::1.2.3', '::1.2.3.4.5', '::1.2.3.256', '1:2:3:4:5:6:7:1.2.3.4', '::-1', '::+1', '::0x1'],
  ];
  for (const text of cases) assert.equal(parseAddress(text), undefined, text);
});

test('words of an address are what stands on the wire, signed', () => {
  assert.deepEqual(addressWords('10.0.0.1' as Address), [0x0a000001, 0, 0, 0]);
  assert.deepEqual(addressWords('255.255.255.255' as Address), [-1, 0, 0, 0]);
  assert.deepEqual(addressWords('fe80::8000:0:1' as Address), [0xfe800000 | 0, 0, 0x8000, 1]);
  assert.deepEqual(addressWords('::ffff:192.0.2.1' as Address), [0, 0, 0xffff, 0xc0000201 | 0]);
  assert.throws(() => addressWords('10.0.0' as Address), TypeError);
});

const word = fc.oneof(fc.integer({ min: -0x80000000, max: 0x7fffffff }), fc.constantFrom(0, 0xffff, 1, 0x10000, -1));
const words = fc.tuple(word, word, word, word);

test('words that are printed are read back, and text is canonical already', () => {
  fc.assert(
    fc.property(fc.constantFrom<Family>(4, 6), words, (family, four) => {
      const text = formatAddress(family, four);
      assert.equal(addressFamily(text), family);
      assert.deepEqual(addressWords(text), family === 4 ? [four[0], 0, 0, 0] : four);
      assert.equal(parseAddress(text), text);
    }),
    { numRuns: 1000 },
  );
});

test('canonical IPv6 text is that of the WHATWG URL, but for mapped addresses', () => {
  fc.assert(
    fc.property(words, (four) => {
      const text = formatAddress(6, four);
      fc.pre(!text.includes('.'));
      assert.equal(new URL(`http://[${text}]/`).hostname, `[${text}]`);
    }),
    { numRuns: 1000 },
  );
});

/** Text that looks like an address, or nearly. */
const nearly = fc.oneof(
  fc.array(fc.constantFrom('0', '1', '9', 'f', 'F', '25', '255', '256', '0db8', ':', '::', '.', '%'), {
    maxLength: 20,
  }),
  fc
    .array(fc.constantFrom('0', '1', 'ab', 'ffff', '', '1.2.3.4'), { maxLength: 9 })
    .map((groups) => [groups.join(':')]),
  fc
    .array(fc.constantFrom('0', '1', '00', '255', '256', '99', ''), { maxLength: 5 })
    .map((octets) => [octets.join('.')]),
);

test('exactly what node:net takes for an address is one', () => {
  fc.assert(
    fc.property(nearly, (parts) => {
      const text = parts.join('');
      fc.pre(!text.includes('%'));
      const parsed = parseAddress(text);
      assert.equal(parsed === undefined ? 0 : addressFamily(parsed), isIP(text), text);
    }),
    { numRuns: 5000 },
  );
});

test('a zone index is refused wherever it stands', () => {
  fc.assert(
    fc.property(words, fc.string(), (four, zone) => {
      assert.equal(parseAddress(`${formatAddress(6, four)}%${zone}`), undefined);
    }),
  );
});
