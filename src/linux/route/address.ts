// SPDX-License-Identifier: Apache-2.0
// IP addresses of devices (include/uapi/linux/if_addr.h): list, add, delete, and their messages.

import { type Address, addressFamily } from '../../packet/address.ts';
import { SysError } from '../errno.ts';
import { NATIVE_LE } from '../libc.ts';
import type { NetlinkSocket } from '../netlink.ts';
import {
  MessageBuilder,
  type NetlinkMessage,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  need,
  parseAttributes,
  struct,
  text,
  u32,
} from '../netlink-message.ts';
import { type LinkRef, linkIndex } from './link.ts';
import {
  addressBytes,
  familyOf,
  type IpAddress,
  kernelFamily,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
  readIp,
} from './route-socket.ts';

//  0 family(1)  1 prefixlen(1)  2 flags(1)  3 scope(1)  4 index(4)        struct ifaddrmsg
const IFA_LENGTH = 8;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_FLAGS = 8;

const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_NOPREFIXROUTE = 0x200;

const RT_SCOPE_HOST = 254;

export interface InterfaceAddress extends IpAddress {
  readonly interfaceIndex: number;
  readonly prefixLength: number;
  /** 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** IFA_F_ flags as bits. */
  readonly flags: number;
  /** IPv6: duplicate detection has not ended; the address can't be used yet. */
  readonly tentative: boolean;
  /** IPv6: another host has the address. */
  readonly duplicate: boolean;
  /** IPv4: name in listings, the device's unless somebody chose another. */
  readonly label: string;
}

export interface AddressOptions {
  /** Usable at once, without duplicate address detection (IPv6). */
  readonly nodad?: boolean;
  /** No route to the prefix appears with it. */
  readonly noPrefixRoute?: boolean;
}

/** Addresses of one device, or of all. */
export function listAddresses(socket: NetlinkSocket, device?: LinkRef): InterfaceAddress[] {
  const index = device === undefined ? 0 : linkIndex(socket, device);
  const request = new MessageBuilder(RTM_GETADDR, 0, header(0, 0, 0, index));
  return socket.dump(request, 'list addresses', (message) => {
    const address = parseInterfaceAddress(message);
    return index === 0 || address?.interfaceIndex === index ? address : undefined;
  });
}

/** EEXIST when the device has it already. */
export function addAddress(
  socket: NetlinkSocket,
  device: LinkRef,
  address: Address,
  prefixLength: number,
  options: AddressOptions = {},
): void {
  send(socket, NLM_F_CREATE | NLM_F_EXCL, device, address, prefixLength, options, 'add address');
}

/** Adds the address, or changes what the device has of it. */
export function replaceAddress(
  socket: NetlinkSocket,
  device: LinkRef,
  address: Address,
  prefixLength: number,
  options: AddressOptions = {},
): void {
  send(socket, NLM_F_CREATE | NLM_F_REPLACE, device, address, prefixLength, options, 'set address');
}

/** EADDRNOTAVAIL when the device has it not. */
export function deleteAddress(socket: NetlinkSocket, device: LinkRef, address: Address, prefixLength: number): void {
  const index = linkIndex(socket, device);
  const family = kernelFamily(addressFamily(address));
  const request = new MessageBuilder(RTM_DELADDR, 0, header(family, prefixLength, 0, index));
  request.bytes(IFA_LOCAL, addressBytes(address));
  socket.request(request, `delete address ${address}/${prefixLength} of device '${device}'`);
}

/** Undefined for families other than IPv4 and IPv6. */
export function parseInterfaceAddress(message: NetlinkMessage): InterfaceAddress | undefined {
  const head = need(message.payload, IFA_LENGTH, 'ifaddrmsg');
  const family = familyOf(head.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = parseAttributes(head, IFA_LENGTH);
  const flags = u32(attributes, IFA_FLAGS, head.getUint8(2));
  return {
    // On a point-to-point device IFA_ADDRESS is the other side's; IPv6 sends IFA_LOCAL only then.
    ...readIp(family, attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)),
    interfaceIndex: head.getUint32(4, NATIVE_LE),
    prefixLength: head.getUint8(1),
    scope: head.getUint8(3),
    flags,
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    duplicate: (flags & IFA_F_DADFAILED) !== 0,
    label: text(attributes, IFA_LABEL),
  };
}

function send(
  socket: NetlinkSocket,
  flags: number,
  device: LinkRef,
  address: Address,
  prefixLength: number,
  options: AddressOptions,
  what: string,
): void {
  const index = linkIndex(socket, device);
  const family = addressFamily(address);
  const isLoopback = family === 4 && address.startsWith('127.');
  const head = header(kernelFamily(family), prefixLength, isLoopback ? RT_SCOPE_HOST : 0, index);
  const bytes = addressBytes(address);
  const request = new MessageBuilder(RTM_NEWADDR, flags, head).bytes(IFA_LOCAL, bytes).bytes(IFA_ADDRESS, bytes);
  request.u32(IFA_FLAGS, (options.nodad ? IFA_F_NODAD : 0) | (options.noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0));
  const context = `${what} ${address}/${prefixLength} on device '${device}'`;
  try {
    socket.request(request, context);
  } catch (error) {
    if (!(error instanceof SysError) || family === 4) throw error;
    if (error.errno !== 'EACCES' && error.errno !== 'EOPNOTSUPP') throw error;
    throw new SysError(
      error.syscall,
      error.errno,
      error.context,
      'switch IPv6 on (sysctl net.ipv6.conf.*.disable_ipv6=0)',
    );
  }
}

function header(family: number, prefixLength: number, scope: number, index: number): Uint8Array {
  return struct(IFA_LENGTH, (view) => {
    view.setUint8(0, family);
    view.setUint8(1, prefixLength);
    view.setUint8(3, scope);
    view.setUint32(4, index, NATIVE_LE);
  });
}
