// SPDX-License-Identifier: Apache-2.0
// Asks the kernel where it would take a packet that comes in: policy routing, rules by mark and all
// (inet_rtm_getroute in net/ipv4/route.c, inet6_rtm_getroute in net/ipv6/route.c).

import type { AddressWords, Family } from '../../packet/address.ts';
import { addressBits } from '../../packet/prefix.ts';
import { SysError } from '../errno.ts';
import type { NetlinkSocket } from '../netlink.ts';
import { MessageBuilder, need, struct } from '../netlink-message.ts';
import { ROUTE_TYPES, RTA_DST } from './route-message.ts';
import { ipBytes, kernelFamily, RTM_GETROUTE } from './route-socket.ts';

const RTM_LENGTH = 12;
const RTM_TYPE = 7;
const RTA_SRC = 2;
const RTA_IIF = 3;
const RTA_MARK = 16;

export interface IncomingPacket {
  readonly family: Family;
  readonly source: AddressWords;
  readonly destination: AddressWords;
  readonly mark: number;
  /** Device that it comes in by. */
  readonly interfaceIndex: number;
}

/**
 * Whether the kernel delivers such a packet to the machine itself; undefined when it takes it nowhere, be it for want of
 * a route or because it does not believe the source.
 */
export function isDelivered(socket: NetlinkSocket, packet: IncomingPacket): boolean | undefined {
  const { family, source, destination, mark, interfaceIndex } = packet;
  const bits = addressBits(family);
  const header = struct(RTM_LENGTH, (view) => {
    view.setUint8(0, kernelFamily(family));
    view.setUint8(1, bits);
    view.setUint8(2, bits);
  });
  const request = new MessageBuilder(RTM_GETROUTE, 0, header)
    .bytes(RTA_DST, ipBytes(family, destination))
    .bytes(RTA_SRC, ipBytes(family, source))
    .u32(RTA_IIF, interfaceIndex)
    .u32(RTA_MARK, mark);
  try {
    const type = socket.get(request, 'ask for a route', (answer) =>
      need(answer.payload, RTM_LENGTH, 'rtmsg').getUint8(RTM_TYPE),
    );
    return ROUTE_TYPES[type] === 'local';
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}
