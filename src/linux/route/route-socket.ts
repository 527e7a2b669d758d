// SPDX-License-Identifier: Apache-2.0
// The rtnetlink socket of a namespace, and what all messages on it share: types, families, addresses
// (include/uapi/linux/rtnetlink.h).

import {
  type Address,
  type AddressWords,
  addressFamily,
  addressWords,
  type Family,
  formatAddress,
} from '../../packet/address.ts';
import { NETLINK_ROUTE, NetlinkSocket } from '../netlink.ts';
import { need } from '../netlink-message.ts';
import { inNamespace } from '../netns.ts';
import { AF_INET, AF_INET6 } from '../socket.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;

/** An address as the control plane writes it and as the engine compares it. */
export interface IpAddress {
  readonly family: Family;
  readonly address: Address;
  readonly words: AddressWords;
}

/** Opens rtnetlink in the named namespace, or in the calling thread's. The caller closes it. */
export function openRouteSocket(namespace?: string): NetlinkSocket {
  const open = (): NetlinkSocket => new NetlinkSocket(NETLINK_ROUTE, 'rtnetlink');
  return namespace === undefined ? open() : inNamespace(namespace, open);
}

/** Undefined for the families that Ballast has no part in: bridge tables, MPLS. */
export function familyOf(kernelFamily: number): Family | undefined {
  if (kernelFamily === AF_INET) return 4;
  if (kernelFamily === AF_INET6) return 6;
  return undefined;
}

export function kernelFamily(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** An address of `family` from its bytes on the wire; all zeros when they are absent. */
export function readIp(family: Family, view: DataView | undefined): IpAddress {
  if (view === undefined) return { family, words: [0, 0, 0, 0], address: formatAddress(family, [0, 0, 0, 0]) };
  need(view, family === 4 ? 4 : 16, `IPv${family} address`);
  const words: AddressWords =
    family === 4
      ? [view.getInt32(0), 0, 0, 0]
      : [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
  return { family, words, address: formatAddress(family, words) };
}

export function ipBytes(family: Family, words: AddressWords): Uint8Array {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length / 4; i++) view.setInt32(4 * i, words[i]);
  return bytes;
}

export function addressBytes(address: Address): Uint8Array {
  return ipBytes(addressFamily(address), addressWords(address));
}
