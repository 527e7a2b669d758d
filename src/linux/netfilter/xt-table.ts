// SPDX-License-Identifier: Apache-2.0
// A table of iptables-legacy as IPT_SO_GET_ENTRIES gives it (ipt_get_entries, include/uapi/linux/netfilter_ipv4/
// ip_tables.h and its IPv6 twin): one block of entries, in which chains are known by offsets. Pure.

import { NATIVE_LE } from '../libc.ts';
import { NetlinkFormatError } from '../netlink-message.ts';
import { NFPROTO_IPV4 } from './nfnetlink.ts';
import { bytes16, exact, NEVER, nameAt, slice, type XtSource, type XtTest } from './xt-test.ts';

export interface XtExtension {
  readonly name: string;
  readonly revision: number;
  readonly info: DataView;
}

export interface XtRule {
  /** Tests of the entry's own header. */
  readonly tests: readonly XtTest[];
  readonly matches: readonly XtExtension[];
  /** The name is empty for the standard target. */
  readonly target: XtExtension;
  /** Of the standard target: a verdict, or the offset of a chain's first rule. */
  readonly verdict: number;
  /** A jump that does not come back. */
  readonly isGoto: boolean;
}

export interface XtChain {
  readonly name: string;
  /** Where its first rule begins. */
  readonly offset: number;
  /** The hook whose packets it gets, NF_INET_ number, or undefined for a chain that others call. */
  readonly hook: number | undefined;
  /** The last one of a hook's chain is its policy, the last one of others returns. */
  readonly rules: readonly XtRule[];
}

export interface XtTable {
  readonly family: number;
  readonly name: string;
  readonly chains: readonly XtChain[];
}

/** What IPT_SO_GET_INFO says beside the size. */
export interface XtTableInfo {
  readonly validHooks: number;
  /** By hook. */
  readonly entries: readonly number[];
  readonly underflows: readonly number[];
}

/** Verdicts of the standard target. */
export const XT_DROP = -1;
export const XT_ACCEPT = -2;
export const XT_RETURN = -5;

/** Packets and bytes, in front of an entry's matches. */
const COUNTERS_SIZE = 16;
const HOOK_NAMES: readonly string[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];
const NAME_LENGTH = 29;

/** Where the parts of an entry are, by family. */
interface Layout {
  readonly address: number;
  readonly network: number;
  readonly protocol: number;
  readonly flags: number;
  readonly targetOffset: number;
  readonly matches: number;
  readonly gotoFlag: number;
}

//  0 addresses and masks(4 × 4)  16 devices and masks(4 × 16)  80 protocol(2)  82 flags(1)  83 inverted(1)  84 cache(4)
//  88 target offset(2)  90 next offset(2)  92 …(4)  96 counters(16)  112 matches                  struct ipt_entry
const IPV4: Layout = {
  address: 4,
  network: 12,
  protocol: 80,
  flags: 82,
  targetOffset: 88,
  matches: 112,
  gotoFlag: 2,
};
//  0 addresses and masks(4 × 16)  64 devices and masks(4 × 16)  128 protocol(2)  130 tos(1)  131 flags(1)  132 inverted(1)
//  136 cache(4)  140 target offset(2)  142 next offset(2)  144 …(4)  152 counters(16)  168 matches  struct ip6t_entry
const IPV6: Layout = {
  address: 16,
  network: 8,
  protocol: 128,
  flags: 131,
  targetOffset: 140,
  matches: 168,
  gotoFlag: 4,
};

const F_PROTO_IPV6 = 1;
const F_FRAG_IPV4 = 1;
const INV_VIA_IN = 0x01;
const INV_VIA_OUT = 0x02;
const INV_SRCIP = 0x08;
const INV_DSTIP = 0x10;
const INV_FRAG = 0x20;
const INV_PROTO = 0x40;

/** The table in `entries`. Throws NetlinkFormatError. */
export function parseXtTable(family: number, name: string, info: XtTableInfo, entries: DataView): XtTable {
  const layout = family === NFPROTO_IPV4 ? IPV4 : IPV6;
  const chains: { name: string; offset: number; hook: number | undefined; rules: XtRule[] }[] = [];
  const hookAt = (offset: number): number =>
    info.entries.findIndex((entry, hook) => entry === offset && (info.validHooks & (1 << hook)) !== 0);
  for (let at = 0; at < entries.byteLength; ) {
    const next = u16(entries, at + layout.targetOffset + 2);
    const targetAt = u16(entries, at + layout.targetOffset);
    if (next <= targetAt || targetAt < layout.matches || at + next > entries.byteLength) {
      throw new NetlinkFormatError(`entry of table '${name}' from ${targetAt} to ${next}`);
    }
    const entry = new DataView(entries.buffer, entries.byteOffset + at, next);
    const target = extensionAt(entry, targetAt, next);
    if (target.name === 'ERROR') {
      // The head of a chain that others call, or the end of the table.
      chains.push({
        name: nameAt(target.info, 0, target.info.byteLength),
        offset: at + next,
        hook: undefined,
        rules: [],
      });
    } else {
      const hook = hookAt(at);
      if (hook !== -1) chains.push({ name: HOOK_NAMES[hook] ?? `hook ${hook}`, offset: at, hook, rules: [] });
      const chain = chains.at(-1);
      if (chain === undefined) throw new NetlinkFormatError(`table '${name}' begins with a rule of no chain`);
      chain.rules.push(parseEntry(entry, layout, targetAt, target));
    }
    at += next;
  }
  return { family, name, chains: chains.filter((chain) => chain.hook !== undefined || chain.rules.length > 0) };
}

/** Zeroes what the kernel counts in the entries of a table that was parsed. */
export function clearCounters(family: number, entries: DataView): void {
  const layout = family === NFPROTO_IPV4 ? IPV4 : IPV6;
  for (let at = 0; at < entries.byteLength; at += u16(entries, at + layout.targetOffset + 2)) {
    const counters = at + layout.matches - COUNTERS_SIZE;
    for (let i = 0; i < COUNTERS_SIZE; i++) entries.setUint8(counters + i, 0);
  }
}

function parseEntry(entry: DataView, layout: Layout, targetAt: number, target: XtExtension): XtRule {
  const matches: XtExtension[] = [];
  for (let at = layout.matches; at < targetAt; ) {
    const size = u16(entry, at);
    matches.push(extensionAt(entry, at, targetAt));
    at += size;
  }
  return {
    tests: headerTests(entry, layout),
    matches,
    target,
    verdict: target.name === '' ? new DataView(slice(target.info, 0, 4).buffer).getInt32(0, NATIVE_LE) : 0,
    isGoto: (entry.getUint8(layout.flags) & layout.gotoFlag) !== 0,
  };
}

//  0 size(2)  2 name(29)  31 revision(1)  32 info                         struct xt_entry_match, struct xt_entry_target
function extensionAt(entry: DataView, at: number, end: number): XtExtension {
  const size = u16(entry, at);
  if (size < 32 || at + size > end) throw new NetlinkFormatError(`extension of ${size} bytes`);
  return {
    name: nameAt(entry, at + 2, NAME_LENGTH),
    revision: entry.getUint8(at + 31),
    info: new DataView(slice(entry, at + 32, size - 32).buffer),
  };
}

/** What ip_packet_match and ip6_packet_match ask (net/ipv4/netfilter/ip_tables.c, net/ipv6/netfilter/ip6_tables.c). */
function headerTests(entry: DataView, layout: Layout): XtTest[] {
  const { address, network, protocol } = layout;
  const isIpv4 = address === 4;
  const flags = entry.getUint8(layout.flags);
  const inverted = entry.getUint8(layout.flags + 1);
  const devices = 4 * address;
  const tests: XtTest[] = [];
  const test = (from: XtSource, offset: number, at: number, maskAt: number, length: number, negated: boolean): void => {
    const mask = slice(entry, maskAt, length);
    if (!negated && mask.every((byte) => byte === 0)) return;
    const value = slice(entry, at, length).map((byte, i) => (from === 'name' ? byte & mask[i] : byte));
    tests.push({ from, offset, length, mask, ranges: exact(value), negated });
  };
  test('network', network, 0, 2 * address, address, (inverted & INV_SRCIP) !== 0);
  test('network', network + address, address, 3 * address, address, (inverted & INV_DSTIP) !== 0);
  test('name', 0, devices, devices + 32, 16, (inverted & INV_VIA_IN) !== 0);
  // In these hooks there is no output device: its name is empty.
  const output = slice(entry, devices + 16, 16).some((byte, i) => (byte & entry.getUint8(devices + 48 + i)) !== 0);
  if (output !== ((inverted & INV_VIA_OUT) !== 0)) tests.push(NEVER);
  const number = u16(entry, protocol);
  if (number !== 0 && (isIpv4 || (flags & F_PROTO_IPV6) !== 0)) {
    const value = bytes16(number).subarray(1);
    tests.push({
      from: 'protocol',
      offset: 0,
      length: 1,
      ranges: number > 0xff ? [] : exact(value),
      negated: (inverted & INV_PROTO) !== 0,
    });
  }
  // Nobody asks about fragments here: a rule for them alone never applies.
  if (isIpv4 && (flags & F_FRAG_IPV4) !== 0 && (inverted & INV_FRAG) === 0) tests.push(NEVER);
  return tests;
}

function u16(view: DataView, at: number): number {
  return new DataView(slice(view, at, 2).buffer).getUint16(0, NATIVE_LE);
}
