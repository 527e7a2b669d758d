// SPDX-License-Identifier: Apache-2.0
// iptables' matches: the structures of include/uapi/linux/netfilter/xt_*.h, as the tests that they are for the packet
// that opens a connection. Used for iptables-legacy and for nft's `match` expressions, which carry the same bytes. Pure.

import { NATIVE_LE } from '../libc.ts';
import { NFPROTO_IPV6 } from './nfnetlink.ts';
import { bytes32, exact, NEVER, numberTest, portTest, slice, type XtTest, XtUnreadable } from './xt-test.ts';

const MAX_PORT = 0xffff;

/** Offsets of source and destination port in the headers of TCP, UDP and SCTP. */
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const TCP_FLAGS = 13;

/** NF_CT_STATE_ bits that conntrack's states stand for here; `untracked` has another bit in the match's own mask. */
const CT_UNTRACKED = 64;
const XT_CONNTRACK_STATE = 1;
const XT_CONNTRACK_STATE_ALIAS = 1 << 13;
const XT_CONNTRACK_STATE_UNTRACKED = 1 << 8;

/** The tests of a match. Throws XtUnreadable for one that is not understood, NetlinkFormatError for one cut short. */
export function matchTests(family: number, name: string, revision: number, info: DataView): XtTest[] {
  const decode = Object.hasOwn(MATCHES, name) ? MATCHES[name] : undefined;
  if (decode === undefined) throw new XtUnreadable(`match '${name}'`);
  const tests = decode({ info, family, revision });
  if (tests === undefined) throw new XtUnreadable(`match '${name}' revision ${revision}`);
  return tests;
}

interface MatchInfo {
  readonly info: DataView;
  readonly family: number;
  readonly revision: number;
}

/** Undefined for a revision that is not known. */
type Decoder = (match: MatchInfo) => XtTest[] | undefined;

const MATCHES: Readonly<Record<string, Decoder>> = {
  comment: () => [],
  //  0 source ports(4)  4 destination ports(4)  8 option(1)  9 flag mask(1)  10 flags(1)  11 inverted(1)
  tcp: ({ info }) => {
    const inverted = u8(info, 11);
    if (u8(info, 8) !== 0) throw new XtUnreadable("option of match 'tcp'");
    const mask = slice(info, 9, 1);
    const flags: XtTest[] =
      mask[0] === 0 && (inverted & 4) === 0
        ? []
        : [
            {
              from: 'transport',
              offset: TCP_FLAGS,
              length: 1,
              mask,
              ranges: exact(slice(info, 10, 1)),
              negated: (inverted & 4) !== 0,
            },
          ];
    return [...ports(info, 0, SOURCE_PORT, inverted & 1), ...ports(info, 4, DESTINATION_PORT, inverted & 2), ...flags];
  },
  //  0 source ports(4)  4 destination ports(4)  8 inverted(1)
  udp: ({ info }) => {
    const inverted = u8(info, 8);
    return [...ports(info, 0, SOURCE_PORT, inverted & 1), ...ports(info, 4, DESTINATION_PORT, inverted & 2)];
  },
  //  0 destination ports(4)  4 source ports(4)  8 chunks(256)  264 …(20)  284 flags(4)  288 inverted(4)
  sctp: ({ info }) => {
    const flags = u32(info, 284);
    const inverted = u32(info, 288);
    if ((flags & 4) !== 0) throw new XtUnreadable("chunk types of match 'sctp'");
    return [
      ...((flags & 1) !== 0 ? ports(info, 4, SOURCE_PORT, inverted & 1) : []),
      ...((flags & 2) !== 0 ? ports(info, 0, DESTINATION_PORT, inverted & 2) : []),
    ];
  },
  //  0 which(1)  1 count(1)  2 ports(2 × 15)  32 first of a range(1 × 15)  47 inverted(1)
  multiport: ({ info, revision }) => (revision === 1 ? multiport(info) : undefined),
  //  0 mark(4)  4 mask(4)  8 inverted(1)
  mark: ({ info, revision }) =>
    revision === 1 ? [numberTest('mark', u32(info, 0), u32(info, 4), u8(info, 8) !== 0)] : undefined,
  connmark: ({ info, revision }) =>
    revision === 1 ? [numberTest('connection-mark', u32(info, 0), u32(info, 4), u8(info, 8) !== 0)] : undefined,
  //  0 source first(16)  16 source last(16)  32 destination first(16)  48 destination last(16)  64 flags(1)
  iprange: ({ info, family, revision }) => (revision === 1 ? addressRanges(info, family) : undefined),
  //  0 address(6)  8 inverted(4)
  mac: ({ info }) => [
    { from: 'link', offset: 6, length: 6, ranges: exact(slice(info, 0, 6)), negated: u32(info, 8) !== 0 },
  ],
  //  0 states(4)
  state: ({ info }) => [stateTest(u32(info, 0), false)],
  conntrack: ({ info, revision }) => (revision >= 1 && revision <= 3 ? conntrack(info, revision) : undefined),
  //  0 least(2)  2 most(2)  4 inverted(1)
  length: ({ info }) => [
    {
      from: 'length',
      offset: 0,
      length: 4,
      ranges: [{ low: bytes32(u16(info, 0)), high: bytes32(u16(info, 2)) }],
      negated: u8(info, 4) !== 0,
    },
  ],
  //  0 dscp(1)  1 inverted(1)
  dscp: ({ info, family }) => [tosTest(family, 0xfc, u8(info, 0) << 2, u8(info, 1) !== 0)],
  //  0 mask(1)  1 value(1)  2 inverted(1)
  tos: ({ info, family, revision }) =>
    revision === 1 ? [tosTest(family, u8(info, 0), u8(info, 1), u8(info, 2) !== 0)] : undefined,
  //  0 mode(1)  1 value(1)
  ttl: ({ info }) => [hopsTest(info, 8)],
  hl: ({ info }) => [hopsTest(info, 7)],
  //  0 type(4)  4 inverted(4): the packet is for this host, 0
  pkttype: ({ info }) => ((u32(info, 0) === 0) === (u32(info, 4) === 0) ? [] : [NEVER]),
};

function ports(info: DataView, at: number, offset: number, inverted: number): XtTest[] {
  const low = u16(info, at);
  const high = u16(info, at + 2);
  if (low === 0 && high === MAX_PORT && inverted === 0) return [];
  return [portTest(offset, [[low, high]], inverted !== 0)];
}

function multiport(info: DataView): XtTest[] {
  const which = u8(info, 0);
  if (which > 1) throw new XtUnreadable("match 'multiport' of source or destination");
  const ranges: [number, number][] = [];
  for (let i = 0; i < Math.min(15, u8(info, 1)); i++) {
    const first = u16(info, 2 + 2 * i);
    const isRange = i < 14 && u8(info, 32 + i) !== 0;
    ranges.push([first, isRange ? u16(info, 2 + 2 * ++i) : first]);
  }
  return [portTest(which === 0 ? SOURCE_PORT : DESTINATION_PORT, ranges, u8(info, 47) !== 0)];
}

function addressRanges(info: DataView, family: number): XtTest[] {
  const flags = u8(info, 64);
  const isIpv6 = family === NFPROTO_IPV6;
  const length = isIpv6 ? 16 : 4;
  const source = isIpv6 ? 8 : 12;
  const range = (at: number, offset: number, negated: number): XtTest => ({
    from: 'network',
    offset,
    length,
    ranges: [{ low: slice(info, at, length), high: slice(info, at + 16, length) }],
    negated: negated !== 0,
  });
  return [
    ...((flags & 0x01) !== 0 ? [range(0, source, flags & 0x10)] : []),
    ...((flags & 0x02) !== 0 ? [range(32, source + length, flags & 0x20)] : []),
  ];
}

//  0 addresses and masks(8 × 16)  128 lifetimes(8)  136 protocol(2)  138 ports(4 × 2)  146 what is asked(2)
//  148 inverted(2)  150 states(1, revision 1; 2)
function conntrack(info: DataView, revision: number): XtTest[] {
  const asked = u16(info, 146) & ~XT_CONNTRACK_STATE_ALIAS;
  if (asked !== XT_CONNTRACK_STATE) throw new XtUnreadable("match 'conntrack' of more than the state");
  const states = revision === 1 ? u8(info, 150) : u16(info, 150);
  const known = states & 0x0f;
  const untracked = (states & XT_CONNTRACK_STATE_UNTRACKED) !== 0 ? CT_UNTRACKED : 0;
  return [stateTest(known | untracked, (u16(info, 148) & XT_CONNTRACK_STATE) !== 0)];
}

/** One of the states, or none of them. */
function stateTest(states: number, inverted: boolean): XtTest {
  return numberTest('connection-state', 0, states, !inverted);
}

/** Type of service, or the traffic class, which lies across two bytes. */
function tosTest(family: number, mask: number, value: number, negated: boolean): XtTest {
  const shifted = (bits: number): Uint8Array => Uint8Array.of((bits >>> 4) & 0x0f, (bits << 4) & 0xf0);
  const [length, offset, bits] =
    family === NFPROTO_IPV6
      ? ([2, 0, shifted] as const)
      : ([1, 1, (plain: number): Uint8Array => Uint8Array.of(plain)] as const);
  return { from: 'network', offset, length, mask: bits(mask), ranges: exact(bits(value)), negated };
}

/** Modes of IPT_TTL_ and IP6T_HL_: equal, not equal, less, greater. */
function hopsTest(info: DataView, offset: number): XtTest {
  const mode = u8(info, 0);
  const value = slice(info, 1, 1);
  const test = { from: 'network', offset, length: 1 } as const;
  const least = Uint8Array.of(0);
  const most = Uint8Array.of(255);
  switch (mode) {
    case 0:
    case 1:
      return { ...test, ranges: exact(value), negated: mode === 1 };
    case 2:
      return { ...test, ranges: [{ low: value, high: most }], negated: true };
    case 3:
      return { ...test, ranges: [{ low: least, high: value }], negated: true };
    default:
      throw new XtUnreadable('comparison of a hop limit');
  }
}

function u8(info: DataView, at: number): number {
  return slice(info, at, 1)[0];
}

function u16(info: DataView, at: number): number {
  return new DataView(slice(info, at, 2).buffer).getUint16(0, NATIVE_LE);
}

function u32(info: DataView, at: number): number {
  return new DataView(slice(info, at, 4).buffer).getUint32(0, NATIVE_LE);
}
