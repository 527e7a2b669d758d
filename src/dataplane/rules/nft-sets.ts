// SPDX-License-Identifier: Apache-2.0
// nftables' sets and maps as sorted ranges. Pure.

import {
  NFT_SET_ELEM_INTERVAL_END,
  NFT_SET_EVAL,
  NFT_SET_INTERVAL,
  type NftElement,
  type NftSet,
} from '../../linux/netfilter/nft-message.ts';
import { compare, makeBoxes, makeMap, makeRanges, type Ranges, type Span } from '../../lvs/classify/ranges.ts';
import { UnreadableError } from './draft.ts';

/** A set to search in. */
export interface SetContent {
  readonly ranges: Ranges;
  /** The element of each range; empty for a set that is no map. */
  readonly elements: readonly NftElement[];
  /** The element that stands for all keys that are in no range. */
  readonly otherwise: NftElement | undefined;
}

interface Entry extends Span {
  readonly element: NftElement;
}

const WORD_BYTES = 4;

/**
 * The content of a set whose keys are compared with a field. `isHost` tells of each word whether the kernel has it in the
 * machine's byte order. Throws UnreadableError.
 */
export function setContent(
  set: NftSet,
  elements: readonly NftElement[],
  isMap: boolean,
  isHost: readonly boolean[],
): SetContent {
  const name = `set '${set.name}'`;
  if ((set.flags & NFT_SET_EVAL) !== 0) throw new UnreadableError(`${name} is changed by packets`);
  if (elements.some((element) => element.isConditional)) throw new UnreadableError(`${name} has conditions`);
  const isInterval = (set.flags & NFT_SET_INTERVAL) !== 0;
  // Their order is that of the bytes in memory, and means nothing.
  if (isInterval && isHost.includes(true)) throw new UnreadableError(`${name} has ranges of numbers in host order`);
  const otherwise = elements.find((element) => element.key === undefined);
  const words = (key: Uint8Array): number[] => keyWords(key, isHost);
  const width = isHost.length;
  const parts = set.parts.map((bytes) => Math.ceil(bytes / WORD_BYTES));
  if (isInterval && parts.length > 1) {
    if (parts.reduce((sum, one) => sum + one) !== width) throw new UnreadableError(`${name} has keys of another size`);
    const entries = withKeys(elements).map(({ key, element }) => ({
      low: words(key),
      high: words(element.keyEnd ?? key),
      element,
    }));
    return { ranges: makeBoxes(parts, entries), elements: entries.map(({ element }) => element), otherwise };
  }
  const entries = isInterval ? intervals(elements, words, set.keyLength) : singles(elements, words);
  if (!isMap) return { ranges: makeRanges(width, entries), elements: [], otherwise };
  const { ranges, sorted } = makeMap(width, entries);
  return { ranges, elements: sorted.map(({ element }) => element), otherwise };
}

/** The time until the next element of a set expires, or Infinity. */
export function nextExpiryMs(elements: readonly NftElement[]): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { expiresMs } of elements) if (expiresMs !== undefined && expiresMs < next) next = expiresMs;
  return next;
}

/** Words of a key, zeros behind it; those in host order become the numbers that they are. */
export function keyWords(key: Uint8Array, isHost: readonly boolean[]): number[] {
  const padded = new Uint8Array(isHost.length * WORD_BYTES);
  padded.set(key.subarray(0, padded.length));
  const view = new DataView(padded.buffer);
  return isHost.map((host, i) => view.getUint32(i * WORD_BYTES, host));
}

function withKeys(elements: readonly NftElement[]): { key: Uint8Array; element: NftElement }[] {
  return elements.flatMap((element) => (element.key === undefined ? [] : [{ key: element.key, element }]));
}

function singles(elements: readonly NftElement[], words: (key: Uint8Array) => number[]): Entry[] {
  return withKeys(elements).map(({ key, element }) => {
    const low = words(key);
    return { low, high: low, element };
  });
}

/** An element begins a range, the next one with NFT_SET_ELEM_INTERVAL_END is the first behind it. */
function intervals(elements: readonly NftElement[], words: (key: Uint8Array) => number[], keyLength: number): Entry[] {
  const isEnd = (element: NftElement): boolean => (element.flags & NFT_SET_ELEM_INTERVAL_END) !== 0;
  const bounds = withKeys(elements)
    .map(({ key, element }) => ({ at: words(key), element }))
    .sort((a, b) => compare(a.at, b.at) || Number(isEnd(b.element)) - Number(isEnd(a.element)));
  const entries: Entry[] = [];
  let open: (typeof bounds)[number] | undefined;
  const close = (high: number[]): void => {
    if (open !== undefined) entries.push({ low: open.at, high, element: open.element });
    open = undefined;
  };
  for (const bound of bounds) {
    if (open !== undefined) close(before(bound.at, keyLength));
    if (isEnd(bound.element)) continue;
    open = bound;
    if (bound.element.keyEnd !== undefined) close(words(bound.element.keyEnd));
  }
  close(words(new Uint8Array(keyLength).fill(0xff)));
  return entries;
}

/** The key of `keyLength` bytes before this one, which is not the first. */
function before(key: readonly number[], keyLength: number): number[] {
  const result = [...key];
  // The last byte of the key is not the last of its word.
  let step = 2 ** (8 * (key.length * WORD_BYTES - keyLength));
  for (let i = result.length - 1; i >= 0; i--) {
    if (result[i] >= step) {
      result[i] -= step;
      break;
    }
    result[i] = 2 ** 32 - step;
    step = 1;
  }
  return result;
}
