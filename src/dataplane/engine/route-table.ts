// SPDX-License-Identifier: Apache-2.0
// The kernel's routes as the engine looks them up: longest prefix first. Fed by the route monitor; no I/O of its own.
// Asked once for each new destination, the adjacency cache answers the rest. Policy routing is not looked at, only
// the tables "local" and "main". deviates: they are searched as one, "local" first where prefixes are equal; the kernel
// searches all of "local" first, which differs for local prefixes with longer routes inside.

import type { AddressWords, Family } from '../../packet/address.ts';

/** A route as far as the engine needs it. */
export interface EngineRoute {
  readonly family: Family;
  readonly destination: AddressWords;
  readonly prefixLength: number;
  readonly kind: 'unicast' | 'local' | 'unreachable';
  readonly metric: number;
  /** Device out of which it leads; 0 for none. */
  readonly interfaceIndex: number;
  /** Path MTU set on the route, when there is one. */
  readonly mtu?: number;
  /** Address from which the machine speaks by this route, when it was set. */
  readonly source?: AddressWords;
  /** Absent when the destination itself is on the link. */
  readonly gateway?: { readonly family: Family; readonly words: AddressWords };
}

/** A route in the table, with a place for what its user found out about it. */
export class RouteEntry<T> {
  readonly route: EngineRoute;
  note: T | undefined = undefined;

  constructor(route: EngineRoute) {
    this.route = route;
  }
}

export class RouteTable<T> {
  /** Least MTU set on a route; none is above 65535. */
  leastMtu = 0xffff;
  /** The prefix lengths in use, longest first, each with its routes by the masked word. */
  #ipv4: readonly { readonly mask: number; readonly routes: ReadonlyMap<number, RouteEntry<T>> }[] = [];
  /** The same for IPv6, by the prefix's words as text. */
  #ipv6: readonly { readonly length: number; readonly routes: ReadonlyMap<string, RouteEntry<T>> }[] = [];

  /** Takes the whole new set of routes. Local ones win over others of the same prefix, then the lowest metric. */
  replace(routes: Iterable<EngineRoute>): void {
    const ipv4 = new Map<number, Map<number, RouteEntry<T>>>();
    const ipv6 = new Map<number, Map<string, RouteEntry<T>>>();
    this.leastMtu = 0xffff;
    for (const route of routes) {
      const { prefixLength, destination } = route;
      if (route.mtu !== undefined) this.leastMtu = Math.min(this.leastMtu, route.mtu);
      if (route.family === 4) put(ipv4, prefixLength, destination[0] & ipv4Mask(prefixLength), route);
      else put(ipv6, prefixLength, ipv6Prefix(destination, prefixLength), route);
    }
    this.#ipv4 = longestFirst(ipv4, (length, routes) => ({ mask: ipv4Mask(length), routes }));
    this.#ipv6 = longestFirst(ipv6, (length, routes) => ({ length, routes }));
  }

  /** The most specific route to an address. */
  lookup(family: Family, words: AddressWords): RouteEntry<T> | undefined {
    if (family === 4) return this.lookupIpv4(words[0]);
    for (const { length, routes } of this.#ipv6) {
      const found = routes.get(ipv6Prefix(words, length));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** {@link lookup} of an IPv4 address by its word. */
  lookupIpv4(word: number): RouteEntry<T> | undefined {
    for (let i = 0; i < this.#ipv4.length; i++) {
      const { mask, routes } = this.#ipv4[i];
      const found = routes.get(word & mask);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function put<T, K>(lengths: Map<number, Map<K, RouteEntry<T>>>, length: number, key: K, route: EngineRoute): void {
  const routes = lengths.get(length) ?? new Map<K, RouteEntry<T>>();
  lengths.set(length, routes);
  const known = routes.get(key);
  if (known === undefined || isBetter(route, known.route)) routes.set(key, new RouteEntry<T>(route));
}

function longestFirst<V, R>(lengths: ReadonlyMap<number, V>, make: (length: number, value: V) => R): R[] {
  return [...lengths].sort(([a], [b]) => b - a).map(([length, value]) => make(length, value));
}

function isBetter(route: EngineRoute, than: EngineRoute): boolean {
  if ((route.kind === 'local') !== (than.kind === 'local')) return route.kind === 'local';
  return route.metric < than.metric;
}

/** The leading `length` bits of a word, as a mask. */
function ipv4Mask(length: number): number {
  return length === 0 ? 0 : -1 << (32 - length);
}

/** The leading `length` bits of an IPv6 address as a map key. */
function ipv6Prefix(words: AddressWords, length: number): string {
  let name = '';
  for (let i = 0; i < 4 && length > i * 32; i++) {
    const bits = length - i * 32;
    name += `${bits >= 32 ? words[i] : words[i] & (-1 << (32 - bits))} `;
  }
  return name;
}
