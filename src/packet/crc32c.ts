// SPDX-License-Identifier: Apache-2.0
// CRC32c, SCTP's checksum (RFC 9260 appendix A; polynomial 0x1EDC6F41, bits reversed), four bytes at a time by tables.
// hot path

const POLYNOMIAL = 0x82f63b78;

/** Four tables of 256 words, one behind the other. */
const TABLES: Int32Array = makeTables();

/** CRC of `length` bytes at `offset` after bytes whose result was `before`; 0 to begin with. */
export function crc32c(view: DataView, offset: number, length: number, before = 0): number {
  let crc = ~before;
  let at = offset;
  const end = offset + length;
  for (; at + 4 <= end; at += 4) {
    crc ^= view.getInt32(at, true);
    crc =
      TABLES[768 + (crc & 0xff)] ^
      TABLES[512 + ((crc >>> 8) & 0xff)] ^
      TABLES[256 + ((crc >>> 16) & 0xff)] ^
      TABLES[crc >>> 24];
  }
  for (; at < end; at++) crc = TABLES[(crc ^ view.getUint8(at)) & 0xff] ^ (crc >>> 8);
  return ~crc;
}

function makeTables(): Int32Array {
  const tables = new Int32Array(1024);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : POLYNOMIAL);
    tables[byte] = crc;
  }
  for (let i = 256; i < 1024; i++) tables[i] = (tables[i - 256] >>> 8) ^ tables[tables[i - 256] & 0xff];
  return tables;
}
