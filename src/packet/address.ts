// SPDX-License-Identifier: Apache-2.0
// IPv4 and IPv6 addresses: text to words and back. Words are signed 32-bit integers as `DataView.getInt32` reads them
// off the wire (signed, because V8 keeps those unboxed); an IPv4 address is one word, an IPv6 address four.
// Text is parsed strictly (RFC 4291 §2.2, dotted quad without leading zeros) and printed canonically (RFC 5952).

declare const tag: unique symbol;
type Brand<T, B extends string> = T & { readonly [tag]: B };

/** An address in canonical text: `10.0.0.1` or `2001:db8::1`. Made by {@link parseAddress} or {@link formatAddress}. */
export type Address = Brand<string, 'Address'>;

/** Address family by IP version number. */
export type Family = 4 | 6;

/** Words of an address: IPv4 in `[0]` with zeros behind it, IPv6 in `[0..3]`, each a signed 32-bit integer. */
export type AddressWords = readonly [number, number, number, number];

const IPV4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

/** The family of canonical text. */
export function addressFamily(address: Address): Family {
  return address.includes(':') ? 6 : 4;
}

/** Canonical form of `text`, or undefined when it is not an address. Zone indices (`%eth0`) are refused. */
export function parseAddress(text: string): Address | undefined {
  const words = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  if (words === undefined) return undefined;
  return formatAddress(text.includes(':') ? 6 : 4, words);
}

/** Words of canonical text. Throws a TypeError when `address` is not one (a bug of the caller, not of the user). */
export function addressWords(address: Address): AddressWords {
  const words = address.includes(':') ? parseIpv6(address) : parseIpv4(address);
  if (words === undefined) throw new TypeError(`not an IP address: '${address}'`);
  return words;
}

/** Canonical text of `words`. */
export function formatAddress(family: Family, words: ArrayLike<number>): Address {
  return (family === 4 ? formatIpv4(words[0]) : formatIpv6(words)) as Address;
}

/** Dotted quad of one word. */
export function formatIpv4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

function parseIpv4(text: string): AddressWords | undefined {
  const match = IPV4.exec(text);
  if (match === null) return undefined;
  let word = 0;
  for (let i = 1; i <= 4; i++) {
    const octet = Number(match[i]);
    if (octet > 255) return undefined;
    word = (word << 8) | octet;
  }
  return [word, 0, 0, 0];
}

function parseIpv6(text: string): AddressWords | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0], halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1], true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number): number => (groups[2 * i] << 16) | groups[2 * i + 1];
  return [word(0), word(1), word(2), word(3)];
}

/** Groups between the `::`; the last may be a dotted quad when `last` says that it ends the address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else if (last && i === parts.length - 1) {
      const quad = parseIpv4(part);
      if (quad === undefined) return undefined;
      groups.push(quad[0] >>> 16, quad[0] & 0xffff);
    } else {
      return undefined;
    }
  }
  return groups;
}

function formatIpv6(words: ArrayLike<number>): string {
  const groups: number[] = [];
  for (let i = 0; i < 4; i++) groups.push(words[i] >>> 16, words[i] & 0xffff);
  // RFC 5952 §4.2.3: the first of the longest runs of at least two zero groups is shortened.
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
    i += run;
  }
  const isMapped = start === 0 && length === 5 && groups[5] === 0xffff;
  if (isMapped) return `::ffff:${formatIpv4(words[3])}`;
  const hex = groups.map((g) => g.toString(16));
  if (start === -1) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}
