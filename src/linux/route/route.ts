// SPDX-License-Identifier: Apache-2.0
// Lists and changes the kernel's routes.

import { type Address, addressFamily, type Family } from '../../packet/address.ts';
import { NATIVE_LE } from '../libc.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { MessageBuilder, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, struct } from '../netlink-message.ts';
import { type LinkRef, linkIndex } from './link.ts';
import {
  parseRoute,
  type Route,
  type RouteType,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTA_VIA,
  RTNH_F_ONLINK,
  RTNH_LENGTH,
  routeFilterHeader,
  routeHeader,
} from './route-message.ts';
import { addressBytes, kernelFamily, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE } from './route-socket.ts';

const RTPROT_UNSPEC = 0;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_HOST = 254;
const RT_SCOPE_NOWHERE = 255;

/** One way of a route to set. */
export interface HopSpec {
  /** IPv6 gateways are allowed for IPv4 routes. */
  readonly gateway?: Address;
  readonly device?: LinkRef;
  /** 1 … 256, among several ways. */
  readonly weight?: number;
  /** Take the gateway to be on the link although no address says so. */
  readonly onlink?: boolean;
}

export interface RouteSpec extends HopSpec {
  /** `0.0.0.0` or `::` with length 0 is the default route. */
  readonly destination: Address;
  readonly prefixLength: number;
  /** Several ways; then none in the specification itself. */
  readonly hops?: readonly HopSpec[];
  /** `unicast` unless given; `local` takes a whole prefix as the host's own. */
  readonly type?: RouteType;
  /** Main (254), for `local` routes local (255), unless given. */
  readonly table?: number;
  readonly metric?: number;
  readonly preferredSource?: Address;
}

/** All routes of all tables, or of one table. Cached exceptions are left out. */
export function listRoutes(socket: NetlinkSocket, filter: { family?: Family; table?: number } = {}): Route[] {
  const request = new MessageBuilder(RTM_GETROUTE, 0, routeFilterHeader(filter.family ?? 0));
  return socket.dump(request, 'list routes', (message) => {
    const route = parseRoute(message);
    return filter.table === undefined || route?.table === filter.table ? route : undefined;
  });
}

/** EEXIST when the prefix has a route of that metric. */
export function addRoute(socket: NetlinkSocket, spec: RouteSpec): void {
  send(socket, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, spec, 'add');
}

/** Sets the route of that prefix and metric, whatever it was before. */
export function replaceRoute(socket: NetlinkSocket, spec: RouteSpec): void {
  send(socket, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, spec, 'replace');
}

/** Deletes the first route that has what `spec` says. ESRCH when there is none. */
export function deleteRoute(socket: NetlinkSocket, spec: RouteSpec): void {
  send(socket, RTM_DELROUTE, 0, spec, 'delete');
}

/** The prefix of a default route. */
export function defaultPrefix(family: Family): { destination: Address; prefixLength: number } {
  return { destination: (family === 4 ? '0.0.0.0' : '::') as Address, prefixLength: 0 };
}

function send(socket: NetlinkSocket, type: number, flags: number, spec: RouteSpec, what: string): void {
  const family = addressFamily(spec.destination);
  const routeType = spec.type ?? 'unicast';
  const table = spec.table ?? (routeType === 'local' ? RT_TABLE_LOCAL : RT_TABLE_MAIN);
  const isDeletion = type === RTM_DELROUTE;
  const head = routeHeader({
    family,
    prefixLength: spec.prefixLength,
    table,
    protocol: isDeletion ? RTPROT_UNSPEC : RTPROT_STATIC,
    scope: isDeletion ? RT_SCOPE_NOWHERE : scopeOf(routeType, spec),
    type: isDeletion && spec.type === undefined ? 'unspecified' : routeType,
    flags: spec.onlink ? RTNH_F_ONLINK : 0,
  });
  const request = new MessageBuilder(type, flags, head).u32(RTA_TABLE, table);
  if (spec.prefixLength > 0) request.bytes(RTA_DST, addressBytes(spec.destination));
  if (spec.metric !== undefined) request.u32(RTA_PRIORITY, spec.metric);
  if (spec.preferredSource !== undefined) request.bytes(RTA_PREFSRC, addressBytes(spec.preferredSource));
  if (spec.device !== undefined) request.u32(RTA_OIF, linkIndex(socket, spec.device));
  if (spec.gateway !== undefined) gateway(request, family, spec.gateway);
  if (spec.hops !== undefined) multipath(socket, request, family, spec.hops);
  socket.request(request, `${what} route ${describe(spec)}`);
}

/** What iproute2 chooses (ip/iproute.c): a prefix without a gateway is on the link. */
function scopeOf(type: RouteType, spec: RouteSpec): number {
  if (type === 'local' || type === 'nat') return RT_SCOPE_HOST;
  if (type === 'broadcast' || type === 'multicast' || type === 'anycast') return RT_SCOPE_LINK;
  if (type !== 'unicast') return RT_SCOPE_UNIVERSE;
  return spec.gateway === undefined && spec.hops === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

function gateway(builder: MessageBuilder, family: Family, address: Address): void {
  const gatewayFamily = addressFamily(address);
  const bytes = addressBytes(address);
  if (gatewayFamily === family) {
    builder.bytes(RTA_GATEWAY, bytes);
    return;
  }
  const via = struct(2 + bytes.length, (view) => view.setUint16(0, kernelFamily(gatewayFamily), NATIVE_LE));
  via.set(bytes, 2);
  builder.bytes(RTA_VIA, via);
}

function multipath(socket: NetlinkSocket, builder: MessageBuilder, family: Family, hops: readonly HopSpec[]): void {
  builder.nest(RTA_MULTIPATH, () => {
    for (const hop of hops) {
      const index = hop.device === undefined ? 0 : linkIndex(socket, hop.device);
      builder.sized((inner) => {
        inner.raw(nexthopHeader(hop, index));
        if (hop.gateway !== undefined) gateway(inner, family, hop.gateway);
      });
    }
  });
}

function nexthopHeader(hop: HopSpec, index: number): Uint8Array {
  const weight = hop.weight ?? 1;
  if (!Number.isInteger(weight) || weight < 1 || weight > 256) {
    throw new RangeError(`the weight of a way is 1 to 256, not ${weight}`);
  }
  return struct(RTNH_LENGTH, (view) => {
    view.setUint8(2, hop.onlink ? RTNH_F_ONLINK : 0);
    view.setUint8(3, weight - 1);
    view.setInt32(4, index, NATIVE_LE);
  });
}

function describe(spec: RouteSpec): string {
  const way = (hop: HopSpec): string =>
    `${hop.gateway === undefined ? '' : ` via ${hop.gateway}`}${hop.device === undefined ? '' : ` dev '${hop.device}'`}`;
  return `${spec.destination}/${spec.prefixLength}${way(spec)}${(spec.hops ?? []).map(way).join(',')}`;
}
