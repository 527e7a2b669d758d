// SPDX-License-Identifier: Apache-2.0
// Makes, changes, lists and removes network devices of the socket's namespace.

import { parseMac } from '../../packet/ethernet.ts';
import { SysError, UnsupportedError } from '../errno.ts';
import type { Fd } from '../fd.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { MessageBuilder, NetlinkFormatError, NLM_F_CREATE, NLM_F_EXCL } from '../netlink-message.ts';
import { openNamespace } from '../netns.ts';
import {
  IFF_UP,
  IFLA_ADDRESS,
  IFLA_EXT_MASK,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_NUM_RX_QUEUES,
  IFLA_NUM_TX_QUEUES,
  type Link,
  linkHeader,
  parseLink,
} from './link-message.ts';
import { RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK } from './route-socket.ts';

const VETH_INFO_PEER = 1;
const IFLA_BR_MCAST_SNOOPING = 23;
const RTEXT_FILTER_SKIP_STATS = 8;
/** IFNAMSIZ counts the NUL. */
const MAX_NAME = 15;

/** A device by its index or its name. */
export type LinkRef = number | string;

export interface LinkOptions {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** Receive and transmit queues, all in use. Unless given newer kernels make one per CPU and use the first alone. */
  readonly queues?: number;
  /** Name of the namespace to make it in; the socket's own unless given. */
  readonly namespace?: string;
}

export interface BridgeOptions {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** Whether the bridge filters multicast by listening to IGMP and MLD; the kernel's default is true. */
  readonly multicastSnooping?: boolean;
}

/** What to change; what is absent stays. */
export interface LinkChanges {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: string;
  /** Bridge to join; 0 leaves the present one. */
  readonly master?: LinkRef;
  /** Only a device that is down can be renamed on kernels before 6.0. */
  readonly name?: string;
  /** Moves the device; it arrives there switched off and without addresses. */
  readonly namespace?: string;
}

export function listLinks(socket: NetlinkSocket): Link[] {
  const request = new MessageBuilder(RTM_GETLINK, 0, linkHeader(0)).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return socket.dump(request, 'list devices', parseLink);
}

/** The device, or undefined when there is none of that name or index. */
export function findLink(socket: NetlinkSocket, ref: LinkRef): Link | undefined {
  const request = addressedTo(RTM_GETLINK, ref).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  try {
    return socket.get(request, `device ${show(ref)}`, parseLink);
  } catch (error) {
    if (error instanceof SysError && error.errno === 'ENODEV') return undefined;
    throw error;
  }
}

/** The device; ENODEV when there is none. */
export function getLink(socket: NetlinkSocket, ref: LinkRef): Link {
  const link = socket.get(addressedTo(RTM_GETLINK, ref), `device ${show(ref)}`, parseLink);
  if (link === undefined) throw new NetlinkFormatError(`device ${show(ref)} is none`);
  return link;
}

export function linkIndex(socket: NetlinkSocket, ref: LinkRef): number {
  return typeof ref === 'number' ? ref : getLink(socket, ref).index;
}

/** Makes two devices joined like by a cable, each in its namespace. Both are down. */
export function createVeth(socket: NetlinkSocket, end: LinkOptions, other: LinkOptions): void {
  withNamespaces([end.namespace, other.namespace], ([endNamespace, otherNamespace]) => {
    const request = creation(0);
    describe(request, end, endNamespace);
    request.nest(IFLA_LINKINFO, (info) => {
      info.text(IFLA_INFO_KIND, 'veth');
      info.nest(IFLA_INFO_DATA, (data) => {
        data.nest(VETH_INFO_PEER, (peer) => {
          peer.raw(linkHeader(0));
          describe(peer, other, otherNamespace);
        });
      });
    });
    create(socket, request, 'veth', `create veth '${end.name}' and '${other.name}'`);
  });
}

/** Makes a bridge without spanning tree, switched on: its ports forward at once. */
export function createBridge(socket: NetlinkSocket, options: BridgeOptions): void {
  const request = creation(IFF_UP);
  describe(request, options, undefined);
  request.nest(IFLA_LINKINFO, (info) => {
    info.text(IFLA_INFO_KIND, 'bridge');
    info.nest(IFLA_INFO_DATA, (data) => {
      if (options.multicastSnooping !== undefined) data.u8(IFLA_BR_MCAST_SNOOPING, options.multicastSnooping ? 1 : 0);
    });
  });
  create(socket, request, 'bridge', `create bridge '${options.name}'`);
}

/** Applies all changes in one request. */
export function changeLink(socket: NetlinkSocket, ref: LinkRef, changes: LinkChanges): void {
  withNamespaces([changes.namespace], ([namespace]) => {
    const index = linkIndex(socket, ref);
    const flags = changes.up ? IFF_UP : 0;
    const header = linkHeader(index, flags, changes.up === undefined ? 0 : IFF_UP);
    const request = new MessageBuilder(RTM_NEWLINK, 0, header);
    if (changes.name !== undefined) request.text(IFLA_IFNAME, checkName(changes.name));
    if (changes.mac !== undefined) request.bytes(IFLA_ADDRESS, macBytes(changes.mac));
    if (changes.mtu !== undefined) request.u32(IFLA_MTU, changes.mtu);
    if (changes.master !== undefined) request.u32(IFLA_MASTER, linkIndex(socket, changes.master));
    if (namespace !== undefined) request.u32(IFLA_NET_NS_FD, namespace.number);
    socket.request(request, `change device ${show(ref)}`);
  });
}

/** Removes the device, and the other end with it when it is a veth. ENODEV when there is none. */
export function deleteLink(socket: NetlinkSocket, ref: LinkRef): void {
  socket.request(addressedTo(RTM_DELLINK, ref), `delete device ${show(ref)}`);
}

function creation(flags: number): MessageBuilder {
  return new MessageBuilder(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, linkHeader(0, flags, flags));
}

function describe(builder: MessageBuilder, options: LinkOptions, namespace: Fd | undefined): void {
  builder.text(IFLA_IFNAME, checkName(options.name));
  if (options.mac !== undefined) builder.bytes(IFLA_ADDRESS, macBytes(options.mac));
  if (options.mtu !== undefined) builder.u32(IFLA_MTU, options.mtu);
  if (options.queues !== undefined) {
    builder.u32(IFLA_NUM_TX_QUEUES, options.queues).u32(IFLA_NUM_RX_QUEUES, options.queues);
  }
  if (namespace !== undefined) builder.u32(IFLA_NET_NS_FD, namespace.number);
}

function create(socket: NetlinkSocket, request: MessageBuilder, kind: string, context: string): void {
  try {
    socket.request(request, context);
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== 'EOPNOTSUPP') throw error;
    const remedy = `load the module '${kind}' or build the kernel with CONFIG_${kind.toUpperCase()}`;
    throw new UnsupportedError(`${kind} devices`, remedy, { cause: error });
  }
}

function addressedTo(type: number, ref: LinkRef): MessageBuilder {
  if (typeof ref === 'number') return new MessageBuilder(type, 0, linkHeader(ref));
  return new MessageBuilder(type, 0, linkHeader(0)).text(IFLA_IFNAME, checkName(ref));
}

/** Opens the named namespaces while `body` runs. */
function withNamespaces(
  names: readonly (string | undefined)[],
  body: (fds: readonly (Fd | undefined)[]) => void,
): void {
  const fds: (Fd | undefined)[] = [];
  try {
    for (const name of names) fds.push(name === undefined ? undefined : openNamespace(name));
    body(fds);
  } finally {
    for (const fd of fds) fd?.close();
  }
}

/** The kernel's rule (net/core/dev.c, dev_valid_name), told apart from a device that is missing. */
function checkName(name: string): string {
  const length = Buffer.byteLength(name);
  if (length === 0 || length > MAX_NAME || name === '.' || name === '..' || /[\s/:\0]/.test(name)) {
    throw new RangeError(`not a name of a network device: '${name}'`);
  }
  return name;
}

function macBytes(mac: string): Uint8Array {
  const bytes = parseMac(mac);
  if (bytes === undefined) throw new RangeError(`not a MAC address: '${mac}'`);
  return bytes;
}

function show(ref: LinkRef): string {
  return typeof ref === 'number' ? `${ref}` : `'${ref}'`;
}
