// SPDX-License-Identifier: Apache-2.0
// FULLNAT's own ends: for each connection to a server a local address and port, such that no two connections have protocol,
// both addresses and both ports in common. The same local port may so serve every server once. Asked by the director when a
// connection opens and when it ends; the lease that it gets stands for address, port and server.
//
// A ring of ports (port-rings.ts) belongs to a server and a local address, from the first connection between the two on.
// Connections take turns among the addresses (as DPVS has it), as long as rings are plenty; when more than half are in use
// a server gets another ring only when its own have no port left. Rings of servers without connections are kept, so that
// ports rest, until somebody needs them. Searches are one hash chain long; forgetting a server costs a step for each of
// its rings, which were opened one by one before.
// hot path: take, giveBack

import { type Address, addressFamily, addressWords } from '../../packet/address.ts';
import type { HashSeed } from '../connection/table.ts';
import { type LocalPoolSnapshot, LvsError } from '../model.ts';
import { randomBits } from '../random.ts';
import { AddressPool, HIGHEST_PORT, LOWEST_PORT, LocalAddress, type LocalAddressOptions } from './address-pool.ts';
import { PortRings } from './port-rings.ts';
import { AVAILABLE, KIND, LIVE, OPENED, POOL, REMOTE_SHIFT, Remotes, RINGS } from './remotes.ts';

/** Answers of {@link LocalAddresses.take} that are no lease: no port is left, no memory is. */
export const NO_PORT = 0;
export const NO_MEMORY = -1;

/** Rings when nobody says otherwise: 136 MB of address space, of which each ring that is used touches 12 to 136 KB. */
const DEFAULT_RINGS = 1024;
/** A lease is ring << 16 | port, above 0. */
const MOST_RINGS = 0x7fff;

// Words of a ring.
const REMOTE = 0;
/** Neighbours in the circle of its server's rings with free ports; 0 outside of it. */
const NEXT = 1;
const PREVIOUS = 2;
/** Next one of its hash chain; next free one. */
const CHAIN = 3;
const SHIFT = 2;

export interface LocalAddressesOptions {
  /** Random words from outside. */
  readonly seed: HashSeed;
  /** Most pairs of a server and a local address at once. */
  readonly rings?: number;
}

export class LocalAddresses {
  /** Of the last lease. */
  address: LocalAddress | undefined = undefined;
  port = 0;
  /** Rings in use, those of idle servers included. */
  openRings = 0;
  readonly #pools = new Map<string, AddressPool>();
  /** All addresses, those that drain included. */
  #addresses: LocalAddress[] = [];
  readonly #rings: PortRings;
  readonly #remotes: Remotes;
  readonly #links: Int32Array;
  readonly #buckets: Int32Array;
  readonly #addressOf: (LocalAddress | undefined)[];
  readonly #capacity: number;
  readonly #random: () => number;
  #freeRing = 0;
  #lastId = 0;
  #steps = 0;

  constructor({ seed, rings = DEFAULT_RINGS }: LocalAddressesOptions) {
    if (!(Number.isInteger(rings) && rings >= 1 && rings <= MOST_RINGS)) {
      throw new LvsError('EINVAL', `local addresses take 1 … ${MOST_RINGS} rings of ports, not ${rings}`);
    }
    this.#capacity = rings;
    this.#rings = new PortRings(rings + 1);
    this.#remotes = new Remotes(rings, seed);
    this.#links = new Int32Array((rings + 1) << SHIFT);
    this.#addressOf = new Array<LocalAddress | undefined>(rings + 1).fill(undefined);
    let buckets = 64;
    while (buckets < rings) buckets <<= 1;
    this.#buckets = new Int32Array(buckets);
    this.#random = randomBits(seed.k0 ^ (seed.k1 << 1));
    for (let ring = rings; ring > 0; ring--) {
      this.#links[(ring << SHIFT) | CHAIN] = this.#freeRing;
      this.#freeRing = ring;
    }
  }

  /** Steps of all searches since the start. */
  get steps(): number {
    return this.#steps + this.#remotes.steps;
  }

  // ---- pools and addresses ----

  /** A new pool. One that was removed and still drains is taken up again. Throws LvsError EEXIST. */
  createPool(name: string): AddressPool {
    this.#forgetDrained();
    const former = this.#pools.get(name);
    if (former !== undefined && !former.isRemoved)
      throw new LvsError('EEXIST', `there is a local address pool '${name}'`);
    const pool = former ?? new AddressPool(name, ++this.#lastId);
    pool.isRemoved = false;
    this.#pools.set(name, pool);
    return pool;
  }

  findPool(name: string): AddressPool | undefined {
    const pool = this.#pools.get(name);
    return pool?.isRemoved ? undefined : pool;
  }

  /** Removes a pool: its addresses drain. Throws LvsError ENOENT. */
  removePool(name: string): void {
    const pool = this.findPool(name);
    if (pool === undefined) throw new LvsError('ENOENT', `no local address pool '${name}'`);
    for (const { address } of [...pool.ipv4, ...pool.ipv6]) this.removeAddress(pool, address);
    pool.isRemoved = true;
    this.#forgetDrained();
  }

  /** Adds an address, or takes up again one that drains. Throws LvsError EINVAL, EEXIST. */
  addAddress(pool: AddressPool, options: LocalAddressOptions): LocalAddress {
    const { address, lowPort = LOWEST_PORT, highPort = HIGHEST_PORT } = options;
    if (!isPort(lowPort) || !isPort(highPort) || lowPort > highPort) {
      throw new LvsError('EINVAL', `ports of a local address are within 1 … 65535, not ${lowPort} … ${highPort}`);
    }
    this.#forgetDrained();
    const former = this.#addresses.find((one) => one.address === address);
    if (former !== undefined) {
      this.#resume(former, pool, lowPort, highPort);
      return former;
    }
    const family = addressFamily(address);
    const words = Int32Array.from(addressWords(address));
    const added = new LocalAddress(pool, ++this.#lastId, { address, family, words, lowPort, highPort });
    this.#addresses.push(added);
    pool.of(family).push(added);
    return added;
  }

  /** Removes an address: it gives no more ports, and those in use come back as ever. Throws LvsError ENOENT. */
  removeAddress(pool: AddressPool, address: Address): void {
    const order = pool.of(addressFamily(address));
    const index = order.findIndex((one) => one.address === address);
    if (index === -1) throw new LvsError('ENOENT', `no local address ${address} in the pool '${pool.name}'`);
    const removed = order[index];
    order.splice(index, 1);
    removed.isDraining = true;
    const { records, capacity } = this.#remotes;
    for (let base = 1 << REMOTE_SHIFT; base <= capacity << REMOTE_SHIFT; base += 1 << REMOTE_SHIFT) {
      const isOfOrder = records[base | POOL] === pool.id && (records[base | KIND] & 0xff) === removed.family;
      if (isOfOrder && records[base | OPENED] > index) records[base | OPENED]--;
    }
    for (let ring = 1; ring <= this.#capacity; ring++) {
      if (this.#addressOf[ring] !== removed) continue;
      if (this.#rings.live(ring) > 0) {
        this.#withdraw(ring);
        continue;
      }
      const remote = this.#links[(ring << SHIFT) | REMOTE];
      this.#closeRing(ring);
      if (records[(remote << REMOTE_SHIFT) | RINGS] === 0) {
        this.#remotes.setBusy(remote);
        this.#remotes.close(remote);
      }
    }
    this.#forgetDrained();
  }

  /** Takes up an address that drains. */
  #resume(former: LocalAddress, pool: AddressPool, lowPort: number, highPort: number): void {
    const { address, family } = former;
    if (!former.isDraining) {
      throw new LvsError('EEXIST', `local address ${address} is in the pool '${former.pool.name}'`);
    }
    if (former.pool !== pool || former.lowPort !== lowPort || former.highPort !== highPort) {
      const what = `the pool '${former.pool.name}' with ports ${former.lowPort} … ${former.highPort}`;
      throw new LvsError('EEXIST', `local address ${address} still has ${former.live} connections of ${what}`);
    }
    former.isDraining = false;
    pool.of(family).push(former);
    for (let ring = 1; ring <= this.#capacity; ring++) {
      if (this.#addressOf[ring] === former && this.#rings.free(ring) > 0) this.#offer(ring);
    }
  }

  #forgetDrained(): void {
    this.#addresses = this.#addresses.filter((one) => !one.isDraining || one.live > 0);
    for (const [name, pool] of this.#pools) if (pool.isRemoved && pool.live === 0) this.#pools.delete(name);
  }

  /** All addresses that servers may answer to, those that drain included. */
  inUse(): Address[] {
    this.#forgetDrained();
    return this.#addresses.map(({ address }) => address);
  }

  snapshot(): LocalPoolSnapshot[] {
    return [...this.#pools.values()]
      .filter((pool) => !pool.isRemoved)
      .map((pool) => ({
        name: pool.name,
        addresses: [...pool.ipv4, ...pool.ipv6].map(({ address, lowPort, highPort, live }) => ({
          address,
          lowPort,
          highPort,
          connections: live,
        })),
        connections: pool.live,
        exhausted: pool.exhausted,
        refused: pool.refused,
      }));
  }

  // ---- leases ----

  /**
   * A local end for a connection of `protocol` to the server with these words and port: a lease, above 0, with `address` and
   * `port` set; or NO_PORT or NO_MEMORY, counted in the pool.
   */
  take(pool: AddressPool, family: number, protocol: number, words: ArrayLike<number>, port: number): number {
    const order = pool.of(family);
    const { records } = this.#remotes;
    let remote = this.#remotes.find(pool.id, (protocol << 8) | family, words, port);
    if (remote === 0) {
      if (order.length === 0) return this.#refuse(pool, NO_PORT);
      if (!this.#makeRoom()) return this.#refuse(pool, NO_MEMORY);
      remote = this.#remotes.open();
    } else if (records[(remote << REMOTE_SHIFT) | LIVE] === 0) {
      this.#remotes.setBusy(remote);
    }
    const base = remote << REMOTE_SHIFT;
    const ring = this.#ringFor(remote, order);
    if (ring === 0) return this.#refuse(pool, records[base | OPENED] < order.length ? NO_MEMORY : NO_PORT);

    const address = this.#addressOf[ring] as LocalAddress;
    this.address = address;
    this.port = this.#rings.take(ring);
    records[base | AVAILABLE] = this.#links[(ring << SHIFT) | NEXT];
    if (this.#rings.free(ring) === 0) this.#withdraw(ring);
    records[base | LIVE]++;
    address.live++;
    pool.live++;
    return (ring << 16) | this.port;
  }

  /** Takes back what was leased. False, and nothing done, for what is no lease, or was given back. */
  giveBack(lease: number): boolean {
    const ring = lease >>> 16;
    const address = ring <= this.#capacity ? this.#addressOf[ring] : undefined;
    if (address === undefined || !this.#rings.put(ring, lease & 0xffff)) return false;
    const remote = this.#links[(ring << SHIFT) | REMOTE];
    const base = remote << REMOTE_SHIFT;
    const { records } = this.#remotes;
    records[base | LIVE]--;
    address.live--;
    address.pool.live--;
    if (address.isDraining) {
      if (this.#rings.live(ring) === 0) this.#closeRing(ring);
    } else if (this.#rings.free(ring) === 1) {
      this.#offer(ring);
    }
    if (records[base | LIVE] === 0) {
      if (records[base | RINGS] === 0) this.#remotes.close(remote);
      else this.#remotes.setIdle(remote);
    }
    return true;
  }

  #refuse(pool: AddressPool, answer: number): number {
    if (answer === NO_PORT) pool.exhausted++;
    else pool.refused++;
    return answer;
  }

  /** A ring of the server with a free port, a new one where that is due; or 0. The server has ports in use then. */
  #ringFor(remote: number, order: readonly LocalAddress[]): number {
    const { records } = this.#remotes;
    const base = remote << REMOTE_SHIFT;
    while (records[base | OPENED] < order.length) {
      if (records[base | AVAILABLE] !== 0 && this.openRings * 2 >= this.#capacity) break;
      const address = order[records[base | OPENED]];
      this.#steps++;
      // An address that was taken up again may have its ring still.
      const isNew = this.#findRing(remote, address) === 0;
      if (isNew && !this.#makeRoom()) break;
      records[base | OPENED]++;
      if (isNew) return this.#openRing(remote, address);
    }
    return records[base | AVAILABLE];
  }

  /** Sees to it that there is a ring to open. */
  #makeRoom(): boolean {
    if (this.#freeRing !== 0) return true;
    const idle = this.#remotes.longestIdle;
    if (idle === 0) return false;
    this.#remotes.setBusy(idle);
    const { records } = this.#remotes;
    const base = idle << REMOTE_SHIFT;
    for (; records[base | RINGS] > 0; this.#steps++) this.#closeRing(records[base | AVAILABLE]);
    this.#remotes.close(idle);
    return true;
  }

  // ---- rings ----

  #openRing(remote: number, address: LocalAddress): number {
    const links = this.#links;
    const ring = this.#freeRing;
    const base = ring << SHIFT;
    this.#freeRing = links[base | CHAIN];
    const bucket = this.#bucketOf(remote, address);
    links[base | REMOTE] = remote;
    links[base | NEXT] = 0;
    links[base | CHAIN] = this.#buckets[bucket];
    this.#buckets[bucket] = ring;
    this.#addressOf[ring] = address;
    address.rings++;
    this.openRings++;
    this.#remotes.records[(remote << REMOTE_SHIFT) | RINGS]++;
    const count = address.highPort - address.lowPort + 1;
    this.#rings.open(ring, address.lowPort, address.highPort, this.#random() % count);
    this.#offer(ring);
    return ring;
  }

  /** Closes a ring without ports in use. */
  #closeRing(ring: number): void {
    const links = this.#links;
    const base = ring << SHIFT;
    const address = this.#addressOf[ring] as LocalAddress;
    const remote = links[base | REMOTE];
    if (links[base | NEXT] !== 0) this.#withdraw(ring);
    const bucket = this.#bucketOf(remote, address);
    let at = this.#buckets[bucket];
    this.#steps++;
    if (at === ring) {
      this.#buckets[bucket] = links[base | CHAIN];
    } else {
      for (; links[(at << SHIFT) | CHAIN] !== ring; this.#steps++) at = links[(at << SHIFT) | CHAIN];
      links[(at << SHIFT) | CHAIN] = links[base | CHAIN];
    }
    links[base | CHAIN] = this.#freeRing;
    this.#freeRing = ring;
    this.#addressOf[ring] = undefined;
    address.rings--;
    this.openRings--;
    this.#remotes.records[(remote << REMOTE_SHIFT) | RINGS]--;
  }

  #findRing(remote: number, address: LocalAddress): number {
    let ring = this.#buckets[this.#bucketOf(remote, address)];
    for (; ring !== 0; this.#steps++) {
      if (this.#links[(ring << SHIFT) | REMOTE] === remote && this.#addressOf[ring] === address) return ring;
      ring = this.#links[(ring << SHIFT) | CHAIN];
    }
    return 0;
  }

  /** Both are numbers of our own, so that nobody outside can aim at a chain. */
  #bucketOf(remote: number, { id }: LocalAddress): number {
    return ((Math.imul(remote, 0x9e3779b1) ^ Math.imul(id, 0x85ebca6b)) >>> 7) & (this.#buckets.length - 1);
  }

  /** Puts a ring in the circle of those that have free ports, where it is the last to have its turn. */
  #offer(ring: number): void {
    const links = this.#links;
    const base = ring << SHIFT;
    const available = (links[base | REMOTE] << REMOTE_SHIFT) | AVAILABLE;
    const { records } = this.#remotes;
    const head = records[available] === 0 ? ring : records[available];
    const last = head === ring ? ring : links[(head << SHIFT) | PREVIOUS];
    links[base | NEXT] = head;
    links[base | PREVIOUS] = last;
    links[(last << SHIFT) | NEXT] = ring;
    links[(head << SHIFT) | PREVIOUS] = ring;
    records[available] = head;
  }

  #withdraw(ring: number): void {
    const links = this.#links;
    const base = ring << SHIFT;
    const next = links[base | NEXT];
    if (next === 0) return;
    const previous = links[base | PREVIOUS];
    const available = (links[base | REMOTE] << REMOTE_SHIFT) | AVAILABLE;
    const { records } = this.#remotes;
    links[(previous << SHIFT) | NEXT] = next;
    links[(next << SHIFT) | PREVIOUS] = previous;
    links[base | NEXT] = 0;
    if (records[available] === ring) records[available] = next === ring ? 0 : next;
  }
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}
