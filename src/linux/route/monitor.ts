// SPDX-License-Identifier: Apache-2.0
// Follows what the kernel does to devices, addresses, routes, rules and neighbours of a namespace. Open it first and list
// afterwards: then nothing is missed, and what happens in between is told twice.

import { NETLINK_ROUTE, NetlinkEvents } from '../netlink.ts';
import type { NetlinkMessage } from '../netlink-message.ts';
import { inNamespace } from '../netns.ts';
import { type InterfaceAddress, parseInterfaceAddress } from './address.ts';
import type { Link } from './link-message.ts';
import { parseLink } from './link-message.ts';
import { type Neighbour, parseNeighbour } from './neighbour.ts';
import { parseRoute, type Route } from './route-message.ts';
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTM_NEWRULE,
} from './route-socket.ts';

const RTNLGRP_LINK = 1;
const RTNLGRP_NEIGH = 3;
const RTNLGRP_IPV4_IFADDR = 5;
const RTNLGRP_IPV4_ROUTE = 7;
const RTNLGRP_IPV6_IFADDR = 9;
const RTNLGRP_IPV4_RULE = 8;
const RTNLGRP_IPV6_ROUTE = 11;
const RTNLGRP_IPV6_RULE = 19;

const GROUPS = [
  RTNLGRP_LINK,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_RULE,
  RTNLGRP_NEIGH,
];

/**
 * `removed` tells a deletion from an addition or change. A device that goes takes its IPv4 routes with it without an
 * event for each, and an IPv6 route of several ways is changed way by way: list the routes again after such events.
 */
export type RouteEvent =
  | { readonly type: 'link'; readonly removed: boolean; readonly link: Link }
  | { readonly type: 'address'; readonly removed: boolean; readonly address: InterfaceAddress }
  | { readonly type: 'route'; readonly removed: boolean; readonly route: Route }
  | { readonly type: 'neighbour'; readonly removed: boolean; readonly neighbour: Neighbour }
  /** The rules that choose a table of routes (`ip rule`). */
  | { readonly type: 'rule'; readonly removed: boolean }
  /** Events were lost: list everything again. */
  | { readonly type: 'overrun' };

export interface RouteMonitorOptions {
  /** Name of the namespace to follow; the calling thread's unless given. */
  readonly namespace?: string;
  /** Room for events that wait to be read. */
  readonly bufferBytes?: number;
}

export class RouteMonitor {
  readonly #events: NetlinkEvents;

  constructor(options: RouteMonitorOptions = {}) {
    const open = (): NetlinkEvents => new NetlinkEvents(NETLINK_ROUTE, GROUPS, 'rtnetlink events', options.bufferBytes);
    this.#events = options.namespace === undefined ? open() : inNamespace(options.namespace, open);
  }

  /** Readable when events wait. */
  get number(): number {
    return this.#events.number;
  }

  /** Hands over every event that waits, in the kernel's order, and returns without waiting for more. */
  drain(handle: (event: RouteEvent) => void): void {
    this.#events.drain((message) => {
      const event: RouteEvent | undefined = message === 'overrun' ? { type: 'overrun' } : parseEvent(message);
      if (event !== undefined) handle(event);
    });
  }

  close(): void {
    this.#events.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Undefined for messages that tell nothing that Ballast follows. */
export function parseEvent(message: NetlinkMessage): RouteEvent | undefined {
  switch (message.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const link = parseLink(message);
      return link && { type: 'link', removed: message.type === RTM_DELLINK, link };
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = parseInterfaceAddress(message);
      return address && { type: 'address', removed: message.type === RTM_DELADDR, address };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = parseRoute(message);
      return route && { type: 'route', removed: message.type === RTM_DELROUTE, route };
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      const neighbour = parseNeighbour(message);
      return neighbour && { type: 'neighbour', removed: message.type === RTM_DELNEIGH, neighbour };
    }
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return { type: 'rule', removed: message.type === RTM_DELRULE };
    default:
      return undefined;
  }
}
