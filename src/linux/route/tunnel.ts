// SPDX-License-Identifier: Apache-2.0
// The kernel's tunnel devices as a receiver needs them (include/uapi/linux/if_tunnel.h): those that each kind brings along
// for tunnels of nobody in particular (tunl0 …), and ones that end at one address.

import { type Address, addressFamily } from '../../packet/address.ts';
import { SysError, UnsupportedError } from '../errno.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { MessageBuilder, NLM_F_CREATE, NLM_F_EXCL } from '../netlink-message.ts';
import { deleteLink, findLink } from './link.ts';
import { IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, linkHeader } from './link-message.ts';
import { addressBytes, RTM_NEWLINK } from './route-socket.ts';

const IFLA_GRE_IFLAGS = 2;
const IFLA_GRE_LOCAL = 6;
const IFLA_IPTUN_LOCAL = 2;
const IFLA_IPTUN_PROTO = 9;

/** GRE_CSUM, in network order. */
const GRE_CSUM = Uint8Array.of(0x80, 0);

export interface TunnelOptions {
  readonly name: string;
  readonly kind: string;
  /** Address at which the tunnel ends; its other end may be anybody. */
  readonly local: Address;
  /** GRE: packets have to have checksums. Without, they may have none. */
  readonly checksum?: boolean;
}

/** Has the kernel load what makes devices of `kind`; whether `device`, which comes with it, is there then. */
export function findFallbackTunnel(socket: NetlinkSocket, device: string, kind: string): boolean {
  if (findLink(socket, device) !== undefined) return true;
  try {
    // Its name is taken as soon as the module is there, so that nothing is made, unless this namespace is to have none.
    create(socket, device, kind, () => {});
    deleteLink(socket, device);
  } catch (error) {
    if (!(error instanceof UnsupportedError || (error instanceof SysError && error.errno === 'EEXIST'))) throw error;
  }
  return findLink(socket, device) !== undefined;
}

/** Makes a device, down, that takes tunnels of anybody to `local`: GRE, or ip6tnl for IPv4 and IPv6 in IPv6. */
export function createTunnel(socket: NetlinkSocket, { name, kind, local, checksum }: TunnelOptions): void {
  create(socket, name, kind, (data) => {
    const isGre = kind === 'gre' || kind === 'ip6gre';
    data.bytes(isGre ? IFLA_GRE_LOCAL : IFLA_IPTUN_LOCAL, addressBytes(local));
    if (isGre && checksum === true) data.bytes(IFLA_GRE_IFLAGS, GRE_CSUM);
    if (!isGre && addressFamily(local) === 6) data.u8(IFLA_IPTUN_PROTO, 0);
  });
}

function create(socket: NetlinkSocket, name: string, kind: string, fill: (data: MessageBuilder) => void): void {
  const request = new MessageBuilder(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, linkHeader(0)).text(IFLA_IFNAME, name);
  request.nest(IFLA_LINKINFO, (info) => info.text(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, fill));
  try {
    socket.request(request, `create ${kind} device '${name}'`);
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== 'EOPNOTSUPP') throw error;
    throw new UnsupportedError(`${kind} devices`, `load the module for '${kind}'`, { cause: error });
  }
}
