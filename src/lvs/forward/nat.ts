// SPDX-License-Identifier: Apache-2.0
// NAT: one end of a packet gets another address and port, and the checksums are mended by the difference. Used for the
// destination of requests and, the other way round, for the source of replies (RFC 3022 §4; ip_vs_nat_xmit).
// hot path

import { applyDifference, difference16, difference32, fold, sumBytes } from '../../packet/checksum.ts';
import { crc32c } from '../../packet/crc32c.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPV4_CHECKSUM, IPV4_DST, IPV4_SRC } from '../../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import { SCTP_CHECKSUM } from '../../packet/sctp.ts';
import { TCP_CHECKSUM } from '../../packet/tcp.ts';
import { UDP_CHECKSUM } from '../../packet/udp.ts';

/** Which end of the packet is rewritten; also the offset of that end's port in a TCP or UDP header. */
export const SOURCE = 0;
export const DESTINATION = 2;

/** Rewrites one end of an IPv4 packet. */
export function rewriteIpv4(view: DataView, headers: Headers, end: number, address: number, port: number): void {
  const ip = headers.ip;
  const at = ip + (end === SOURCE ? IPV4_SRC : IPV4_DST);
  const difference = difference32(view.getInt32(at), address);
  view.setInt32(at, address);
  view.setUint16(ip + IPV4_CHECKSUM, applyDifference(view.getUint16(ip + IPV4_CHECKSUM), difference));
  rewritePort(view, headers, end, port, difference);
}

/** Rewrites one end of an IPv6 packet to the address words given. */
export function rewriteIpv6(
  view: DataView,
  headers: Headers,
  end: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
  port: number,
): void {
  const ip = headers.ip;
  const at = ip + (end === SOURCE ? IPV6_SRC : IPV6_DST);
  const difference =
    difference32(view.getInt32(at), word0) +
    difference32(view.getInt32(at + 4), word1) +
    difference32(view.getInt32(at + 8), word2) +
    difference32(view.getInt32(at + 12), word3);
  view.setInt32(at, word0);
  view.setInt32(at + 4, word1);
  view.setInt32(at + 8, word2);
  view.setInt32(at + 12, word3);
  rewritePort(view, headers, end, port, difference);
}

/** Writes the port and mends the transport checksum for it and for the addresses in the pseudo-header. */
function rewritePort(view: DataView, headers: Headers, end: number, port: number, addressDifference: number): void {
  const transport = headers.transport;
  const at = transport + end;
  const { protocol } = headers;
  if (protocol === IPPROTO_SCTP) {
    rewriteSctpPort(view, headers, at, port);
    return;
  }
  // AH and ESP have none.
  if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return;
  const difference = addressDifference + difference16(view.getUint16(at), port);
  view.setUint16(at, port);
  if (protocol === IPPROTO_TCP) {
    const field = transport + TCP_CHECKSUM;
    view.setUint16(field, applyDifference(view.getUint16(field), difference));
    return;
  }
  const field = transport + UDP_CHECKSUM;
  const old = view.getUint16(field);
  const mended = old === 0 ? udpChecksum(view, headers) : applyDifference(old, difference);
  view.setUint16(field, mended === 0 ? 0xffff : mended);
}

/** SCTP's checksum covers no addresses, and is made anew only when the port changes, as in the kernel. */
function rewriteSctpPort(view: DataView, headers: Headers, at: number, port: number): void {
  if (view.getUint16(at) === port) return;
  view.setUint16(at, port);
  const field = headers.transport + SCTP_CHECKSUM;
  view.setInt32(field, 0);
  view.setInt32(field, crc32c(view, headers.transport, headers.end - headers.transport), true);
}

/** Checksum of a UDP datagram that came without one: IPVS computes it, so that what it forwards is always covered. */
function udpChecksum(view: DataView, headers: Headers): number {
  const length = headers.end - headers.transport;
  const addresses = headers.family === 4 ? headers.ip + IPV4_SRC : headers.ip + IPV6_SRC;
  const pseudo = sumBytes(view, addresses, headers.family === 4 ? 8 : 32, IPPROTO_UDP + length);
  return ~fold(sumBytes(view, headers.transport, length, pseudo)) & 0xffff;
}
