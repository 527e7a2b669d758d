// SPDX-License-Identifier: Apache-2.0
// Where a packet leaves: the device and the MAC addresses for its destination. Comes from the kernel's routes and
// neighbours, which somebody feeds in; an unknown neighbour is asked for through `probe`, and a few packets wait for the
// answer. A direct-mapped cache by destination stands in front, so that a packet costs one comparison.
// hot path: resolveIpv4, resolveIpv6

import { type AddressWords, type Family, formatAddress } from '../../packet/address.ts';
import type { Link } from './link.ts';
import { RouteTable } from './route-table.ts';

/** The MAC is known: packets go. */
export const REACHABLE = 0;
/** The MAC is not known, or not any more: packets wait, and the first of them has the kernel asked. */
export const UNRESOLVED = 1;
/** No route leads there. */
export const NO_ROUTE = 2;
/** The route leads out of a device that the engine does not drive. */
export const NO_LINK = 3;
/** The director itself has the address. */
export const LOCAL_ADDRESS = 4;

/** Packets that wait for one neighbour; what comes on top drops the oldest, as in the kernel. */
const MAX_HELD = 100;
const CACHE_SIZE = 4096;
const CACHE_MASK = CACHE_SIZE - 1;
/** Most neighbours that are remembered; then all that no packet waits for are forgotten and learned again. */
const MAX_ADJACENCIES = 65536;
/**
 * Most questions to the kernel in the second between two {@link AdjacencyTable.confirm}: each takes the engine thread
 * 35 µs (measured, 500 at once), and who makes up neighbours must not keep it busy with them. Others are asked for a second later.
 */
const MAX_ASKED = 512;
/** Generations of tokens; a token that sleeps through all of them may meet another adjacency. */
const MAX_GENERATION = 0xffff;

/** One next hop, or one reason why there is none. */
export class Adjacency {
  state: number;
  readonly link: Link | undefined;
  readonly interfaceIndex: number;
  readonly family: Family;
  readonly words: AddressWords;
  /** Destination and source MAC, the first four octets and the last two. */
  dstHigh = 0;
  dstLow = 0;
  srcHigh = 0;
  srcLow = 0;
  /** Longest IP packet that the device takes. */
  mtu = 0;
  /** Set by every packet, cleared by {@link AdjacencyTable.confirm}. */
  used = false;
  /** The kernel holds the MAC for old and wants to hear that it is in use. */
  stale = false;
  /** What {@link AdjacencyTable.recall} finds it by; 0 for one that stands for a reason. */
  token = 0;
  /** Offset and length of the packets that wait, in turn. */
  readonly held: number[] = [];

  constructor(state: number, link?: Link, interfaceIndex = 0, family: Family = 4, words: AddressWords = [0, 0, 0, 0]) {
    this.state = state;
    this.link = link;
    this.interfaceIndex = interfaceIndex;
    this.family = family;
    this.words = words;
  }
}

/** What the table knows of a device that the engine drives. */
export interface LinkState {
  readonly link: Link;
  readonly mac: Uint8Array;
  readonly mtu: number;
}

/** Asks the kernel for a neighbour's MAC; the answer comes in through {@link AdjacencyTable.setNeighbour}. */
export type Probe = (interfaceIndex: number, family: Family, words: AddressWords) => void;

export class AdjacencyTable {
  readonly routes: RouteTable<Adjacency> = new RouteTable();
  readonly #probe: Probe;
  readonly #links = new Map<number, LinkState>();
  readonly #neighbours = new Map<string, { mac: Uint8Array; stale: boolean }>();
  readonly #adjacencies = new Map<string, Adjacency>();
  /** By the low half of the token; its high half is the generation. */
  #byToken: Adjacency[] = [];
  #generation = 1;
  #asked = 0;

  readonly #none = new Adjacency(NO_ROUTE);
  readonly #noLink = new Adjacency(NO_LINK);
  readonly #local = new Adjacency(LOCAL_ADDRESS);
  /** Marks an empty place of the caches. */
  readonly #empty = new Adjacency(NO_ROUTE);
  readonly #keys4: Int32Array = new Int32Array(CACHE_SIZE);
  readonly #cache4: Adjacency[] = new Array<Adjacency>(CACHE_SIZE).fill(this.#empty);
  readonly #keys6: Int32Array = new Int32Array(CACHE_SIZE * 4);
  readonly #cache6: Adjacency[] = new Array<Adjacency>(CACHE_SIZE).fill(this.#empty);

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** Another number whenever the ways that were found are forgotten. */
  get generation(): number {
    return this.#generation;
  }

  /** MTU of a device that the engine drives. */
  mtuOf(interfaceIndex: number): number | undefined {
    return this.#links.get(interfaceIndex)?.mtu;
  }

  /** Least MTU of the devices that the engine drives. */
  get leastMtu(): number {
    return Math.min(...Array.from(this.#links.values(), (state) => state.mtu));
  }

  /** The way to an IPv4 destination. */
  resolveIpv4(destination: number): Adjacency {
    const place = Math.imul(destination, 0x61c88647) >>> 20;
    const cached = this.#cache4[place];
    if (this.#keys4[place] === destination && cached !== this.#empty) return cached;
    const found = this.#find(4, [destination, 0, 0, 0]);
    this.#keys4[place] = destination;
    this.#cache4[place] = found;
    return found;
  }

  /** The way to an address that is not a packet's own destination; not cached, keep its token. */
  resolve(family: Family, words: AddressWords): Adjacency {
    return this.#find(family, words);
  }

  /** The way to the IPv6 destination address at `at` of `view`. */
  resolveIpv6(view: DataView, at: number): Adjacency {
    const w0 = view.getInt32(at);
    const w1 = view.getInt32(at + 4);
    const w2 = view.getInt32(at + 8);
    const w3 = view.getInt32(at + 12);
    const place = (Math.imul(w0 ^ w1 ^ w2 ^ w3, 0x61c88647) >>> 20) & CACHE_MASK;
    const keys = this.#keys6;
    const key = place << 2;
    const cached = this.#cache6[place];
    if (
      keys[key + 3] === w3 &&
      keys[key + 2] === w2 &&
      keys[key + 1] === w1 &&
      keys[key] === w0 &&
      cached !== this.#empty
    ) {
      return cached;
    }
    const found = this.#find(6, [w0, w1, w2, w3]);
    keys[key] = w0;
    keys[key + 1] = w1;
    keys[key + 2] = w2;
    keys[key + 3] = w3;
    this.#cache6[place] = found;
    return found;
  }

  /** The adjacency of a token, if nothing was forgotten since; for those who keep one with what they send. */
  recall(token: number): Adjacency | undefined {
    return token >>> 16 === this.#generation ? this.#byToken[token & 0xffff] : undefined;
  }

  /** A device that the engine drives appears or changes; {@link forget} what was found before. */
  setLink(interfaceIndex: number, state: LinkState): void {
    this.#links.set(interfaceIndex, state);
  }

  /** The engine does not drive a device any more; {@link forget} what was found before. */
  deleteLink(interfaceIndex: number): void {
    this.#links.delete(interfaceIndex);
  }

  /** A neighbour's MAC is known from now on. Returns the adjacency that packets may wait in. */
  setNeighbour(
    interfaceIndex: number,
    family: Family,
    words: AddressWords,
    mac: Uint8Array,
    stale: boolean,
  ): Adjacency | undefined {
    const name = neighbourName(interfaceIndex, family, words);
    this.#neighbours.set(name, { mac, stale });
    const adjacency = this.#adjacencies.get(name);
    const link = this.#links.get(interfaceIndex);
    if (adjacency !== undefined && link !== undefined) setReachable(adjacency, link, mac, stale);
    return adjacency;
  }

  /** A neighbour is gone, or does not answer. Returns the adjacency whose packets wait in vain. */
  deleteNeighbour(interfaceIndex: number, family: Family, words: AddressWords): Adjacency | undefined {
    const name = neighbourName(interfaceIndex, family, words);
    this.#neighbours.delete(name);
    const adjacency = this.#adjacencies.get(name);
    if (adjacency !== undefined) adjacency.state = UNRESOLVED;
    return adjacency;
  }

  /** Forgets every way that was found: routes or devices have changed. Packets that waited are handed to `drop`. */
  forget(drop: (adjacency: Adjacency) => void): void {
    for (const adjacency of this.#adjacencies.values()) drop(adjacency);
    this.#keepOnly([]);
  }

  /** Forgets all neighbours too: everything is about to be listed again. */
  reset(drop: (adjacency: Adjacency) => void): void {
    this.#neighbours.clear();
    this.forget(drop);
  }

  /** Asks again for what packets wait for, or is in use and unknown or stale. Once a second. */
  confirm(): void {
    this.#asked = 0;
    for (const adjacency of this.#adjacencies.values()) {
      if (this.#asked === MAX_ASKED) return;
      if (!adjacency.used && adjacency.held.length === 0) continue;
      adjacency.used = false;
      if (adjacency.state !== REACHABLE || adjacency.stale) this.#ask(adjacency);
    }
  }

  /** Keeps a packet until its neighbour is known. Returns the offset of one that had to give way, or -1. */
  hold(adjacency: Adjacency, offset: number, length: number): number {
    if (adjacency.held.length === 0) this.#ask(adjacency);
    adjacency.held.push(offset, length);
    if (adjacency.held.length <= MAX_HELD * 2) return -1;
    const [oldest] = adjacency.held.splice(0, 2);
    return oldest;
  }

  #find(family: Family, words: AddressWords): Adjacency {
    const entry = this.routes.lookup(family, words);
    if (entry === undefined) return this.#none;
    const { note, route } = entry;
    // All destinations behind one gateway share its adjacency.
    if (note !== undefined && this.recall(note.token) === note) return note;
    if (route.kind === 'unreachable') return this.#none;
    if (route.kind === 'local') return this.#local;
    const link = this.#links.get(route.interfaceIndex);
    if (link === undefined) return this.#noLink;
    const hop = route.gateway ?? { family, words };
    const adjacency = this.#adjacencyOf(link, route.interfaceIndex, hop.family, hop.words);
    if (route.gateway !== undefined) entry.note = adjacency;
    return adjacency;
  }

  #adjacencyOf(link: LinkState, interfaceIndex: number, family: Family, words: AddressWords): Adjacency {
    const name = neighbourName(interfaceIndex, family, words);
    const known = this.#adjacencies.get(name);
    if (known !== undefined) return known;
    if (this.#adjacencies.size >= MAX_ADJACENCIES) this.#makeRoom();
    const adjacency = new Adjacency(UNRESOLVED, link.link, interfaceIndex, family, words);
    adjacency.mtu = link.mtu;
    const neighbour = this.#neighbours.get(name);
    if (neighbour !== undefined) setReachable(adjacency, link, neighbour.mac, neighbour.stale);
    this.#add(name, adjacency);
    return adjacency;
  }

  /** Too many neighbours, or somebody who makes them up: what no packet waits for goes. */
  #makeRoom(): void {
    this.#keepOnly([...this.#adjacencies].filter(([, adjacency]) => adjacency.held.length > 0));
  }

  #keepOnly(entries: readonly (readonly [string, Adjacency])[]): void {
    this.#adjacencies.clear();
    this.#byToken = [];
    this.#generation = this.#generation === MAX_GENERATION ? 1 : this.#generation + 1;
    this.#cache4.fill(this.#empty);
    this.#cache6.fill(this.#empty);
    for (const [name, adjacency] of entries) this.#add(name, adjacency);
  }

  #add(name: string, adjacency: Adjacency): void {
    this.#adjacencies.set(name, adjacency);
    adjacency.token = (this.#generation << 16) | (this.#byToken.push(adjacency) - 1);
  }

  #ask(adjacency: Adjacency): void {
    if (this.#asked === MAX_ASKED) return;
    this.#asked++;
    this.#probe(adjacency.interfaceIndex, adjacency.family, adjacency.words);
  }
}

function neighbourName(interfaceIndex: number, family: Family, words: AddressWords): string {
  return `${interfaceIndex} ${formatAddress(family, words)}`;
}

function setReachable(adjacency: Adjacency, link: LinkState, mac: Uint8Array, stale: boolean): void {
  const high = (octets: Uint8Array): number => (octets[0] << 24) | (octets[1] << 16) | (octets[2] << 8) | octets[3];
  const low = (octets: Uint8Array): number => (octets[4] << 8) | octets[5];
  adjacency.dstHigh = high(mac);
  adjacency.dstLow = low(mac);
  adjacency.srcHigh = high(link.mac);
  adjacency.srcLow = low(link.mac);
  adjacency.mtu = link.mtu;
  adjacency.stale = stale;
  adjacency.state = REACHABLE;
}
