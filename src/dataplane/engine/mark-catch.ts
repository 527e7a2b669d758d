// SPDX-License-Identifier: Apache-2.0
// What the XDP program has to catch so that the engine sees every packet that firewall rules could give the mark of a
// service: where such packets go to, as far as some route delivers that to this machine, as the kernel's IPVS would have
// it. Found out anew when rules, services or routes change. Catching too much costs a detour, too little a connection.

import { compare, type Span } from '../../lvs/classify/ranges.ts';
import { couldGet, type Reach } from '../../lvs/classify/reach.ts';
import type { Protocol } from '../../lvs/model.ts';
import { type AddressWords, type Family, formatAddress } from '../../packet/address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';
import {
  addressBits,
  formatPrefix,
  lastOfPrefix,
  type Prefix,
  prefixFamily,
  prefixLength,
  prefixWords,
} from '../../packet/prefix.ts';
import type { Logger } from '../logger.ts';
import type { XdpProgram } from './xdp-program.ts';

/** Most ports of a rule that are told one by one; more are all ports. */
const MAX_PORTS = 64;
/** Most entries; where there are more, they are told less exactly. */
const MAX_ENTRIES = 8192;
/** Most pairs of destinations and local prefixes that are compared: 2 ms of the engine thread (measured). */
const MAX_PAIRS = 1 << 16;
/** Most entries that stay for connections that are left when their rule is gone. */
const MAX_LINGERING = 4096;

const PROTOCOL_NAMES: Readonly<Record<number, Protocol>> = {
  [IPPROTO_TCP]: 'tcp',
  [IPPROTO_UDP]: 'udp',
  [IPPROTO_SCTP]: 'sctp',
};
const ALL_PORTS: readonly number[] = [0];

/** What the catch needs of the program. */
export type MarkProgram = Pick<XdpProgram, 'addService' | 'removeService' | 'addMarked' | 'removeMarked'>;

/** A prefix that is delivered here, with its first and last address, one word or four. */
interface Local {
  readonly prefix: Prefix;
  readonly family: Family;
  readonly first: readonly number[];
  readonly last: readonly number[];
}

interface Entry {
  readonly prefix: Prefix;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface MarkCatchOptions {
  readonly program: MarkProgram;
  readonly log: Logger;
  /** Whether there are connections of marks' services. */
  readonly isBusy: () => boolean;
}

export class MarkCatch {
  readonly #program: MarkProgram;
  readonly #log: Logger;
  readonly #isBusy: () => boolean;
  #kernel: readonly Reach[] = [];
  #own: readonly Reach[] = [];
  #locals: readonly Local[] = [];
  readonly #marks: Readonly<Record<Family, Set<number>>> = { 4: new Set(), 6: new Set() };
  /** What the program catches, by name. */
  readonly #entries = new Map<string, Entry>();
  /** Names of those that are there for old connections alone. */
  readonly #lingering = new Set<string>();

  constructor({ program, log, isBusy }: MarkCatchOptions) {
    this.#program = program;
    this.#log = log;
    this.#isBusy = isBusy;
  }

  /** A service of a mark comes. Throws SysError when the kernel does not take what has to be caught for it. */
  addMark(family: Family, mark: number): void {
    this.#marks[family].add(mark);
    try {
      this.#update();
    } catch (error) {
      this.#marks[family].delete(mark);
      throw error;
    }
  }

  removeMark(family: Family, mark: number): void {
    this.#marks[family].delete(mark);
    this.#try();
  }

  /** What the kernel's rules could mark. */
  setKernelReach(reach: readonly Reach[]): void {
    this.#kernel = reach;
    this.#try();
  }

  /** What the user's rules could mark. */
  setOwnReach(reach: readonly Reach[]): void {
    this.#own = reach;
    this.#try();
  }

  /** The prefixes that routes deliver to this machine. */
  setLocals(prefixes: readonly Prefix[]): void {
    this.#locals = prefixes.filter((prefix) => !isLoopback(prefix)).map(localOf);
    this.#try();
  }

  /** Lets go of what was for old connections, once there are none. Now and then. */
  release(): void {
    if (this.#lingering.size > 0 && !this.#isBusy()) for (const name of [...this.#lingering]) this.#remove(name);
  }

  #try(): void {
    try {
      this.#update();
    } catch (error) {
      this.#log.error('packets with firewall marks cannot be caught', { error: (error as Error).message });
    }
  }

  #update(): void {
    const wanted = this.#wanted();
    for (const [name, entry] of wanted) {
      this.#lingering.delete(name);
      if (this.#entries.has(name)) continue;
      this.#add(entry);
      this.#entries.set(name, entry);
    }
    const isBusy = this.#isBusy();
    for (const name of [...this.#entries.keys()]) {
      if (wanted.has(name)) continue;
      // A connection goes on when its rule is gone: the kernel finds it without a mark.
      if (isBusy && this.#lingering.size < MAX_LINGERING) this.#lingering.add(name);
      else this.#remove(name);
    }
  }

  /** What is to be caught, as exactly as there is room for. */
  #wanted(): Map<string, Entry> {
    const exact = this.#collect(portsOf) ?? this.#collect(() => ALL_PORTS);
    if (exact !== undefined) return exact;
    const entries = new Map<string, Entry>();
    for (const { prefix, family } of this.#locals) {
      if (this.#marks[family].size === 0) continue;
      for (const protocol of Object.values(PROTOCOL_NAMES)) put(entries, { prefix, protocol, port: 0 });
    }
    return entries;
  }

  /** Undefined when there are too many. */
  #collect(portsFor: (reach: Reach) => readonly number[]): Map<string, Entry> | undefined {
    const entries = new Map<string, Entry>();
    const all = [...this.#kernel, ...this.#own];
    const destinations = all.reduce((sum, reach) => sum + (reach.destinations?.length ?? 1), 0);
    if (destinations * this.#locals.length > MAX_PAIRS) return undefined;
    for (const reach of all) {
      if (![...this.#marks[reach.family]].some((mark) => couldGet(reach, mark))) continue;
      const ports = portsFor(reach);
      for (const local of this.#locals) {
        for (const prefix of cut(reach, local)) {
          for (const number of reach.protocols) {
            for (const port of ports) put(entries, { prefix, protocol: PROTOCOL_NAMES[number], port });
          }
          if (entries.size > MAX_ENTRIES) return undefined;
        }
      }
    }
    return entries;
  }

  #add({ prefix, protocol, port }: Entry): void {
    if (isAddress(prefix)) this.#program.addService({ protocol, address: addressOf(prefix), port });
    else this.#program.addMarked({ protocol, prefix, port });
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name);
    this.#entries.delete(name);
    this.#lingering.delete(name);
    if (entry === undefined) return;
    const { prefix, protocol, port } = entry;
    if (isAddress(prefix)) this.#program.removeService({ protocol, address: addressOf(prefix), port });
    else this.#program.removeMarked({ protocol, prefix, port });
  }
}

function localOf(prefix: Prefix): Local {
  const family = prefixFamily(prefix);
  const words = prefixWords(prefix);
  const width = family === 4 ? 1 : 4;
  const last = lastOfPrefix(family, words, prefixLength(prefix));
  return { prefix, family, first: words.slice(0, width), last: last.slice(0, width) };
}

function put(entries: Map<string, Entry>, entry: Entry): void {
  entries.set(`${entry.protocol} ${entry.prefix} ${entry.port}`, entry);
}

function portsOf({ ports }: Reach): readonly number[] {
  if (ports === undefined) return ALL_PORTS;
  const ranges = ports.map(({ low, high }) => [low[0] >>> 16, high[0] >>> 16] as const);
  const count = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  // Port 0 in the program stands for all ports, and nobody's service is there.
  if (count > MAX_PORTS) return ALL_PORTS;
  return ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
}

/** What is both in a prefix and where packets of a kind go to: of each range the smallest prefix around it. */
function cut({ family, destinations }: Reach, local: Local): Prefix[] {
  if (local.family !== family) return [];
  if (destinations === undefined) return [local.prefix];
  const cuts: Prefix[] = [];
  for (const { low, high } of destinations) {
    if (compare(high, local.first) < 0 || compare(low, local.last) > 0) continue;
    const from = compare(low, local.first) > 0 ? low : local.first;
    const to = compare(high, local.last) < 0 ? high : local.last;
    cuts.push(around(family, { low: from, high: to }));
  }
  return cuts;
}

/** The smallest prefix that holds a range. */
function around(family: Family, { low, high }: Span): Prefix {
  let length = 0;
  for (const [i, word] of low.entries()) {
    const same = Math.clz32(word ^ high[i]);
    length += same;
    if (same < 32) break;
  }
  const words: AddressWords = [low[0], low[1] ?? 0, low[2] ?? 0, low[3] ?? 0];
  return formatPrefix(family, words, length);
}

function isAddress(prefix: Prefix): boolean {
  return prefixLength(prefix) === addressBits(prefixFamily(prefix));
}

function addressOf(prefix: Prefix): ReturnType<typeof formatAddress> {
  return formatAddress(prefixFamily(prefix), prefixWords(prefix));
}

/** Nothing comes in for these from outside. */
function isLoopback(prefix: Prefix): boolean {
  return prefix.startsWith('127.') || prefix === '::1/128';
}
