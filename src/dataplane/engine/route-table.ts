// SPDX-License-Identifier: Apache-2.0
// The kernel's routes as the engine looks them up: longest prefix first. Fed by the route monitor; no I/O of its own.
// Asked once for each new destination, the adjacency cache answers the rest. Policy routing is not looked at: only the
// tables "local" and "main", as the kernel does without rules of its own.

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
  /** Absent when the destination itself is on the link. */
  readonly gateway?: { readonly family: Family; readonly words: AddressWords };
}

export class RouteTable {
  /** By family, then by prefix length (index), then by the prefix's words as text. */
  #prefixes: ReadonlyMap<Family, readonly (Map<string, EngineRoute> | undefined)[]> = index([]);

  /** Takes the whole new set of routes. Local ones win over others of the same prefix, then the lowest metric. */
  replace(routes: Iterable<EngineRoute>): void {
    this.#prefixes = index(routes);
  }

  /** The most specific route to an address. */
  lookup(family: Family, words: AddressWords): EngineRoute | undefined {
    const lengths = this.#prefixes.get(family) ?? [];
    for (let length = lengths.length - 1; length >= 0; length--) {
      const found = lengths[length]?.get(prefixName(words, length));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function index(routes: Iterable<EngineRoute>): Map<Family, (Map<string, EngineRoute> | undefined)[]> {
  const families = new Map<Family, (Map<string, EngineRoute> | undefined)[]>([
    [4, new Array(33)],
    [6, new Array(129)],
  ]);
  for (const route of routes) {
    const lengths = families.get(route.family) ?? [];
    const prefixes = lengths[route.prefixLength] ?? new Map<string, EngineRoute>();
    lengths[route.prefixLength] = prefixes;
    const name = prefixName(route.destination, route.prefixLength);
    const known = prefixes.get(name);
    if (known === undefined || isBetter(route, known)) prefixes.set(name, route);
  }
  return families;
}

function isBetter(route: EngineRoute, than: EngineRoute): boolean {
  if ((route.kind === 'local') !== (than.kind === 'local')) return route.kind === 'local';
  return route.metric < than.metric;
}

/** The leading `length` bits of an address as a map key. */
function prefixName(words: AddressWords, length: number): string {
  let name = '';
  for (let i = 0; i < 4 && length > i * 32; i++) {
    const bits = length - i * 32;
    name += `${bits >= 32 ? words[i] : words[i] & (-1 << (32 - bits))} `;
  }
  return name;
}
