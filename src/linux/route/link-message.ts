// SPDX-License-Identifier: Apache-2.0
// Network devices as rtnetlink describes them (include/uapi/linux/if_link.h). Pure; link.ts asks the kernel.

import { formatMac } from '../../packet/ethernet.ts';
import { NATIVE_LE } from '../libc.ts';
import {
  bytesOf,
  type NetlinkMessage,
  need,
  nested,
  parseAttributes,
  struct,
  text,
  u8,
  u32,
} from '../netlink-message.ts';

//  0 family(1)  1 pad(1)  2 type(2)  4 index(4)  8 flags(4)  12 change(4)  struct ifinfomsg
const IFI_FAMILY = 0;
const IFI_TYPE = 2;
const IFI_INDEX = 4;
const IFI_FLAGS = 8;
const IFI_CHANGE = 12;
const IFI_LENGTH = 16;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
const IFLA_LINK = 5;
export const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
export const IFLA_LINKINFO = 18;
export const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;
export const IFLA_NUM_TX_QUEUES = 31;
export const IFLA_NUM_RX_QUEUES = 32;
const IFLA_CARRIER = 33;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;

/** RFC 2863 states by the kernel's number. */
const OPERSTATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const;
export type OperState = (typeof OPERSTATES)[number];

export interface Link {
  readonly index: number;
  readonly name: string;
  /** ARPHRD type: 1 Ethernet, 772 loopback, 65534 none (TUN). */
  readonly type: number;
  /** `02:00:00:00:00:01`, or '' for a device without one. */
  readonly mac: string;
  readonly macBytes: Uint8Array;
  readonly mtu: number;
  /** IFF_ flags as bits. */
  readonly flags: number;
  /** Whether it is switched on; a cable may still be missing, see `operState`. */
  readonly up: boolean;
  readonly carrier: boolean;
  readonly operState: OperState;
  /** `veth`, `bridge`, `tun` …, '' for hardware and loopback. */
  readonly kind: string;
  /** Index of the bridge or bond that it belongs to, 0 for none. */
  readonly master: number;
  /** Index of the other end of a veth pair (in its own namespace) or of the device below, 0 for none. */
  readonly peer: number;
  /** Queues that exist; ethtool's channels tell how many of them are in use. */
  readonly numRxQueues: number;
  readonly numTxQueues: number;
}

/** Undefined for messages about bridge ports, which look like devices that come and go. */
export function parseLink(message: NetlinkMessage): Link | undefined {
  const header = need(message.payload, IFI_LENGTH, 'ifinfomsg');
  if (header.getUint8(IFI_FAMILY) !== 0) return undefined;
  const attributes = parseAttributes(header, IFI_LENGTH);
  const flags = header.getUint32(IFI_FLAGS, NATIVE_LE);
  const address = attributes.get(IFLA_ADDRESS);
  const macBytes = address?.byteLength === 6 ? bytesOf(address).slice() : new Uint8Array(0);
  return {
    index: header.getInt32(IFI_INDEX, NATIVE_LE),
    name: text(attributes, IFLA_IFNAME),
    type: header.getUint16(IFI_TYPE, NATIVE_LE),
    mac: macBytes.length === 0 ? '' : formatMac(macBytes),
    macBytes,
    mtu: u32(attributes, IFLA_MTU, 0),
    flags,
    up: (flags & IFF_UP) !== 0,
    carrier: u8(attributes, IFLA_CARRIER, 0) !== 0,
    operState: OPERSTATES[u8(attributes, IFLA_OPERSTATE, 0)] ?? 'unknown',
    kind: text(nested(attributes, IFLA_LINKINFO), IFLA_INFO_KIND),
    master: u32(attributes, IFLA_MASTER, 0),
    peer: u32(attributes, IFLA_LINK, 0),
    numRxQueues: u32(attributes, IFLA_NUM_RX_QUEUES, 1),
    numTxQueues: u32(attributes, IFLA_NUM_TX_QUEUES, 1),
  };
}

/** Header of a message about a device; index 0 leaves it to the name attribute. `change` says which flags count. */
export function linkHeader(index: number, flags = 0, change = 0): Uint8Array {
  return struct(IFI_LENGTH, (view) => {
    view.setInt32(IFI_INDEX, index, NATIVE_LE);
    view.setUint32(IFI_FLAGS, flags, NATIVE_LE);
    view.setUint32(IFI_CHANGE, change, NATIVE_LE);
  });
}
