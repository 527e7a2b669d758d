// SPDX-License-Identifier: Apache-2.0
// Random tables in the language of iptables-restore, of what docs/compatibility.md says is read. Made so that they fit
// some of the packets of packets.ts.

import type { Random } from '../random.ts';
import { OWN_4, OWN_6, PORTS, SENDER_MACS, SOURCES_4, SOURCES_6 } from './packets.ts';

const MARKS = ['1', '2', '7', '0x10', '0xff', '0x100', '0x80000000', '0xffffffff'];
const MASKS = ['0x1', '0xf', '0xff', '0xff00', '0xffffffff'];

const TABLES: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

interface Context {
  readonly random: Random;
  readonly isIpv6: boolean;
  readonly table: string;
  readonly chains: readonly string[];
}

/** Input of iptables-restore or ip6tables-restore. */
export function randomIptables(random: Random, isIpv6: boolean): string {
  const tables = ['mangle', ...['raw', 'nat', 'filter'].filter(() => random.chance(0.5))];
  return tables.map((table) => randomTable(random, isIpv6, table)).join('');
}

function randomTable(random: Random, isIpv6: boolean, table: string): string {
  const own = Array.from({ length: random.below(4) }, (_, i) => `c${i}`);
  const builtin = TABLES[table];
  const policy = (chain: string): string =>
    chain === 'INPUT' && table !== 'nat' && random.chance(0.1) ? 'DROP' : 'ACCEPT';
  const lines = [
    `*${table}`,
    ...builtin.map((chain) => `:${chain} ${policy(chain)}`),
    ...own.map((chain) => `:${chain} -`),
  ];
  const fill = (chain: string, chains: readonly string[]): void => {
    for (let i = random.below(6); i > 0; i--) lines.push(`-A ${chain} ${rule({ random, isIpv6, table, chains })}`);
  };
  for (const chain of builtin) if (chain === 'PREROUTING' || chain === 'INPUT') fill(chain, own);
  for (const [i, chain] of own.entries()) fill(chain, own.slice(i + 1));
  return [...lines, 'COMMIT', ''].join('\n');
}

function rule(context: Context): string {
  const { random } = context;
  const transport = random.pick(['', 'tcp', 'udp', 'sctp']);
  const parts = transport === '' ? [] : [`-p ${transport} ${portMatch(random, transport)}`];
  if (random.chance(0.5)) parts.push(address(context, '-s'));
  if (random.chance(0.5)) parts.push(address(context, '-d'));
  if (random.chance(0.3)) parts.push(random.pick(['-i m-near', '-i m-+', '! -i m-near', '-i eth0', '! -i m+']));
  const kinds = matches(context);
  for (let i = random.below(3); i > 0; i--) parts.push(kinds.splice(random.below(kinds.length), 1)[0]());
  parts.push(target(context));
  return parts.filter((part) => part !== '').join(' ');
}

function portMatch(random: Random, transport: string): string {
  const not = random.chance(0.25) ? '! ' : '';
  return random.pick([
    '',
    `${not}--dport ${range(random)}`,
    `${not}--sport ${range(random)}`,
    `-m multiport ${not}--dports ${ports(random)}`,
    `-m multiport ${not}--sports ${ports(random)}`,
    transport === 'tcp' ? random.pick(['--syn', '! --syn', '--tcp-flags SYN,ACK SYN']) : '',
  ]);
}

/** Matches of which a rule has each at most once. */
function matches({ random, isIpv6, table }: Context): (() => string)[] {
  const not = random.chance(0.25) ? '! ' : '';
  const hops = isIpv6 ? '-m hl --hl' : '-m ttl --ttl';
  return [
    () =>
      `-m mark ${not}--mark ${random.pick([...MARKS, ...MASKS.map((mask) => `${random.pick(['0', '1'])}/${mask}`)])}`,
    () => `-m connmark ${not}--mark ${random.pick(['0', ...MARKS])}/${random.pick(MASKS)}`,
    () => `-m iprange ${not}--src-range ${isIpv6 ? 'fd00::-fd00:0:0:1::80' : '10.1.0.0-10.2.0.90'}`,
    () => `-m mac ${not}--mac-source ${random.pick(SENDER_MACS)}`,
    () => `-m conntrack ${not}--ctstate ${random.pick(['NEW', 'ESTABLISHED', 'NEW,RELATED', 'INVALID', 'UNTRACKED'])}`,
    () => (table === 'raw' ? '' : `-m state --state ${random.pick(['NEW', 'ESTABLISHED,RELATED'])}`),
    () => `-m length ${not}--length ${random.pick(['0:60', '100:65535', '40'])}`,
    () => `-m dscp ${not}--dscp ${random.pick(['8', '0x0a', '0'])}`,
    () => `-m tos ${not}--tos ${random.pick(['0x20', '0x28/0xff', '0x00/0x08'])}`,
    () => `${hops}-${random.pick(['eq 64', 'lt 64', 'gt 32'])}`,
    () => '-m pkttype --pkt-type unicast',
    () => '-m comment --comment "a comment"',
  ];
}

function target({ random, table, chains }: Context): string {
  const kinds: (() => string)[] = [
    () => `-j MARK --set-mark ${random.pick(MARKS)}`,
    () => `-j MARK --set-xmark ${random.pick(MARKS)}/${random.pick(MASKS)}`,
    () => `-j MARK --${random.pick(['and', 'or', 'xor'])}-mark ${random.pick(MARKS)}`,
    () => `-j CONNMARK --set-xmark ${random.pick(MARKS)}/${random.pick(MASKS)}`,
    () =>
      `-j CONNMARK --save-mark${random.chance(0.5) ? ` --nfmask ${random.pick(MASKS)} --ctmask ${random.pick(MASKS)}` : ''}`,
    () => `-j CONNMARK --restore-mark${random.chance(0.5) ? ' --nfmask 0xff --ctmask 0xff' : ''}`,
    () => (chains.length === 0 ? '-j RETURN' : `${random.pick(['-j', '-j', '-g'])} ${random.pick(chains)}`),
    () => (chains.length === 0 ? '' : `-j ${random.pick(chains)}`),
    () =>
      `-j ${random.pick(['ACCEPT', 'RETURN', 'RETURN', random.chance(0.2) && table !== 'nat' ? 'DROP' : 'ACCEPT'])}`,
    () => (table === 'raw' ? `-j ${random.pick(['NOTRACK', 'CT --notrack'])}` : ''),
  ];
  // In iptables-legacy these belong to mangle.
  return random.pick(table === 'mangle' ? kinds : kinds.slice(table === 'raw' ? 6 : 0))();
}

function address({ random, isIpv6 }: Context, option: '-s' | '-d'): string {
  const id = 1 + random.below(200);
  const sources = isIpv6
    ? SOURCES_6.map((half) => `${half}${id.toString(16)}`)
    : SOURCES_4.map((half) => `${half}.0.${id}`);
  const one = random.pick(option === '-s' ? sources : isIpv6 ? OWN_6 : OWN_4);
  const length = random.pick(isIpv6 ? [0, 7, 32, 48, 64, 127, 128] : [0, 8, 12, 16, 24, 25, 32]);
  // ip6tables-nft makes a rule of `! /0` that the kernel refuses.
  return `${length > 0 && random.chance(0.25) ? '! ' : ''}${option} ${one}/${length}`;
}

function range(random: Random): string {
  const [first, last] = [random.pick(PORTS), random.pick(PORTS)].sort((a, b) => a - b);
  return random.pick([`${first}`, `${first}:${last}`, `:${first}`, `${first}:`]);
}

function ports(random: Random): string {
  return random.pick(['80,8080', '80:443', '22,53,79:81', '1:1023,8080:8090', '443']);
}
