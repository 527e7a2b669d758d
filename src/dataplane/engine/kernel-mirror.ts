// SPDX-License-Identifier: Apache-2.0
// Keeps the engine's adjacencies as the kernel's own tables are: lists everything once, then follows the events. Runs in
// the engine thread between batches; routes are listed anew after a change of any, but not so often that packets suffer.

import { SysError } from '../../linux/errno.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { listAddresses } from '../../linux/route/address.ts';
import { isDelivered } from '../../linux/route/delivery.ts';
import { listLinks } from '../../linux/route/link.ts';
import type { Link as Device } from '../../linux/route/link-message.ts';
import { RouteMonitor } from '../../linux/route/monitor.ts';
import { listNeighbours, type Neighbour, NUD_FAILED, NUD_STALE, probeNeighbour } from '../../linux/route/neighbour.ts';
import { listRoutes } from '../../linux/route/route.ts';
import { type Route, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTNH_F_DEAD } from '../../linux/route/route-message.ts';
import { openRouteSocket } from '../../linux/route/route-socket.ts';
import type { HostAddresses, Path } from '../../lvs/host-addresses.ts';
import { type Address, addressWords } from '../../packet/address.ts';
import { formatPrefix, type Prefix } from '../../packet/prefix.ts';
import type { Logger } from '../logger.ts';
import { type Adjacency, AdjacencyTable, type LinkState } from './adjacency.ts';
import { Delivery } from './delivery.ts';
import { Paths } from './paths.ts';
import type { EngineRoute } from './route-table.ts';

/** Least pause between two listings of the kernel's tables, and its length in units of the last listing's own time. */
const PAUSE_MS = 100;
const PAUSE_FACTOR = 10;
/** Pause after a listing that the kernel refused. */
const RETRY_MS = 1000;

const ETHERNET_MAC_LENGTH = 6;

/** Scope of addresses that are valid on their link only. */
const LINK_SCOPE = 253;

export interface KernelMirrorOptions {
  readonly log: Logger;
  /** A device that the engine drives has changed. */
  readonly onDevice: (device: Device) => void;
  /** A device that the engine drives is gone. */
  readonly onDeviceGone: (interfaceIndex: number) => void;
  /** The director's own addresses. */
  readonly onLocals: (addresses: readonly Address[]) => void;
  /** The prefixes that some table of routes delivers to the machine itself, addresses of its own among them. */
  readonly onLocalPrefixes: (prefixes: readonly Prefix[]) => void;
  /** The wait of packets for this neighbour is over, one way or the other. */
  readonly onResolved: (adjacency: Adjacency) => void;
  /** Packets that wait for this neighbour have to go. */
  readonly onForgotten: (adjacency: Adjacency) => void;
}

export class KernelMirror implements HostAddresses {
  readonly adjacencies: AdjacencyTable;
  readonly #options: KernelMirrorOptions;
  readonly #socket: NetlinkSocket;
  readonly #monitor: RouteMonitor;
  readonly #driven = new Set<number>();
  readonly #delivery: Delivery;
  readonly #paths: Paths;
  /** Routes or addresses have changed. */
  #stale = false;
  /** Events were lost: neighbours may have changed too. */
  #overrun = false;
  #listAt = 0;

  constructor(options: KernelMirrorOptions) {
    this.#options = options;
    this.adjacencies = new AdjacencyTable((interfaceIndex, family, words) => {
      try {
        probeNeighbour(this.#socket, interfaceIndex, family, words);
      } catch (error) {
        options.log.debug('neighbour cannot be asked for', { error: (error as Error).message });
      }
    });
    this.#paths = new Paths(this.adjacencies);
    this.#delivery = new Delivery(
      (family, destination) => this.isLocal(family, destination),
      (family, source, destination, mark, interfaceIndex) => {
        try {
          return isDelivered(this.#socket, { family, source, destination, mark, interfaceIndex });
        } catch (error) {
          options.log.debug('route cannot be asked for', { error: (error as Error).message });
          return undefined;
        }
      },
    );
    this.#monitor = new RouteMonitor();
    this.#socket = openRouteSocket();
  }

  /** Readable when the kernel has news; then call {@link drain}. */
  get number(): number {
    return this.#monitor.number;
  }

  /** Devices of this namespace. */
  devices(): Device[] {
    return listLinks(this.#socket);
  }

  /** Whether a device has an address of its own. */
  hasAddress(interfaceIndex: number): boolean {
    return listAddresses(this.#socket, interfaceIndex).some((address) => address.scope !== LINK_SCOPE);
  }

  /** Packets may leave through this device from now on. */
  drive(interfaceIndex: number, state: LinkState): void {
    this.#driven.add(interfaceIndex);
    this.adjacencies.setLink(interfaceIndex, state);
    this.adjacencies.forget(this.#options.onForgotten);
  }

  /** Nothing leaves through this device any more. */
  release(interfaceIndex: number): void {
    this.#driven.delete(interfaceIndex);
    this.adjacencies.deleteLink(interfaceIndex);
    this.adjacencies.forget(this.#options.onForgotten);
  }

  /** Reads all tables of the kernel. */
  list(): void {
    const neighbours = listNeighbours(this.#socket);
    this.adjacencies.reset(this.#options.onForgotten);
    for (const neighbour of neighbours) this.#learn(neighbour, false);
    this.#listRoutes();
    this.#overrun = false;
  }

  /** Takes in what the kernel tells. */
  drain(): void {
    this.#monitor.drain((event) => {
      switch (event.type) {
        case 'neighbour':
          this.#learn(event.neighbour, event.removed);
          break;
        case 'link':
          // Any device's: IPv4 routes go with one that is switched off, without an event of their own.
          this.#stale = true;
          if (!this.#driven.has(event.link.index)) break;
          if (event.removed) this.#options.onDeviceGone(event.link.index);
          else this.#options.onDevice(event.link);
          break;
        case 'overrun':
          this.#overrun = true;
          break;
        default:
          this.#stale = true;
      }
    });
  }

  /**
   * Lists again what has changed, if it is not too soon. Call now and then, with the clock in milliseconds. When the
   * kernel refuses, the tables stay as they were and it is asked again.
   */
  refresh(clock: () => number): void {
    if (!this.#stale && !this.#overrun) return;
    const start = clock();
    if (start < this.#listAt) return;
    try {
      if (this.#overrun) {
        this.#options.log.warn('events of the kernel were lost: reading its tables again');
        this.list();
      } else {
        this.#listRoutes();
      }
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#options.log.error('the tables of the kernel cannot be read: going on with what they were', {
        error: error.message,
      });
      this.#listAt = clock() + RETRY_MS;
      return;
    }
    const end = clock();
    this.#listAt = end + Math.max(PAUSE_MS, PAUSE_FACTOR * (end - start));
  }

  close(): void {
    this.#monitor.close();
    this.#socket.close();
  }

  /** {@link HostAddresses} */
  get changes(): number {
    return this.#paths.changes;
  }

  /** {@link HostAddresses} */
  get leastMtu(): number {
    return this.#paths.leastMtu;
  }

  /** {@link HostAddresses}: whether the machine itself has an address. */
  isLocal(family: number, words: ArrayLike<number>): boolean {
    return this.#paths.isLocal(family, words);
  }

  /** {@link HostAddresses} */
  pathTo(family: number, words: ArrayLike<number>): Path {
    return this.#paths.pathTo(family, words);
  }

  /** {@link HostAddresses}: the first address of the device that leads to `destination`. */
  sourceFor(family: number, destination: ArrayLike<number>): ArrayLike<number> | undefined {
    return this.#paths.sourceFor(family, destination);
  }

  /** {@link HostAddresses} */
  deliversMarked(family: number, source: Int32Array, destination: Int32Array, mark: number, device: number): boolean {
    return this.#delivery.delivers(family === 4 ? 4 : 6, source, destination, mark, device);
  }

  /** Asks again for what is in use and uncertain. Once a second. */
  confirm(): void {
    this.adjacencies.confirm();
    this.#delivery.renew();
  }

  #listRoutes(): void {
    const all = listRoutes(this.#socket);
    const routes = all.flatMap(engineRoute);
    const addresses = listAddresses(this.#socket);
    const locals = addresses.map((address) => address.address);
    this.#paths.forgetSources();
    for (const { interfaceIndex, family, address, scope } of addresses) {
      if (scope !== LINK_SCOPE) this.#paths.addSource(interfaceIndex, family, addressWords(address));
    }
    this.adjacencies.routes.replace(routes);
    this.adjacencies.forget(this.#options.onForgotten);
    this.#delivery.forget();
    this.#options.onLocals(locals);
    this.#options.onLocalPrefixes(all.flatMap(localPrefix));
    this.#stale = false;
  }

  #learn(neighbour: Neighbour, removed: boolean): void {
    const { interfaceIndex, family, words, macBytes, state } = neighbour;
    const isKnown = !removed && neighbour.valid && macBytes.length === ETHERNET_MAC_LENGTH;
    if (!isKnown && !removed && state !== NUD_FAILED) return;
    const adjacency = isKnown
      ? this.adjacencies.setNeighbour(interfaceIndex, family, words, macBytes, state === NUD_STALE)
      : this.adjacencies.deleteNeighbour(interfaceIndex, family, words);
    if (adjacency !== undefined && adjacency.held.length > 0) this.#options.onResolved(adjacency);
  }
}

/** The prefix of a route that delivers to the machine itself. */
function localPrefix({ type, family, destination, prefixLength }: Route): Prefix[] {
  return type === 'local' ? [formatPrefix(family, destination.words, prefixLength)] : [];
}

/** A kernel route as the engine looks it up; none for tables and kinds that forwarding does not use. */
function engineRoute(route: Route): EngineRoute[] {
  if (route.table !== RT_TABLE_MAIN && route.table !== RT_TABLE_LOCAL) return [];
  if (route.sourcePrefixLength !== 0 || route.tos !== 0) return [];
  const { family, prefixLength, metric } = route;
  const common = {
    family,
    destination: route.destination.words,
    prefixLength,
    metric,
    ...(route.mtu !== 0 && { mtu: route.mtu }),
    ...(route.preferredSource && { source: route.preferredSource.words }),
  };
  if (route.type === 'local') return [{ ...common, kind: 'local', interfaceIndex: 0 }];
  if (route.type !== 'unicast') return [{ ...common, kind: 'unreachable', interfaceIndex: 0 }];
  const hop = route.nexthops.find((way) => (way.flags & RTNH_F_DEAD) === 0);
  if (hop === undefined) return [];
  const { interfaceIndex, gateway } = hop;
  return [{ ...common, kind: 'unicast', interfaceIndex, ...(gateway && { gateway }) }];
}
