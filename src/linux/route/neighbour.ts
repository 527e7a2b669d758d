// SPDX-License-Identifier: Apache-2.0
// The kernel's table of neighbours: which MAC an address has on a link (include/uapi/linux/neighbour.h).

import { type Address, type AddressWords, addressFamily, type Family, formatAddress } from '../../packet/address.ts';
import { formatMac, parseMac } from '../../packet/ethernet.ts';
import { NATIVE_LE } from '../libc.ts';
import type { NetlinkSocket } from '../netlink.ts';
import {
  bytesOf,
  MessageBuilder,
  type NetlinkMessage,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  need,
  parseAttributes,
  struct,
} from '../netlink-message.ts';
import { type LinkRef, linkIndex } from './link.ts';
import {
  addressBytes,
  familyOf,
  type IpAddress,
  ipBytes,
  kernelFamily,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
  readIp,
} from './route-socket.ts';

//  0 family(1)  1 pad(3)  4 index(4)  8 state(2)  10 flags(1)  11 type(1)  struct ndmsg
const NDM_LENGTH = 12;

const NDA_DST = 1;
const NDA_LLADDR = 2;

const NTF_USE = 0x01;

export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
/** States in which the MAC may be used. */
export const NUD_VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

export interface Neighbour extends IpAddress {
  readonly interfaceIndex: number;
  /** NUD_ state as a bit. */
  readonly state: number;
  /** Whether the MAC may be used now. */
  readonly valid: boolean;
  /** `02:00:00:00:00:01`, '' while it is unknown. */
  readonly mac: string;
  readonly macBytes: Uint8Array;
}

/** Neighbours of one device, or of all. */
export function listNeighbours(socket: NetlinkSocket, device?: LinkRef): Neighbour[] {
  const index = device === undefined ? 0 : linkIndex(socket, device);
  // The strict dump of neighbours refuses an index in the header, so the choice is made here.
  const request = new MessageBuilder(RTM_GETNEIGH, 0, header(0, 0, 0, 0));
  return socket.dump(request, 'list neighbours', (message) => {
    const neighbour = parseNeighbour(message);
    return index === 0 || neighbour?.interfaceIndex === index ? neighbour : undefined;
  });
}

/** Writes a permanent entry over what the table has. */
export function setNeighbour(socket: NetlinkSocket, device: LinkRef, address: Address, mac: string): void {
  const bytes = parseMac(mac);
  if (bytes === undefined) throw new RangeError(`not a MAC address: '${mac}'`);
  const head = header(kernelFamily(addressFamily(address)), linkIndex(socket, device), NUD_PERMANENT, 0);
  const request = new MessageBuilder(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head);
  request.bytes(NDA_DST, addressBytes(address)).bytes(NDA_LLADDR, bytes);
  socket.request(request, `set neighbour ${address} on device '${device}'`);
}

/** ENOENT when there is none. */
export function deleteNeighbour(socket: NetlinkSocket, device: LinkRef, address: Address): void {
  const head = header(kernelFamily(addressFamily(address)), linkIndex(socket, device), 0, 0);
  const request = new MessageBuilder(RTM_DELNEIGH, 0, head).bytes(NDA_DST, addressBytes(address));
  socket.request(request, `delete neighbour ${address} on device '${device}'`);
}

/**
 * Has the kernel find the neighbour's MAC, or confirm a stale one, as if a packet were sent to it. Returns at once; the
 * answer comes as an event.
 */
export function probeNeighbour(
  socket: NetlinkSocket,
  interfaceIndex: number,
  family: Family,
  words: AddressWords,
): void {
  const head = header(kernelFamily(family), interfaceIndex, 0, NTF_USE);
  const request = new MessageBuilder(RTM_NEWNEIGH, NLM_F_CREATE, head).bytes(NDA_DST, ipBytes(family, words));
  socket.request(request, `probe neighbour ${formatAddress(family, words)} on device ${interfaceIndex}`);
}

/** Undefined for entries that are no IP neighbours, such as a bridge's table of MACs. */
export function parseNeighbour(message: NetlinkMessage): Neighbour | undefined {
  const head = need(message.payload, NDM_LENGTH, 'ndmsg');
  const family = familyOf(head.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = parseAttributes(head, NDM_LENGTH);
  const destination = attributes.get(NDA_DST);
  if (destination === undefined) return undefined;
  const state = head.getUint16(8, NATIVE_LE);
  const address = attributes.get(NDA_LLADDR);
  const macBytes = address?.byteLength === 6 ? bytesOf(address).slice() : new Uint8Array(0);
  return {
    ...readIp(family, destination),
    interfaceIndex: head.getInt32(4, NATIVE_LE),
    state,
    valid: (state & NUD_VALID) !== 0,
    mac: macBytes.length === 0 ? '' : formatMac(macBytes),
    macBytes,
  };
}

function header(family: number, index: number, state: number, flags: number): Uint8Array {
  return struct(NDM_LENGTH, (view) => {
    view.setUint8(0, family);
    view.setInt32(4, index, NATIVE_LE);
    view.setUint16(8, state, NATIVE_LE);
    view.setUint8(10, flags);
  });
}
