// SPDX-License-Identifier: Apache-2.0
// How the machine gets to an address, for the director: from the routes and devices of the adjacency table and the machine's
// own addresses, which somebody feeds in. Neighbours play no part in it.

import { PATH_LOCAL, PATH_NONE, PATH_OUT, type Path } from '../../lvs/host-addresses.ts';
import type { AddressWords, Family } from '../../packet/address.ts';
import type { AdjacencyTable } from './adjacency.ts';
import type { EngineRoute } from './route-table.ts';

const LOCAL: Path = { kind: PATH_LOCAL, mtu: 0, source: undefined };
const NONE: Path = { kind: PATH_NONE, mtu: 0, source: undefined };
/** Longest IP packet there is. */
const MAX_MTU = 0xffff;

export class Paths {
  readonly #adjacencies: AdjacencyTable;
  /** The machine's first address by device and family. */
  readonly #sources = new Map<string, AddressWords>();
  #leastMtu = 0;
  /** The table's generation that the least MTU is of. */
  #leastOf = -1;

  constructor(adjacencies: AdjacencyTable) {
    this.#adjacencies = adjacencies;
  }

  /** Another number after every change of routes and devices. */
  get changes(): number {
    return this.#adjacencies.generation;
  }

  /** The least MTU of the devices and routes. */
  get leastMtu(): number {
    if (this.#leastOf !== this.changes) {
      this.#leastMtu = Math.min(MAX_MTU, this.#adjacencies.leastMtu, this.#adjacencies.routes.leastMtu);
      this.#leastOf = this.changes;
    }
    return this.#leastMtu;
  }

  forgetSources(): void {
    this.#sources.clear();
  }

  /** An address of the machine's own on a device; the first one of a family is what it speaks by. */
  addSource(interfaceIndex: number, family: Family, words: AddressWords): void {
    const place = `${interfaceIndex} ${family}`;
    if (!this.#sources.has(place)) this.#sources.set(place, words);
  }

  isLocal(family: number, words: ArrayLike<number>): boolean {
    return this.#routeTo(family, words)?.kind === 'local';
  }

  sourceFor(family: number, destination: ArrayLike<number>): ArrayLike<number> | undefined {
    const route = this.#routeTo(family, destination);
    return route?.kind === 'unicast' ? this.#sourceOf(route) : undefined;
  }

  pathTo(family: number, words: ArrayLike<number>): Path {
    const route = this.#routeTo(family, words);
    if (route === undefined || route.kind === 'unreachable') return NONE;
    if (route.kind === 'local') return LOCAL;
    const deviceMtu = this.#adjacencies.mtuOf(route.interfaceIndex) ?? MAX_MTU;
    const mtu = route.mtu === undefined ? deviceMtu : Math.min(route.mtu, deviceMtu);
    return { kind: PATH_OUT, mtu, source: this.#sourceOf(route) };
  }

  #sourceOf(route: EngineRoute): ArrayLike<number> | undefined {
    return route.source ?? this.#sources.get(`${route.interfaceIndex} ${route.family}`);
  }

  #routeTo(family: number, words: ArrayLike<number>): EngineRoute | undefined {
    // Asked of the source of every new connection.
    const { routes } = this.#adjacencies;
    if (family === 4) return routes.lookupIpv4(words[0])?.route;
    return routes.lookup(6, [words[0], words[1], words[2], words[3]])?.route;
  }
}
