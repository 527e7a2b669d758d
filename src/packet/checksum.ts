// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071), whole and incremental (RFC 1624). Sums are plain integers of 16-bit words in
// network order that are folded at the end; a "difference" is such a sum too, so that the changes of several fields
// are added up first and applied to a checksum once.
// hot path

/** Folds a sum of 16-bit words (below 2^32) to 16 bits with end-around carry. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** Unfolded sum of `length` bytes at `offset` on top of `initial`; an odd last byte is padded with zero. */
export function sumBytes(view: DataView, offset: number, length: number, initial: number): number {
  let sum = initial;
  const end = offset + length;
  let at = offset;
  for (; at + 4 <= end; at += 4) {
    const word = view.getInt32(at);
    sum += (word >>> 16) + (word & 0xffff);
  }
  if (at + 2 <= end) {
    sum += view.getUint16(at);
    at += 2;
  }
  if (at < end) sum += view.getUint8(at) << 8;
  return sum;
}

/** Sum of the two halves of a 32-bit word. */
export function sumWord(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/** Checksum of `length` bytes: the complement of the folded sum. */
export function checksum(view: DataView, offset: number, length: number, initial: number): number {
  return ~fold(sumBytes(view, offset, length, initial)) & 0xffff;
}

/** Difference that replacing the 32-bit word `from` by `to` makes: ~m + m' of RFC 1624 eqn. 3. */
export function difference32(from: number, to: number): number {
  return (~from >>> 16) + (~from & 0xffff) + (to >>> 16) + (to & 0xffff);
}

/** Difference that replacing the 16-bit word `from` by `to` makes. */
export function difference16(from: number, to: number): number {
  return (~from & 0xffff) + to;
}

/** Checksum after a difference: HC' = ~(~HC + ~m + m'), RFC 1624 eqn. 3. */
export function applyDifference(old: number, difference: number): number {
  return ~fold((~old & 0xffff) + difference) & 0xffff;
}

/**
 * Sum of the words that the bytes `from` … `to` lie in, when words are counted from `base`. For differences only: taken
 * before and after a change of these bytes, it is right wherever they begin.
 */
export function sumCovering(view: DataView, base: number, from: number, to: number): number {
  const start = from - ((from - base) & 1);
  return sumBytes(view, start, to - start, 0);
}

/** Difference that replacing a 32-bit word by another makes at `distance` bytes from where words are counted. */
export function difference32At(distance: number, from: number, to: number): number {
  if ((distance & 1) === 0) return difference32(from, to);
  return difference32((from >>> 8) | (from << 24), (to >>> 8) | (to << 24));
}
