// SPDX-License-Identifier: Apache-2.0
// CRC32c against the vectors of RFC 3720 appendix B.4, and against itself in pieces.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32c } from './crc32c.ts';

const crcOf = (bytes: ArrayLike<number>): number =>
  crc32c(new DataView(Uint8Array.from(bytes).buffer), 0, bytes.length);

test('the vectors of RFC 3720 come out', () => {
  const ramp = Array.from({ length: 32 }, (_, i) => i);
  assert.equal(crcOf(new Uint8Array(32)) >>> 0, 0x8a9136aa);
  assert.equal(crcOf(new Uint8Array(32).fill(0xff)) >>> 0, 0x62a8ab43);
  assert.equal(crcOf(ramp) >>> 0, 0x46dd794e);
  assert.equal(crcOf(ramp.reverse()) >>> 0, 0x113fdb5c);
});

test('bytes in pieces have the CRC of the whole', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
      const view = new DataView(bytes.slice().buffer);
      const first = Math.min(cut, bytes.length);
      const whole = crc32c(view, 0, bytes.length);
      assert.equal(crc32c(view, first, bytes.length - first, crc32c(view, 0, first)), whole);
    }),
  );
});
