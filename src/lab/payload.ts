// SPDX-License-Identifier: Apache-2.0
// The bytes that a lab server streams for /bytes/N: the same for every server, different in every block, so that a
// download that lost, doubled or swapped a piece has another checksum. Used by the server and by tests.

export const BLOCK_BYTES = 65_536;

/** Fills `block` with the bytes of block `index` (a xorshift sequence seeded with it). */
export function fillBlock(block: Buffer, index: number): void {
  let x = (index + 1) * 0x9e3779b1;
  for (let i = 0; i + 4 <= block.length; i += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    block.writeInt32LE(x | 0, i);
  }
}

/** The first `length` bytes, block by block. */
export function* payload(length: number): Generator<Buffer, void> {
  for (let index = 0, left = length; left > 0; index++, left -= BLOCK_BYTES) {
    const block = Buffer.alloc(BLOCK_BYTES);
    fillBlock(block, index);
    yield block.subarray(0, Math.min(left, BLOCK_BYTES));
  }
}
