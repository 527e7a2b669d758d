// SPDX-License-Identifier: Apache-2.0
// Random rule sets in nft's language, of what docs/compatibility.md says is read: chains that call chains, sets, maps,
// arithmetic on marks. Made so that they fit some of the packets of packets.ts.

import type { Random } from '../random.ts';
import { OWN_4, OWN_6, PORTS, SENDER_MACS, SOURCES_4, SOURCES_6 } from './packets.ts';

const FAMILIES = ['ip', 'ip6', 'inet'] as const;
const PRIORITIES = [-400, -300, -250, -150, -140, -110, -10, 0, 10, 50, 90];
/** Of chains of NAT, which all run at -100. */
const NAT_PRIORITIES = [-100, -50, 5, 70];
const MARKS = [1, 2, 3, 7, 16, 255, 256, 0x10007, 0x80000000, 0xffffffff];
const MASKS = [0x1, 0xf, 0xff, 0xff00, 0xffffffff, 0x80000001];

interface Context {
  readonly random: Random;
  readonly family: (typeof FAMILIES)[number];
  /** Chains that a rule may lead to. */
  readonly chains: readonly string[];
  /** The chain sees packets before conntrack does. */
  readonly early: boolean;
}

/** A rule set for `nft -f`. */
export function randomNft(random: Random): string {
  const free = [...PRIORITIES];
  const freeNat = [...NAT_PRIORITIES];
  const tables = Array.from({ length: 1 + random.below(3) }, (_, i) => {
    const family = random.pick(FAMILIES);
    const chains = Array.from({ length: random.below(4) }, (_, c) => `c${c}`);
    const made = chains.map((name, c) =>
      chain(name, '', { random, family, chains: chains.slice(c + 1), early: false }),
    );
    const bases = Array.from({ length: 1 + random.below(2) }, (_, b) => {
      if (random.chance(0.2) && freeNat.length > 0) {
        const own = freeNat.splice(random.below(freeNat.length), 1)[0];
        const natHead = `type nat hook prerouting priority ${own};`;
        return chain(`b${b}`, natHead, { random, family, chains, early: false });
      }
      const priority = free.splice(random.below(free.length), 1)[0];
      const hook = priority >= -150 && random.chance(0.4) ? 'input' : 'prerouting';
      const policy = random.chance(0.1) ? 'policy drop;' : '';
      const head = `type filter hook ${hook} priority ${priority}; ${policy}`;
      return chain(`b${b}`, head, { random, family, chains, early: priority <= -200 });
    });
    return `table ${family} t${i} {\n${NAMED_SETS}\n${made.join('\n')}\n${bases.join('\n')}\n}`;
  });
  return `${tables.join('\n')}\n`;
}

const NAMED_SETS = `
  set hosts { type ipv4_addr; flags interval; elements = { 10.1.0.0/16, 172.16.0.0-172.16.0.40 } }
  set pairs { type ipv4_addr . inet_service; elements = { 192.0.2.1 . 80, 192.0.2.2 . 443 } }
  set areas { type ipv4_addr . inet_service; flags interval; elements = { 192.0.2.0/25 . 79-81, 198.51.100.9 . 1-1024 } }
  map bymark { type inet_service : mark; elements = { 80 : 11, 443 : 12, 8080 : 13 } }
  map byport { type inet_service : mark; flags interval; elements = { 0-79 : 21, 80-443 : 22, 8081-65535 : 23 } }
`;

function chain(name: string, head: string, context: Context): string {
  const rules = Array.from({ length: 1 + context.random.below(6) }, () => rule(context));
  return `  chain ${name} {\n${[head, ...rules].map((line) => `    ${line}`).join('\n')}\n  }`;
}

function rule(context: Context): string {
  const { random, family } = context;
  const layer = family === 'inet' ? random.pick(['ip', 'ip6'] as const) : family;
  const transport = random.pick(['tcp', 'udp', 'sctp', 'th'] as const);
  const parts = Array.from({ length: random.below(4) }, () => match(context, layer, transport));
  for (let i = random.below(3); i > 0; i--) {
    parts.push(statement(context, layer, transport));
    if (random.chance(0.2)) parts.push(match(context, layer, transport));
  }
  parts.push(verdict(context, layer, transport));
  const text = parts.filter((part) => part !== '').join(' ');
  return text === '' ? 'counter' : text;
}

type Layer = 'ip' | 'ip6';
type Transport = 'tcp' | 'udp' | 'sctp' | 'th';

function match(context: Context, layer: Layer, transport: Transport): string {
  const { random, early } = context;
  const not = random.chance(0.25) ? '!= ' : '';
  const port = (): string => `${transport} ${random.pick(['dport', 'sport'])}`;
  const kinds: (() => string)[] = [
    () => `${layer} saddr ${not}${addresses(random, layer, sources(random, layer))}`,
    () => `${layer} daddr ${not}${addresses(random, layer, owns(layer))}`,
    () => `${layer} daddr ${not}${addresses(random, layer, owns(layer))}`,
    () => `${port()} ${not}${ports(random)}`,
    () => `${port()} ${not}${ports(random)}`,
    () => `${port()} ${random.pick(['<', '<=', '>', '>='])} ${random.pick(PORTS)}`,
    () =>
      transport === 'th'
        ? `meta l4proto ${not}{ ${random.pick(['tcp', 'udp', 'tcp, sctp'])} }`
        : `meta l4proto ${transport}`,
    () => `${layer} dscp ${not}${random.pick(['cs1', '{ cs1, 10 }', '12'])}`,
    () =>
      layer === 'ip'
        ? `ip ttl ${random.pick(['64', '< 64', '> 32', '32-64'])}`
        : `ip6 hoplimit ${random.pick(['64', '< 64'])}`,
    () => `meta length ${random.pick(['< 60', '>= 100', '40-60'])}`,
    () => `meta mark ${not}${random.pick(MARKS)}`,
    () => `meta mark and ${random.pick(MASKS)} ${random.pick(['==', '!='])} ${random.pick([0, 1, 7])}`,
    () => `meta mark ${random.pick(['< 8', '>= 16', '1-16', '{ 0, 7, 256 }', '!= 0'])}`,
    () => `ct state ${random.pick(['new', 'established', 'invalid,untracked', 'new,related'])}`,
    () => `ct state ${random.pick(['!= new', '{ new, established }', 'vmap { new : continue, invalid : continue }'])}`,
    () => `ct mark ${not}${random.pick([0, ...MARKS])}`,
    () => `ct mark and ${random.pick(MASKS)} == ${random.pick([0, 1])}`,
    () => `iifname ${not}${random.pick(['"m-near"', '"m-*"', '"eth0"', '{ "lo", "m-near" }'])}`,
    () => 'meta iiftype ether',
    () => 'meta pkttype host',
    () => `ether saddr ${not}${random.pick(SENDER_MACS)}`,
    () =>
      transport === 'tcp' ? random.pick(['tcp flags syn', 'tcp flags & (syn|ack) == syn', 'tcp flags & fin != 0']) : '',
    () => (layer === 'ip' ? `ip saddr ${not}@hosts` : ''),
    () => (layer === 'ip' ? `ip daddr . ${transport} dport ${not}@${random.pick(['pairs', 'areas'])}` : ''),
    () => concatenation(random, layer, transport),
    () =>
      `${layer} daddr . meta mark ${not}{ ${owns(layer)[0]}/${layer === 'ip' ? 24 : 64} . 1-16, ${owns(layer)[1]} . 255 }`,
    () => (early ? '' : 'ct direction original'),
  ];
  return random.pick(kinds)();
}

function statement(context: Context, layer: Layer, transport: Transport): string {
  const { random } = context;
  const target = random.chance(0.75) ? 'meta mark' : 'ct mark';
  const source = random.pick(['meta mark', 'meta mark', 'ct mark']);
  const kinds: (() => string)[] = [
    () => `${target} set ${random.pick(MARKS)}`,
    () => `${target} set ${random.pick(MARKS)}`,
    () => `${target} set ${source}`,
    () => `${target} set ${source} and ${random.pick(MASKS)}`,
    () => `${target} set ${source} or ${random.pick(MARKS)}`,
    () => `${target} set ${source} and ${random.pick(MASKS)} xor ${random.pick(MARKS)}`,
    () => `meta mark set ${transport} dport map @${random.pick(['bymark', 'byport'])}`,
    () => `meta mark set ${transport} dport map { 80 : 31, 443 : 32, * : 33 }`,
    () => (layer === 'ip' ? 'meta mark set ip daddr map { 192.0.2.1 : 41, 198.51.100.0/24 : 42 }' : ''),
    () =>
      layer === 'ip'
        ? `meta mark set ip daddr . ${transport} dport map { 192.0.2.1 . 80 : 51, 192.0.2.2 . 53 : 52 }`
        : '',
    () => 'counter',
    () => (context.early ? 'notrack' : 'counter'),
  ];
  return random.pick(kinds)();
}

function verdict({ random, chains }: Context, layer: Layer, transport: Transport): string {
  const leads = chains.length === 0 ? 'return' : `${random.pick(['jump', 'jump', 'goto'])} ${random.pick(chains)}`;
  const other = chains.length === 0 ? 'accept' : `jump ${random.pick(chains)}`;
  const kinds: (() => string)[] = [
    () => '',
    () => '',
    () => '',
    () => leads,
    () => leads,
    () => random.pick(['return', 'accept', 'continue']),
    () => (random.chance(0.2) ? 'drop' : ''),
    () => `${transport} dport vmap { 80 : ${leads}, 443-8080 : ${other}, 53 : continue }`,
    () => (layer === 'ip' ? `ip daddr vmap { 192.0.2.1 : ${leads}, 192.0.2.128/25 : accept }` : ''),
  ];
  return random.pick(kinds)();
}

function owns(layer: Layer): readonly string[] {
  return layer === 'ip' ? OWN_4 : OWN_6;
}

function sources(random: Random, layer: Layer): readonly string[] {
  const id = 1 + random.below(200);
  return layer === 'ip'
    ? SOURCES_4.map((half) => `${half}.0.${id}`)
    : SOURCES_6.map((half) => `${half}${id.toString(16)}`);
}

function addresses(random: Random, layer: Layer, from: readonly string[]): string {
  const one = random.pick(from);
  const length = random.pick(layer === 'ip' ? [0, 8, 12, 16, 24, 25, 31, 32] : [0, 7, 32, 48, 50, 64, 127, 128]);
  const other = random.pick(from.filter((address) => address !== one));
  return random.pick([one, `${one}/${length}`, `${one}/${length}`, `{ ${one}, ${other} }`]);
}

function ports(random: Random): string {
  const [first, last] = [random.pick(PORTS), random.pick(PORTS)].sort((a, b) => a - b);
  const range = first === last ? `${first}` : `${first}-${last}`;
  return random.pick([`${first}`, range, `{ ${random.pick(PORTS)}, 2000-3000 }`, `{ ${range} }`]);
}

function concatenation(random: Random, layer: Layer, transport: Transport): string {
  const [one, other] = owns(layer);
  const exact = `{ ${one} . 80, ${other} . 443, ${other} . 53 }`;
  const areas = layer === 'ip' ? '{ 192.0.2.0/24 . 80-443, 198.51.100.9 . 53 }' : '{ 2001:db8::/64 . 1-100 }';
  return `${layer} daddr . ${transport} dport ${random.chance(0.5) ? exact : areas}`;
}
