// SPDX-License-Identifier: Apache-2.0
// Routes as rtnetlink describes them (include/uapi/linux/rtnetlink.h, struct rtmsg). Pure; route.ts asks the kernel.

import type { Family } from '../../packet/address.ts';
import { NATIVE_LE } from '../libc.ts';
import {
  type Attributes,
  NetlinkFormatError,
  type NetlinkMessage,
  need,
  nested,
  parseAttributes,
  struct,
  u32,
} from '../netlink-message.ts';
import { familyOf, type IpAddress, kernelFamily, readIp } from './route-socket.ts';

//  0 family(1)  1 dst len(1)  2 src len(1)  3 tos(1)  4 table(1)  5 protocol(1)  6 scope(1)  7 type(1)  8 flags(4)
const RTM_LENGTH = 12;
//  0 length(2)  2 flags(1)  3 weight - 1(1)  4 index(4)                   struct rtnexthop
export const RTNH_LENGTH = 8;

export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
export const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
export const RTA_MULTIPATH = 9;
export const RTA_TABLE = 15;
export const RTA_VIA = 18;
const RTAX_MTU = 2;

export const RTNH_F_DEAD = 1;
export const RTNH_F_ONLINK = 4;
export const RTNH_F_LINKDOWN = 16;
/** An exception that the kernel keeps for one destination, not a route that anybody set. */
const RTM_F_CLONED = 0x200;

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

/** Types by the kernel's number (RTN_). */
export const ROUTE_TYPES = [
  'unspecified',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
  'nat',
  'resolver',
] as const;
export type RouteType = (typeof ROUTE_TYPES)[number];

/** One way of a route. */
export interface NextHop {
  readonly interfaceIndex: number;
  /** Absent when the destination itself is on the link. Its family may differ from the route's (RFC 5549). */
  readonly gateway?: IpAddress;
  /** Share among the ways, 1 … 256. */
  readonly weight: number;
  /** RTNH_F_ flags as bits: onlink, dead, linkdown. */
  readonly flags: number;
}

export interface Route {
  readonly family: Family;
  /** Prefix; all zeros with length 0 for a default route. */
  readonly destination: IpAddress;
  readonly prefixLength: number;
  readonly table: number;
  readonly type: RouteType;
  /** 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** Who set it: 2 kernel, 3 boot, 4 static, 9 router advertisement, 186 BGP. */
  readonly protocol: number;
  readonly tos: number;
  /** Length of the source prefix, 0 unless the route is for some sources only (IPv6). */
  readonly sourcePrefixLength: number;
  /** The lowest of one prefix is used. */
  readonly metric: number;
  readonly preferredSource?: IpAddress;
  /** Path MTU set on the route, 0 for the device's. */
  readonly mtu: number;
  /** Empty for routes that lead nowhere: blackhole, unreachable, prohibit, throw. */
  readonly nexthops: readonly NextHop[];
}

/** Undefined for other families and for cached exceptions. */
export function parseRoute(message: NetlinkMessage): Route | undefined {
  const head = need(message.payload, RTM_LENGTH, 'rtmsg');
  const family = familyOf(head.getUint8(0));
  if (family === undefined || (head.getUint32(8, NATIVE_LE) & RTM_F_CLONED) !== 0) return undefined;
  const attributes = parseAttributes(head, RTM_LENGTH);
  const preferredSource = attributes.get(RTA_PREFSRC);
  return {
    family,
    destination: readIp(family, attributes.get(RTA_DST)),
    prefixLength: head.getUint8(1),
    table: u32(attributes, RTA_TABLE, head.getUint8(4)),
    type: ROUTE_TYPES[head.getUint8(7)] ?? 'unspecified',
    scope: head.getUint8(6),
    protocol: head.getUint8(5),
    tos: head.getUint8(3),
    sourcePrefixLength: head.getUint8(2),
    metric: u32(attributes, RTA_PRIORITY, 0),
    ...(preferredSource === undefined ? {} : { preferredSource: readIp(family, preferredSource) }),
    mtu: u32(nested(attributes, RTA_METRICS), RTAX_MTU, 0),
    nexthops: readNexthops(family, attributes, head.getUint32(8, NATIVE_LE) & 0xff),
  };
}

export interface RouteHeader {
  readonly family: Family;
  readonly prefixLength: number;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: RouteType;
  readonly flags: number;
}

/** Header of a message about a route. Tables above 255 stand in an attribute beside it. */
export function routeHeader(route: RouteHeader): Uint8Array {
  return struct(RTM_LENGTH, (view) => {
    view.setUint8(0, kernelFamily(route.family));
    view.setUint8(1, route.prefixLength);
    view.setUint8(4, route.table <= 255 ? route.table : 0);
    view.setUint8(5, route.protocol);
    view.setUint8(6, route.scope);
    view.setUint8(7, ROUTE_TYPES.indexOf(route.type));
    view.setUint32(8, route.flags, NATIVE_LE);
  });
}

/** Header that asks for every route of a table (0 for all) of a family (0 for all). */
export function routeFilterHeader(family: Family | 0): Uint8Array {
  return struct(RTM_LENGTH, (view) => view.setUint8(0, family === 0 ? 0 : kernelFamily(family)));
}

function readNexthops(family: Family, attributes: Attributes, flags: number): readonly NextHop[] {
  const multipath = attributes.get(RTA_MULTIPATH);
  if (multipath !== undefined) return readMultipath(family, multipath);
  const interfaceIndex = u32(attributes, RTA_OIF, 0);
  const gateway = readGateway(family, attributes);
  if (interfaceIndex === 0 && gateway === undefined) return [];
  return [nexthop(interfaceIndex, gateway, 1, flags)];
}

function readMultipath(family: Family, view: DataView): NextHop[] {
  const hops: NextHop[] = [];
  for (let at = 0; view.byteLength - at >= RTNH_LENGTH; ) {
    const length = view.getUint16(at, NATIVE_LE);
    if (length < RTNH_LENGTH || length > view.byteLength - at) {
      throw new NetlinkFormatError(`next hop of length ${length}, but ${view.byteLength - at} bytes are left`);
    }
    const hop = new DataView(view.buffer, view.byteOffset + at, length);
    const gateway = readGateway(family, parseAttributes(hop, RTNH_LENGTH));
    hops.push(nexthop(hop.getInt32(4, NATIVE_LE), gateway, hop.getUint8(3) + 1, hop.getUint8(2)));
    at += (length + 3) & ~3;
  }
  return hops;
}

function nexthop(interfaceIndex: number, gateway: IpAddress | undefined, weight: number, flags: number): NextHop {
  return { interfaceIndex, ...(gateway === undefined ? {} : { gateway }), weight, flags };
}

/** RTA_VIA carries a gateway of the other family behind its family number. */
function readGateway(family: Family, attributes: Attributes): IpAddress | undefined {
  const gateway = attributes.get(RTA_GATEWAY);
  if (gateway !== undefined) return readIp(family, gateway);
  const via = attributes.get(RTA_VIA);
  if (via === undefined) return undefined;
  const viaFamily = familyOf(need(via, 2, 'RTA_VIA').getUint16(0, NATIVE_LE));
  if (viaFamily === undefined) return undefined;
  return readIp(viaFamily, new DataView(via.buffer, via.byteOffset + 2, via.byteLength - 2));
}
