// SPDX-License-Identifier: Apache-2.0
// nf_tables messages and iptables tables put together byte by byte, for tests of what takes them apart: a rule of every
// kind of expression that is known, and one entry of every kind of match.

import {
  MessageBuilder,
  NetlinkFormatError,
  type NetlinkMessage,
  parseMessages,
} from '../../../src/linux/netlink-message.ts';

const be32 = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

/** A message of nf_tables in family inet. */
function message(kind: number, fill: (builder: MessageBuilder) => void): Uint8Array {
  const builder = new MessageBuilder((10 << 8) | kind, 0, Uint8Array.of(1, 0, 0, 0));
  fill(builder);
  return builder.finish().slice();
}

type Fields = Readonly<Record<number, number | string | Uint8Array | ((builder: MessageBuilder) => void)>>;

function put(builder: MessageBuilder, fields: Fields): void {
  for (const [type, value] of Object.entries(fields)) {
    if (typeof value === 'number') builder.bytes(Number(type), be32(value));
    else if (typeof value === 'string') builder.text(Number(type), value);
    else if (typeof value === 'function') builder.nest(Number(type), value);
    else builder.bytes(Number(type), value);
  }
}

const value =
  (...bytes: number[]) =>
  (builder: MessageBuilder): void =>
    void builder.bytes(1, Uint8Array.from(bytes));
const verdict =
  (code: number, chain?: string) =>
  (builder: MessageBuilder): void => {
    builder.nest(2, (inner) => put(inner, chain === undefined ? { 1: code } : { 1: code, 2: chain }));
  };

const expression =
  (name: string, fields: Fields) =>
  (builder: MessageBuilder): void => {
    builder.nest(1, (element) => {
      element.text(1, name);
      element.nest(2, (inner) => put(inner, fields));
    });
  };

/** Rules, each a list of expressions. */
const RULES: readonly (readonly ((builder: MessageBuilder) => void)[])[] = [
  [
    expression('payload', { 1: 1, 2: 1, 3: 16, 4: 4 }),
    expression('bitwise', { 1: 1, 2: 1, 3: 4, 4: value(255, 255, 0, 0), 5: value(0, 0, 0, 0) }),
    expression('cmp', { 1: 1, 2: 0, 3: value(192, 0, 0, 0) }),
    expression('immediate', { 1: 1, 2: value(7, 0, 0, 0) }),
    expression('meta', { 2: 3, 3: 1 }),
  ],
  [
    expression('meta', { 1: 1, 2: 6 }),
    expression('cmp', { 1: 1, 2: 0, 3: value(0x65, 0x74, 0x68, 0x30, 0) }),
    expression('meta', { 1: 1, 2: 3 }),
    expression('byteorder', { 1: 1, 2: 1, 3: 1, 4: 4, 5: 4 }),
    expression('range', { 1: 1, 2: 0, 3: value(0, 0, 0, 1), 4: value(0, 0, 0, 9) }),
    expression('counter', {}),
    expression('immediate', { 1: 0, 2: verdict(-3, 'other') }),
  ],
  [
    expression('payload', { 1: 1, 2: 2, 3: 2, 4: 2 }),
    expression('lookup', { 1: 'map', 2: 1, 3: 1 }),
    expression('meta', { 2: 3, 3: 1 }),
    expression('payload', { 1: 1, 2: 2, 3: 2, 4: 2 }),
    expression('lookup', { 1: 'verdicts', 2: 1, 3: 0 }),
  ],
  [
    expression('ct', { 1: 1, 2: 3 }),
    expression('bitwise', { 1: 1, 2: 1, 3: 4, 6: 2, 7: value(4, 0, 0, 0) }),
    expression('cmp', { 1: 1, 2: 5, 3: value(1, 0, 0, 0) }),
    expression('ct', { 2: 3, 4: 1 }),
    expression('objref', { 1: 1, 2: 'counted' }),
    expression('notrack', {}),
    expression('immediate', { 1: 0, 2: verdict(0) }),
  ],
  [expression('limit', { 1: new Uint8Array(8) }), expression('immediate', { 1: 0, 2: verdict(-5) })],
];

const table = message(0, (builder) => put(builder, { 1: 't', 2: 0 }));
const chains = [
  message(3, (builder) =>
    put(builder, { 1: 't', 3: 'base', 4: (hook) => put(hook, { 1: 0, 2: -150 }), 5: 1, 7: 'filter' }),
  ),
  message(3, (builder) => put(builder, { 1: 't', 3: 'other' })),
];
const rules = RULES.map((expressions, i) =>
  message(6, (builder) => {
    put(builder, { 1: 't', 2: i < 4 ? 'base' : 'other', 3: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, i + 1) });
    builder.nest(4, (list) => {
      for (const one of expressions) one(list);
    });
  }),
);
const sets = [
  message(9, (builder) => put(builder, { 1: 't', 2: 'map', 3: 8, 5: 2, 6: 19, 7: 4 })),
  message(9, (builder) => put(builder, { 1: 't', 2: 'verdicts', 3: 12, 5: 2, 6: 0xffffff00, 7: 16 })),
];
const elements = [
  message(12, (builder) =>
    builder.nest(3, (list) => list.nest(1, (element) => put(element, { 1: value(0, 80), 2: value(9, 0, 0, 0), 3: 0 }))),
  ),
  message(12, (builder) =>
    builder.nest(3, (list) => {
      list.nest(1, (element) => put(element, { 1: value(0, 80), 2: verdict(-3, 'other'), 3: 0 }));
      list.nest(1, (element) => put(element, { 1: value(0, 90), 3: 1 }));
    }),
  ),
];

/** One rule set as messages. */
export const NFT_MESSAGES = { table, chains, rules, sets, elements };

/** The first message in bytes that may be anything. Throws NetlinkFormatError. */
export function openMessage(bytes: Uint8Array): NetlinkMessage {
  const [first] = parseMessages(bytes);
  if (first === undefined) throw new NetlinkFormatError('nothing');
  return first;
}

const le16 = (number: number): number[] => [number & 255, number >>> 8];

/** Matches of iptables with room behind what is known of them. */
const MATCHES: readonly (readonly [name: string, revision: number, size: number])[] = [
  ['tcp', 0, 16],
  ['multiport', 1, 48],
  ['mark', 1, 16],
  ['connmark', 1, 16],
  ['iprange', 1, 72],
  ['mac', 0, 16],
  ['conntrack', 3, 168],
  ['sctp', 0, 296],
  ['length', 0, 8],
  ['comment', 0, 256],
  ['unheard', 9, 8],
];

function extension(name: string, revision: number, data: readonly number[]): number[] {
  const padded = [...data, ...new Array<number>((8 - (data.length % 8)) % 8).fill(0)];
  const text = [...Buffer.from(name.padEnd(29, '\0'), 'latin1')];
  return [...le16(32 + padded.length), ...text, revision, ...padded];
}

function entry(matches: readonly number[], target: readonly number[]): number[] {
  const head = new Array<number>(112).fill(0);
  head.splice(88, 4, ...le16(112 + matches.length), ...le16(112 + matches.length + target.length));
  return [...head, ...matches, ...target];
}

/** A mangle table of IPv4 whose PREROUTING has a rule for each match; and where its chain begins. */
export function xtTable(): { bytes: Uint8Array<ArrayBuffer>; underflow: number } {
  const mark = extension('MARK', 2, [7, 0, 0, 0, 255, 255, 255, 255]);
  const bodies = MATCHES.map(([name, revision, size]) =>
    entry(extension(name, revision, new Array(size).fill(0)), mark),
  );
  const policy = entry([], extension('', 0, [0xfe, 0xff, 0xff, 0xff]));
  const end = entry([], extension('ERROR', 0, [...Buffer.from('ERROR'.padEnd(30, '\0'))]));
  const before = bodies.flat();
  return { bytes: Uint8Array.from([...before, ...policy, ...end]), underflow: before.length };
}
