// SPDX-License-Identifier: Apache-2.0
// What all messages of NETLINK_NETFILTER share (include/uapi/linux/netfilter/nfnetlink.h). Unlike the other netlink
// families its integers are in network order. The socket is of the calling thread's namespace.

import { NetlinkEvents, NetlinkSocket } from '../netlink.ts';
import { type Attributes, MessageBuilder, NetlinkFormatError, need } from '../netlink-message.ts';

const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;
const NFNLGRP_NFTABLES = 7;

//  0 family(1)  1 version(1)  2 resource(2)                               struct nfgenmsg
export const NFGEN_LENGTH = 4;

export const NFPROTO_UNSPEC = 0;
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

export const NFT_MSG_NEWTABLE = 0;
export const NFT_MSG_GETTABLE = 1;
export const NFT_MSG_NEWCHAIN = 3;
export const NFT_MSG_GETCHAIN = 4;
export const NFT_MSG_NEWRULE = 6;
export const NFT_MSG_GETRULE = 7;
export const NFT_MSG_NEWSET = 9;
export const NFT_MSG_GETSET = 10;
export const NFT_MSG_NEWSETELEM = 12;
export const NFT_MSG_GETSETELEM = 13;
export const NFT_MSG_NEWGEN = 15;
export const NFT_MSG_GETGEN = 16;

export function openNetfilterSocket(): NetlinkSocket {
  return new NetlinkSocket(NETLINK_NETFILTER, 'nfnetlink');
}

/** Tells of every change of nftables' rules. */
export function openNftEvents(): NetlinkEvents {
  return new NetlinkEvents(NETLINK_NETFILTER, [NFNLGRP_NFTABLES], 'nfnetlink events');
}

/** A request to nf_tables. */
export function nftRequest(message: number, family: number): MessageBuilder {
  return new MessageBuilder((NFNL_SUBSYS_NFTABLES << 8) | message, 0, Uint8Array.of(family, 0, 0, 0));
}

/** The kind of nf_tables message, of a message's type. */
export function nftMessage(type: number): number {
  return type >>> 8 === NFNL_SUBSYS_NFTABLES ? type & 0xff : -1;
}

/** The number in an attribute, or `otherwise` when it is absent. */
export function be32(attributes: Attributes, type: number, otherwise: number): number {
  const view = attributes.get(type);
  return view === undefined ? otherwise : need(view, 4, type).getUint32(0);
}

/** A number that must be there. */
export function mustBe32(attributes: Attributes, type: number, what: string): number {
  return need(must(attributes, type, what), 4, what).getUint32(0);
}

/** Handles: far below 2^53 in any life of a machine. */
export function be64(attributes: Attributes, type: number): number {
  const view = attributes.get(type);
  if (view === undefined) return 0;
  need(view, 8, type);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}

export function must(attributes: Attributes, type: number, what: string): DataView {
  const view = attributes.get(type);
  if (view === undefined) throw new NetlinkFormatError(`no ${what}`);
  return view;
}
