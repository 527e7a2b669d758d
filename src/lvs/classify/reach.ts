// SPDX-License-Identifier: Apache-2.0
// Where packets go to that rules could mark: for each mark the protocols, addresses and ports that a packet must have to
// get it. Always at least those; who catches more than is marked gives it back. Asked when rules change, not per packet.

import type { Family } from '../../packet/address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPV4_DST, IPV4_PROTOCOL } from '../../packet/ipv4.ts';
import { IPV6_DST } from '../../packet/ipv6.ts';
import { countRanges, type Ranges, type Span } from './ranges.ts';
import {
  type BaseChain,
  DISPATCH,
  type DispatchStep,
  type Field,
  FROM_FAMILY,
  FROM_NETWORK,
  FROM_PROTOCOL,
  FROM_TRANSPORT,
  GOTO,
  JUMP,
  MAP,
  type MapStep,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  type Rule,
  type RuleSet,
  TEST,
  WRITE,
  type WriteStep,
} from './rules.ts';
import { coarsen, intersect, type Place, project } from './spans.ts';

/** Rules that are looked at, over all ways that lead to them; more, and everything is said to be reached. */
const MAX_VISITS = 200_000;
/** Chains inside one another, those that were gone over to included. */
const MAX_NESTING = 256;
/** Ways to one mark, marks, and ways to all marks, that are told apart. */
const MAX_WAYS = 256;
const MAX_MARKS = 1024;
const MAX_TOLD = 2048;
/** Ranges of one way that are told apart. */
const MAX_SPANS = 1024;

const PROTOCOLS: readonly number[] = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP];

/** A kind of packet that could get a mark. */
export interface Reach {
  readonly family: Family;
  /** The mark is this in the bits of `mask`, anything in others. */
  readonly mark: number;
  readonly mask: number;
  readonly protocols: readonly number[];
  /** Ranges of destination addresses, one word or four; undefined: all. */
  readonly destinations: readonly Span[] | undefined;
  /** Ranges of destination ports, in the top half of a word; undefined: all. */
  readonly ports: readonly Span[] | undefined;
}

/** Whether packets of this kind could have a mark. */
export function couldGet(reach: Reach, mark: number): boolean {
  return ((mark ^ reach.mark) & reach.mask) === 0;
}

export function reachOf(rules: RuleSet): Reach[] {
  return ([4, 6] as const).flatMap((family) => new Search(rules, family).run());
}

/** What is known of the packets that come to a place. */
interface Known {
  readonly protocols: readonly number[];
  readonly destinations: readonly Span[] | undefined;
  readonly ports: readonly Span[] | undefined;
}

const EVERYTHING: Known = { protocols: PROTOCOLS, destinations: undefined, ports: undefined };

class Search {
  readonly #rules: RuleSet;
  readonly #family: Family;
  readonly #destination: Place;
  readonly #found = new Map<string, Reach[]>();
  #visits = 0;
  /** Rules before may have given the packet, or its connection, a mark. */
  #marked = false;
  #connectionMarked = false;

  constructor(rules: RuleSet, family: Family) {
    this.#rules = rules;
    this.#family = family;
    this.#destination =
      family === 4
        ? { source: FROM_NETWORK, offset: IPV4_DST, length: 4 }
        : { source: FROM_NETWORK, offset: IPV6_DST, length: 16 };
  }

  run(): Reach[] {
    const bases: readonly BaseChain[] = [...this.#rules.prerouting, ...this.#rules.input];
    for (const base of bases) {
      if (this.#family === 4 ? base.ipv4 : base.ipv6) this.#chain(base.chain, EVERYTHING, 0);
    }
    if (this.#visits > MAX_VISITS || this.#found.size > MAX_MARKS) {
      return [{ family: this.#family, mark: 0, mask: 0, ...EVERYTHING }];
    }
    const ways = [...this.#found.values()];
    if (ways.reduce((sum, one) => sum + one.length, 0) <= MAX_TOLD) return ways.flat();
    return ways.map(([way]) => ({ ...way, ...EVERYTHING }));
  }

  #chain(index: number, known: Known, depth: number): void {
    // No chain leads to itself; this is for a set of rules that nobody has checked.
    if (depth > MAX_NESTING) this.#visits = MAX_VISITS;
    for (const rule of this.#rules.chains[index] ?? []) {
      if (++this.#visits > MAX_VISITS) return;
      this.#rule(rule, known, depth);
    }
  }

  #rule(rule: Rule, before: Known, depth: number): void {
    let known: Known | undefined = before;
    for (const step of rule.steps) {
      if (step.kind === TEST && !step.negated) known = this.#narrow(known, step.field, step.ranges);
      else if (step.kind === WRITE) this.#write(step, known);
      else if (step.kind === MAP) this.#map(step, known);
      else if (step.kind === DISPATCH) this.#dispatch(step, known, depth);
      if (known === undefined) return;
    }
    if (rule.verdict === JUMP || rule.verdict === GOTO) this.#chain(rule.target, known, depth + 1);
  }

  #write(step: WriteStep, known: Known): void {
    const free = (this.#marked ? step.markAnd : 0) | (this.#connectionMarked ? step.ctAnd : 0);
    this.#give(step.xor & ~free, ~free, step.toConnection, known);
  }

  #map(step: MapStep, known: Known): void {
    for (const [value, places] of grouped(step.ranges, (i) => step.values[i])) {
      const narrowed = this.#narrow(known, step.field, subset(step.ranges, places));
      if (narrowed !== undefined) this.#give(value, -1, step.toConnection, narrowed);
    }
    if (step.otherwise >= 0) this.#give(step.otherwise, -1, step.toConnection, known);
  }

  #dispatch(step: DispatchStep, known: Known, depth: number): void {
    const leads = (verdict: number): boolean => verdict === JUMP || verdict === GOTO;
    for (const [target, places] of grouped(step.ranges, (i) => (leads(step.verdicts[i]) ? step.targets[i] : -1))) {
      const narrowed = target < 0 ? undefined : this.#narrow(known, step.field, subset(step.ranges, places));
      if (narrowed !== undefined) this.#chain(target, narrowed, depth + 1);
    }
    if (leads(step.otherwise)) this.#chain(step.otherwiseTarget, known, depth + 1);
  }

  /** Packets of this kind may have a mark from here on. */
  #give(mark: number, mask: number, toConnection: boolean, known: Known): void {
    if (mark === 0 && mask === -1) return;
    if (toConnection) {
      this.#connectionMarked = true;
      return;
    }
    this.#marked = true;
    const name = `${mark} ${mask}`;
    const ways = this.#found.get(name) ?? [];
    if (ways.length === 0) this.#found.set(name, ways);
    if (ways.length > MAX_WAYS) return;
    const { protocols, destinations, ports } = ways.length < MAX_WAYS ? known : EVERYTHING;
    const told = { protocols, destinations: coarsen(destinations, MAX_SPANS), ports: coarsen(ports, MAX_SPANS) };
    ways.push({ family: this.#family, mark, mask, ...told });
  }

  /** What is known behind a test; undefined when no packet of this kind passes it. */
  #narrow(known: Known, field: Field, ranges: Ranges): Known | undefined {
    const family = project(field, ranges, FAMILY);
    const number = (this.#family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6) << 24;
    if (family !== undefined && !holds(family, number)) return undefined;
    const protocol =
      project(field, ranges, PROTOCOL) ?? (this.#family === 4 ? project(field, ranges, PROTOCOL_4) : undefined);
    const protocols =
      protocol === undefined ? known.protocols : known.protocols.filter((one) => holds(protocol, one << 24));
    const destinations = intersect(known.destinations, project(field, ranges, this.#destination));
    const ports = intersect(known.ports, project(field, ranges, PORT));
    if (protocols.length === 0 || destinations?.length === 0 || ports?.length === 0) return undefined;
    return { protocols, destinations, ports };
  }
}

const FAMILY: Place = { source: FROM_FAMILY, offset: 0, length: 1 };
const PROTOCOL: Place = { source: FROM_PROTOCOL, offset: 0, length: 1 };
const PROTOCOL_4: Place = { source: FROM_NETWORK, offset: IPV4_PROTOCOL, length: 1 };
const PORT: Place = { source: FROM_TRANSPORT, offset: 2, length: 2 };

function holds(spans: readonly Span[], word: number): boolean {
  return spans.some(({ low, high }) => low[0] >>> 0 <= word >>> 0 && high[0] >>> 0 >= word >>> 0);
}

/** Places of the ranges by what they lead to. */
function grouped(ranges: Ranges, keyOf: (i: number) => number): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (let i = 0; i < countRanges(ranges); i++) {
    const group = groups.get(keyOf(i));
    if (group === undefined) groups.set(keyOf(i), [i]);
    else group.push(i);
  }
  return groups;
}

function subset(ranges: Ranges, places: readonly number[]): Ranges {
  const { width, parts } = ranges;
  const rows = (from: Uint32Array): Uint32Array => {
    const taken = new Uint32Array(places.length * width);
    for (const [to, place] of places.entries())
      taken.set(from.subarray(place * width, (place + 1) * width), to * width);
    return taken;
  };
  return { width, parts, low: rows(ranges.low), high: rows(ranges.high) };
}
