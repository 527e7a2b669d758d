// SPDX-License-Identifier: Apache-2.0
// A pool of local addresses as its users know it: name, addresses, counters. Plain data; LocalAddresses alone changes it.

import type { Address, Family } from '../../packet/address.ts';

/** Ports of a local address when nobody says otherwise: those that DPVS takes. */
export const LOWEST_PORT = 1025;
export const HIGHEST_PORT = 65535;

export interface LocalAddressOptions {
  readonly address: Address;
  /** First and last port that connections get; {@link LOWEST_PORT} and {@link HIGHEST_PORT} when left out. */
  readonly lowPort?: number;
  readonly highPort?: number;
}

/** An address from which the director speaks to servers. */
export class LocalAddress {
  readonly address: Address;
  readonly family: Family;
  readonly words: Int32Array;
  readonly lowPort: number;
  readonly highPort: number;
  readonly pool: AddressPool;
  /** Number by which records name it. */
  readonly id: number;
  /** It was removed: what it has in use comes back, nothing new is given. */
  isDraining = false;
  /** Ports in use, over all servers. */
  live = 0;
  /** Servers with which it has, or had, ports in use: its rings. */
  rings = 0;

  constructor(
    pool: AddressPool,
    id: number,
    fields: Pick<LocalAddress, 'address' | 'family' | 'words' | 'lowPort' | 'highPort'>,
  ) {
    this.pool = pool;
    this.id = id;
    this.address = fields.address;
    this.family = fields.family;
    this.words = fields.words;
    this.lowPort = fields.lowPort;
    this.highPort = fields.highPort;
  }
}

/** Local addresses that the servers of one or many services share. */
export class AddressPool {
  readonly name: string;
  readonly id: number;
  /** Addresses that give ports, in the order in which they were added. */
  readonly ipv4: LocalAddress[] = [];
  readonly ipv6: LocalAddress[] = [];
  /** It was removed, but connections have ports of it. */
  isRemoved = false;
  /** Ports in use, those of addresses that drain included. */
  live = 0;
  /** Connections that found no port: all to their server in use, or no address of its family in the pool. */
  exhausted = 0;
  /** Connections that found no memory for the ports to one server more. */
  refused = 0;

  constructor(name: string, id: number) {
    this.name = name;
    this.id = id;
  }

  /** Addresses of a family that give ports. */
  of(family: number): LocalAddress[] {
    return family === 4 ? this.ipv4 : this.ipv6;
  }
}
