// SPDX-License-Identifier: Apache-2.0
// The user's own rules that mark packets (`ballast mark`): what is taken and refused, and what they are as rules of
// rules.ts. The first that matches decides.

import { type AddressWords, addressFamily, type Family, formatAddress } from '../../packet/address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPV4_DST, IPV4_SRC } from '../../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC } from '../../packet/ipv6.ts';
import {
  firstOfPrefix,
  lastOfPrefix,
  type Prefix,
  parsePrefix,
  prefixFamily,
  prefixLength,
  prefixWords,
} from '../../packet/prefix.ts';
import { LvsError, type MarkRule, type MarkRuleSnapshot, type Protocol } from '../model.ts';
import { type PortList, parsePortList, portRanges } from '../port-list.ts';
import { exactly, makeRanges, type Ranges } from './ranges.ts';
import {
  ACCEPT,
  type BaseChain,
  type Field,
  FROM_FAMILY,
  FROM_NAME,
  FROM_NETWORK,
  FROM_PROTOCOL,
  FROM_TRANSPORT,
  field,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  type Rule,
  type RuleSet,
  type Step,
  setMark,
  TEST,
} from './rules.ts';

const UINT_MAX = 0xffffffff;
/** Longest name of a device, without its NUL (IFNAMSIZ). */
const NAME_LENGTH = 15;
const NAME_BYTES = 16;
/** More rules than anybody types; each packet that opens a connection is compared with all of them. */
const MAX_MARK_RULES = 4096;

const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = {
  tcp: IPPROTO_TCP,
  udp: IPPROTO_UDP,
  sctp: IPPROTO_SCTP,
};

/** The rules by their number, which stays with a rule as long as it is there and never comes again. */
export class MarkRules {
  readonly #rules = new Map<number, MarkRule>();
  #lastNumber = 0;

  get size(): number {
    return this.#rules.size;
  }

  /** @throws LvsError EINVAL for what makes no sense, EEXIST for a rule that is there, ENOMEM for one too many. */
  add(rule: MarkRule): void {
    const checked = checkMarkRule(rule);
    if (this.#find(checked) !== undefined) throw new LvsError('EEXIST', `the rule '${formatMarkRule(checked)}' exists`);
    if (this.#rules.size >= MAX_MARK_RULES) throw new LvsError('ENOMEM', `there are ${MAX_MARK_RULES} rules already`);
    this.#rules.set(++this.#lastNumber, checked);
  }

  /** @throws LvsError ENOENT when there is no such rule, EINVAL for what cannot be one. */
  delete(rule: MarkRule | number): void {
    const checked = typeof rule === 'number' ? rule : checkMarkRule(rule);
    const number = typeof checked === 'number' ? checked : this.#find(checked);
    if (number !== undefined && this.#rules.delete(number)) return;
    const name = typeof checked === 'number' ? `of number ${checked}` : `'${formatMarkRule(checked)}'`;
    throw new LvsError('ENOENT', `there is no rule ${name}`);
  }

  snapshot(): MarkRuleSnapshot[] {
    return [...this.#rules].map(([number, rule]) => ({ number, ...rule }));
  }

  /** All of them as rules to walk. */
  compile(): RuleSet {
    if (this.#rules.size === 0) return { chains: [], prerouting: [], input: [] };
    const base: BaseChain = { chain: 0, ipv4: true, ipv6: true, drops: false, tracked: true, connected: false };
    return { chains: [[...this.#rules.values()].map(compileMarkRule)], prerouting: [base], input: [] };
  }

  #find(rule: MarkRule): number | undefined {
    const text = formatMarkRule(rule);
    for (const [number, known] of this.#rules) if (formatMarkRule(known) === text) return number;
    return undefined;
  }
}

/** A rule as one line, what `ballast mark add` takes: `--mark 7 --protocol tcp --destination-port 80,8080`. */
export function formatMarkRule(rule: MarkRule): string {
  const options: (readonly [string, string | number | undefined])[] = [
    ['--mark', rule.mark],
    ['--protocol', rule.protocol],
    ['--source', rule.source && shortPrefix(rule.source)],
    ['--destination', rule.destination && shortPrefix(rule.destination)],
    ['--source-port', rule.sourcePorts],
    ['--destination-port', rule.destinationPorts],
    ['--interface', rule.interface],
  ];
  return options.flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`])).join(' ');
}

/** The rule with its prefixes and lists in canonical form. */
function checkMarkRule(rule: MarkRule): MarkRule {
  const { mark, protocol, source, destination, sourcePorts, destinationPorts } = rule;
  if (!Number.isInteger(mark) || mark < 1 || mark > UINT_MAX) {
    throw new LvsError('EINVAL', `firewall mark ${mark} is not 1 … ${UINT_MAX}`);
  }
  const name = rule.interface;
  if (name !== undefined && !isDeviceName(name)) {
    throw new LvsError(
      'EINVAL',
      `'${name}' is no device's name: it has 1 to ${NAME_LENGTH} bytes, no blank and no slash`,
    );
  }
  const from = source && checkPrefix('source', source);
  const to = destination && checkPrefix('destination', destination);
  if (from !== undefined && to !== undefined && prefixFamily(from) !== prefixFamily(to)) {
    throw new LvsError('EINVAL', `source ${source} and destination ${destination} are of two address families`);
  }
  return {
    mark,
    ...(protocol !== undefined && { protocol }),
    ...(from !== undefined && { source: from }),
    ...(to !== undefined && { destination: to }),
    ...(sourcePorts !== undefined && { sourcePorts: checkPorts('source', sourcePorts) }),
    ...(destinationPorts !== undefined && { destinationPorts: checkPorts('destination', destinationPorts) }),
    ...(name !== undefined && { interface: name }),
  };
}

function checkPrefix(what: string, text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return prefix;
  throw new LvsError('EINVAL', `${what} '${text}' is no address or prefix such as 192.0.2.0/24`);
}

function checkPorts(what: string, text: string): PortList {
  const list = parsePortList(text);
  if (list !== undefined) return list;
  throw new LvsError('EINVAL', `${what} port '${text}' is no list such as 80,8080-8090 of ports up to 65535`);
}

/** What the kernel takes (dev_valid_name). */
function isDeviceName(name: string): boolean {
  return name !== '.' && name !== '..' && /^[\x21-\x2e\x30-\x39\x3b-\x7e]{1,15}$/.test(name);
}

function compileMarkRule(rule: MarkRule): Rule {
  const steps: Step[] = [];
  const test = (of: Field, ranges: Ranges): void => {
    steps.push({ kind: TEST, field: of, ranges, negated: false });
  };
  const prefix = rule.destination ?? rule.source;
  if (prefix !== undefined) {
    test(field(FROM_FAMILY, 0, 1), exactly((prefixFamily(prefix) === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6) << 24));
  }
  if (rule.protocol !== undefined) test(field(FROM_PROTOCOL, 0, 1), exactly(PROTOCOL_NUMBERS[rule.protocol] << 24));
  if (rule.interface !== undefined) test(field(FROM_NAME, 0, NAME_BYTES), nameRanges(rule.interface));
  if (rule.destination !== undefined) testPrefix(test, rule.destination, IPV4_DST, IPV6_DST);
  if (rule.source !== undefined) testPrefix(test, rule.source, IPV4_SRC, IPV6_SRC);
  // TCP, UDP and SCTP begin alike, and no other protocol is asked about.
  if (rule.destinationPorts !== undefined) test(field(FROM_TRANSPORT, 2, 2), portListRanges(rule.destinationPorts));
  if (rule.sourcePorts !== undefined) test(field(FROM_TRANSPORT, 0, 2), portListRanges(rule.sourcePorts));
  return { steps: [...steps, setMark(rule.mark)], verdict: ACCEPT, target: 0 };
}

function testPrefix(test: (of: Field, ranges: Ranges) => void, prefix: Prefix, offset4: number, offset6: number): void {
  const family = prefixFamily(prefix);
  const words = prefixWords(prefix);
  const length = prefixLength(prefix);
  const width = family === 4 ? 1 : 4;
  const low = firstOfPrefix(words, length).slice(0, width);
  const high = lastOfPrefix(family, words, length).slice(0, width);
  test(field(FROM_NETWORK, family === 4 ? offset4 : offset6, 4 * width), makeRanges(width, [{ low, high }]));
}

function portListRanges(list: PortList): Ranges {
  return makeRanges(
    1,
    portRanges(list).map(([first, last]) => ({ low: [first << 16], high: [last << 16] })),
  );
}

/** A device's name as {@link FROM_NAME} reads it. */
export function nameWords(name: string): Int32Array {
  const words = new Int32Array(NAME_BYTES / 4);
  for (let i = 0; i < Math.min(name.length, NAME_LENGTH); i++) {
    words[i >> 2] |= (name.charCodeAt(i) & 0xff) << (24 - 8 * (i & 3));
  }
  return words;
}

function nameRanges(name: string): Ranges {
  const words = [...nameWords(name)];
  return makeRanges(words.length, [{ low: words, high: words }]);
}

/** `192.0.2.1` for `192.0.2.1/32`. */
function shortPrefix(prefix: Prefix): string {
  const family: Family = prefixFamily(prefix);
  const words: AddressWords = prefixWords(prefix);
  const address = formatAddress(family, words);
  return prefixLength(prefix) === (addressFamily(address) === 4 ? 32 : 128) ? address : prefix;
}
