// SPDX-License-Identifier: Apache-2.0
// Address prefixes: text to words and back. Canonical text is the prefix's first address and its length,
// `10.0.0.0/8`, `2001:db8::1/128`.

import {
  type Address,
  type AddressWords,
  addressFamily,
  addressWords,
  type Family,
  formatAddress,
  parseAddress,
} from './address.ts';

declare const tag: unique symbol;
type Brand<T, B extends string> = T & { readonly [tag]: B };

/** A prefix in canonical text. Made by {@link parsePrefix} or {@link formatPrefix}. */
export type Prefix = Brand<string, 'Prefix'>;

/** Canonical form of `text`, an address with or without a length, or undefined. Bits behind the length are cleared. */
export function parsePrefix(text: string): Prefix | undefined {
  const [addressText, lengthText, ...rest] = text.split('/');
  const address = parseAddress(addressText);
  if (address === undefined || rest.length > 0) return undefined;
  const family = addressFamily(address);
  const most = addressBits(family);
  if (lengthText === undefined) return formatPrefix(family, addressWords(address), most);
  const length = /^(0|[1-9]\d{0,2})$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  return length <= most ? formatPrefix(family, addressWords(address), length) : undefined;
}

export function formatPrefix(family: Family, words: AddressWords, length: number): Prefix {
  return `${formatAddress(family, firstOfPrefix(words, length))}/${length}` as Prefix;
}

export function prefixFamily(prefix: Prefix): Family {
  return prefix.includes(':') ? 6 : 4;
}

export function prefixLength(prefix: Prefix): number {
  return Number(prefix.slice(prefix.indexOf('/') + 1));
}

/** The first address of a prefix. */
export function prefixWords(prefix: Prefix): AddressWords {
  return addressWords(prefix.slice(0, prefix.indexOf('/')) as Address);
}

/** Bits of an address. */
export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** `words` with the bits behind the first `length` cleared. */
export function firstOfPrefix(words: AddressWords, length: number): AddressWords {
  const word = (i: number): number => words[i] & prefixMask(length, i);
  return [word(0), word(1), word(2), word(3)];
}

/** The last address of a prefix of `family`. */
export function lastOfPrefix(family: Family, words: AddressWords, length: number): AddressWords {
  const word = (i: number): number => (family === 4 && i > 0 ? 0 : words[i] | ~prefixMask(length, i));
  return [word(0), word(1), word(2), word(3)];
}

/** Of the mask that keeps the first `length` bits of an address, word `i`. */
export function prefixMask(length: number, i: number): number {
  const bits = length - 32 * i;
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}
