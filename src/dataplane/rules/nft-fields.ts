// SPDX-License-Identifier: Apache-2.0
// What nftables' load expressions mean for the packet that opens a connection: payload, meta and ct as fields, and
// comparisons as ranges. Throws UnreadableError for what the engine cannot know. Pure.

import { makeRanges, type Ranges } from '../../lvs/classify/ranges.ts';
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
  field,
} from '../../lvs/classify/rules.ts';
import { UnreadableError } from './draft.ts';

/** By base: NFT_PAYLOAD_LL_HEADER … NFT_PAYLOAD_TRANSPORT_HEADER. */
const PAYLOAD_BASES: readonly number[] = [FROM_LINK, FROM_NETWORK, FROM_TRANSPORT];
const LINK_LENGTH = 14;
const MAX_OFFSET = 255;

/** NFT_META_ keys by number, for messages. */
const META_NAMES: readonly string[] = [
  ...['length', 'protocol', 'priority', 'mark', 'iif', 'oif', 'iifname', 'oifname', 'iiftype', 'oiftype', 'skuid'],
  ...['skgid', 'nftrace', 'rtclassid', 'secmark', 'nfproto', 'l4proto', 'ibrname', 'obrname', 'pkttype', 'cpu'],
  ...['iifgroup', 'oifgroup', 'cgroup', 'random', 'ipsec', 'iifkind', 'oifkind', 'ibrpvid', 'ibrvproto', 'time'],
  ...['day', 'hour', 'sdif', 'sdifname'],
];

export const META_MARK = 3;

/** Of the keys that are the same for every packet that the engine gets: ARPHRD_ETHER, PACKET_HOST. */
const META_CONSTANTS: Readonly<Record<string, readonly number[]>> = { iiftype: [1, 0], pkttype: [0] };

const META_FIELDS: Readonly<Record<string, Field>> = {
  length: field(FROM_LENGTH, 0, 4),
  protocol: field(FROM_LINK, 12, 2),
  mark: field(FROM_MARK, 0, 4),
  iif: field(FROM_DEVICE, 0, 4),
  iifname: field(FROM_NAME, 0, 16),
  nfproto: field(FROM_FAMILY, 0, 1),
  l4proto: field(FROM_PROTOCOL, 0, 1),
};

/** What may be set without a say in anybody's mark. */
const HARMLESS_META: readonly string[] = ['priority', 'nftrace', 'secmark'];

export const CT_MARK = 3;
const CT_FIELDS: Readonly<Record<number, Field>> = {
  0: field(FROM_CT_STATE, 0, 4),
  1: field(FROM_CT_DIRECTION, 0, 1),
  [CT_MARK]: field(FROM_CT_MARK, 0, 4),
};

const CT_NAMES: readonly string[] = [
  ...['state', 'direction', 'status', 'mark', 'secmark', 'expiration', 'helper', 'l3proto', 'saddr', 'daddr'],
  ...['protocol', 'proto-src', 'proto-dst', 'label', 'packets', 'bytes', 'avgpkt', 'zone', 'event', 'ip saddr'],
  ...['ip daddr', 'ip6 saddr', 'ip6 daddr', 'id'],
];

const [CMP_EQ, CMP_NEQ, CMP_LT, CMP_LTE, CMP_GT, CMP_GTE] = [0, 1, 2, 3, 4, 5];

export function payloadField(base: number, offset: number, length: number): Field {
  const source = PAYLOAD_BASES[base];
  if (source === undefined) throw new UnreadableError('payload of an inner header');
  if (offset < 0 || offset > MAX_OFFSET || length < 1 || length > MAX_OFFSET) {
    throw new UnreadableError(`payload of ${length} bytes at ${offset}`);
  }
  if (source === FROM_LINK && offset + length > LINK_LENGTH) throw new UnreadableError('payload behind Ethernet');
  return field(source, offset, length);
}

/** The field of a key, or the bytes that it always has. */
export function metaField(key: number): Field | Uint8Array {
  const name = META_NAMES[key] ?? `key ${key}`;
  if (Object.hasOwn(META_CONSTANTS, name)) return Uint8Array.from(META_CONSTANTS[name]);
  if (Object.hasOwn(META_FIELDS, name)) return META_FIELDS[name];
  throw new UnreadableError(`meta ${name}`);
}

/** Whether setting a key writes the mark; others have no say or cannot be done. */
export function setsMark(key: number): boolean {
  const name = META_NAMES[key] ?? `key ${key}`;
  if (key === META_MARK) return true;
  if (HARMLESS_META.includes(name)) return false;
  throw new UnreadableError(`meta ${name} set`);
}

export function ctField(key: number): Field {
  const found = CT_FIELDS[key];
  if (found === undefined) throw new UnreadableError(`ct ${CT_NAMES[key] ?? `key ${key}`}`);
  return found;
}

/** What a comparison with `words` asks; the first word counts most. */
export function comparison(operator: number, words: readonly number[]): { ranges: Ranges; negated: boolean } {
  const least = words.map(() => 0);
  const most = words.map(() => 0xffffffff);
  const within = (low: readonly number[], high: readonly number[], negated: boolean) => ({
    ranges: makeRanges(words.length, [{ low, high }]),
    negated,
  });
  switch (operator) {
    case CMP_EQ:
    case CMP_NEQ:
      return within(words, words, operator === CMP_NEQ);
    case CMP_LT:
      return within(words, most, true);
    case CMP_LTE:
      return within(least, words, false);
    case CMP_GT:
      return within(least, words, true);
    case CMP_GTE:
      return within(words, most, false);
    default:
      throw new UnreadableError(`comparison ${operator}`);
  }
}

/** Whether a comparison needs no order: that of numbers in the machine's byte order means nothing. */
export function isEquality(operator: number): boolean {
  return operator === CMP_EQ || operator === CMP_NEQ;
}
