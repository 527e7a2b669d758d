// SPDX-License-Identifier: Apache-2.0
// Names of fields and texts of their values, close to nftables' words: `ip daddr`, `th dport`, `iifname`. What has no
// name stands as `@nh,BITS,LENGTH`. For format-rule.ts.

import { formatAddress } from '../../packet/address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';
import { prefixMask } from '../../packet/prefix.ts';
import {
  type Field,
  FROM_CT_DIRECTION,
  FROM_CT_MARK,
  FROM_CT_STATE,
  FROM_DEVICE,
  FROM_FAMILY,
  FROM_LENGTH,
  FROM_LINK,
  FROM_MARK,
  FROM_NAME,
  FROM_NETWORK,
  FROM_PROTOCOL,
  FROM_TRANSPORT,
  isNumber,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  sizeMask,
  type Word,
} from './rules.ts';

/** Text of the words of a value. */
type Format = (words: readonly number[]) => string;

export interface FieldText {
  readonly name: string;
  readonly format: Format;
}

/** Name and values of a field; a concatenation's are joined by ` . `. */
export function describeField(field: Field): FieldText {
  const parts: (FieldText & { readonly first: number; readonly end: number })[] = [];
  for (let first = 0; first < field.length; ) {
    let end = first + 1;
    while (end < field.length && continues(field[end - 1], field[end])) end++;
    parts.push({ ...describePart(field.slice(first, end)), first, end });
    first = end;
  }
  return {
    name: parts.map(({ name }) => name).join(' . '),
    format: (words) => parts.map(({ format, first, end }) => format(words.slice(first, end))).join(' . '),
  };
}

export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

function continues(word: Word, next: Word): boolean {
  const isSame = word.source === next.source && !isNumber(word.source) && word.size === 4;
  // Two addresses side by side are two fields.
  return isSame && next.offset === word.offset + 4 && !(word.source === FROM_NETWORK && isBoundary(word, next));
}

/** Between source and destination of IPv4 when neither word belongs to IPv6. */
function isBoundary(word: Word, next: Word): boolean {
  return word.offset === IPV4_SADDR && next.offset === IPV4_DADDR;
}

const IPV4_SADDR = 12;
const IPV4_DADDR = 16;
const IPV6_SADDR = 8;
const IPV6_DADDR = 24;

function describePart(words: Field): FieldText {
  const { source, offset } = words[0];
  const length = words.reduce((sum, word) => sum + word.size, 0);
  const bits = words.reduce((sum, word) => sum + Math.clz32(~word.and), 0);
  if (source === FROM_NAME) return { name: 'iifname', format: (value) => formatName(value, bits / 8) };
  const isPlain = words.every(({ xor, shift }) => xor === 0 && shift === 0);
  const isPrefix = isPlain && words.every((word, i) => word.and === prefixMask(bits, i));
  const address = source === FROM_NETWORK && isPrefix ? describeAddress(offset, length, bits) : undefined;
  if (address !== undefined) return address;
  const { name, format } = describeBytes(source, offset, length);
  const isFull = words.every((word) => word.and === (isNumber(source) ? -1 : sizeMask(word.size)));
  if (isFull && isPlain) return { name, format };
  const mask = words.map((word) => hex(isNumber(source) ? word.and : word.and >>> (32 - 8 * word.size))).join('');
  const [{ xor, shift }] = words;
  const change = isPlain ? '' : ` ^ ${hex(xor)} >> ${shift}`;
  return { name: `${name} & ${mask}${change}`, format };
}

/** An address, or its leading bytes or bits. */
function describeAddress(offset: number, length: number, bits: number): FieldText | undefined {
  const isIpv6 = offset === IPV6_SADDR || offset === IPV6_DADDR;
  if (length > 4 && !isIpv6) return undefined;
  const name = {
    [IPV4_SADDR]: 'ip saddr',
    [IPV4_DADDR]: 'ip daddr',
    [IPV6_SADDR]: 'ip6 saddr',
    [IPV6_DADDR]: 'ip6 daddr',
  }[offset];
  if (name === undefined || bits < 8 * Math.min(length, 1)) return undefined;
  const suffix = bits === (isIpv6 ? 128 : 32) ? '' : `/${bits}`;
  const format: Format = isIpv6
    ? ([w0 = 0, w1 = 0, w2 = 0, w3 = 0]) => `${formatAddress(6, [w0, w1, w2, w3])}${suffix}`
    : (words) => `${formatAddress(4, words)}${suffix}`;
  return { name, format };
}

function describeBytes(source: number, offset: number, length: number): FieldText {
  const named = NAMED[source] ?? HEADER_FIELDS[`${source} ${offset} ${length}`];
  if (named !== undefined) return named;
  const base = source === FROM_NETWORK ? 'nh' : source === FROM_TRANSPORT ? 'th' : 'll';
  return { name: `@${base},${8 * offset},${8 * length}`, format: (words) => words.map(hex).join(' ') };
}

const PROTOCOLS: Readonly<Record<number, string>> = {
  [IPPROTO_TCP]: 'tcp',
  [IPPROTO_UDP]: 'udp',
  [IPPROTO_SCTP]: 'sctp',
};
const FAMILIES: Readonly<Record<number, string>> = { [NFPROTO_IPV4]: 'ipv4', [NFPROTO_IPV6]: 'ipv6' };

const formatHex: Format = ([word]) => hex(word);
const formatNumber: Format = ([word]) => String(word >>> 0);
const formatByte: Format = ([word]) => hex(word >>> 24);
const formatPort: Format = ([word]) => String(word >>> 16);
const formatProtocol: Format = ([word]) => PROTOCOLS[word >>> 24] ?? String(word >>> 24);
const formatMac: Format = ([high, low]) =>
  [high >>> 24, high >>> 16, high >>> 8, high, low >>> 24, low >>> 16]
    .map((byte) => (byte & 255).toString(16).padStart(2, '0'))
    .join(':');

/** By source. */
const NAMED: Readonly<Record<number, FieldText>> = {
  [FROM_PROTOCOL]: { name: 'meta l4proto', format: formatProtocol },
  [FROM_FAMILY]: { name: 'meta nfproto', format: ([word]) => FAMILIES[word >>> 24] ?? String(word >>> 24) },
  [FROM_DEVICE]: { name: 'iif', format: formatNumber },
  [FROM_LENGTH]: { name: 'meta length', format: formatNumber },
  [FROM_MARK]: { name: 'meta mark', format: formatHex },
  [FROM_CT_MARK]: { name: 'ct mark', format: formatHex },
  [FROM_CT_STATE]: { name: 'ct state', format: formatHex },
  [FROM_CT_DIRECTION]: { name: 'ct direction', format: ([word]) => (word === 0 ? 'original' : hex(word)) },
};

/** By source, offset and length. */
const HEADER_FIELDS: Readonly<Record<string, FieldText>> = {
  [`${FROM_LINK} 0 6`]: { name: 'ether daddr', format: formatMac },
  [`${FROM_LINK} 6 6`]: { name: 'ether saddr', format: formatMac },
  [`${FROM_LINK} 12 2`]: { name: 'meta protocol', format: ([word]) => hex(word >>> 16) },
  [`${FROM_NETWORK} 1 1`]: { name: 'ip tos', format: formatByte },
  [`${FROM_NETWORK} 9 1`]: { name: 'ip protocol', format: formatProtocol },
  [`${FROM_TRANSPORT} 0 2`]: { name: 'th sport', format: formatPort },
  [`${FROM_TRANSPORT} 2 2`]: { name: 'th dport', format: formatPort },
  [`${FROM_TRANSPORT} 0 4`]: {
    name: 'th sport . th dport',
    format: ([word]) => `${word >>> 16} . ${word & 0xffff}`,
  },
  [`${FROM_TRANSPORT} 13 1`]: { name: 'tcp flags', format: formatByte },
};

/** A device's name of which `bytes` count; behind a name that ends later than they do comes anything. */
function formatName(words: readonly number[], bytes: number): string {
  let name = '';
  for (const word of words) {
    for (const shift of [24, 16, 8, 0]) {
      const byte = (word >>> shift) & 255;
      if (byte === 0) return `"${name}${name.length < bytes ? '' : '*'}"`;
      name += String.fromCharCode(byte);
    }
  }
  return `"${name}"`;
}
