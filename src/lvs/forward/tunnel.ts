// SPDX-License-Identifier: Apache-2.0
// Tunnelling: a packet goes to its server inside of another one (ip_vs_tunnel_xmit): IP in IP (RFC 2003, RFC 2473,
// RFC 4213), GUE (draft-ietf-intarea-gue) and GRE (RFC 2784). The outer headers are written in front of the packet; its slot must
// have {@link MAX_TUNNEL_HEADER} bytes of room there.
// hot path: encapsulate

import { checksum, sumBytes } from '../../packet/checksum.ts';
import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6, ETH_TYPE } from '../../packet/ethernet.ts';
import {
  IPPROTO_GRE,
  IPPROTO_IPIP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV4_CHECKSUM,
  IPV4_DF,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_HLEN,
  IPV4_ID,
  IPV4_PROTOCOL,
  IPV4_SRC,
  IPV4_TOS,
  IPV4_TOTAL,
  IPV4_TTL,
  IPV4_VIHL,
} from '../../packet/ipv4.ts';
import { IPV6_DST, IPV6_HLEN, IPV6_HOPS, IPV6_NEXT, IPV6_PAYLOAD, IPV6_SRC, IPV6_VERSION } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import { UDP_CHECKSUM, UDP_DST, UDP_HLEN, UDP_LENGTH, UDP_SRC } from '../../packet/udp.ts';
import type { TunnelOptions } from '../model.ts';

export const TUNNEL_IPIP = 0;
export const TUNNEL_GUE = 1;
export const TUNNEL_GRE = 2;

/** Longest headers that {@link encapsulate} puts in front of a packet: IPv6, UDP, GUE. */
export const MAX_TUNNEL_HEADER: number = IPV6_HLEN + UDP_HLEN + 4;

//  0 version, control, header length in words(1)  1 protocol(1)  2 flags(2)
export const GUE_HLEN = 4;
//  0 flags(2)  2 protocol, an Ethernet type(2)  [4 checksum(2)  6 reserved(2)]
export const GRE_HLEN = 4;
export const GRE_CHECKSUM_LENGTH = 4;
export const GRE_CSUM = 0x8000;

/** Source ports of GUE, the kernel's default for net.ipv4.ip_local_port_range: flows differ by them. */
const FIRST_PORT = 32768;
const PORTS = 60999 - FIRST_PORT;

/** How a server's tunnel is made. */
export class Tunnel {
  /** TUNNEL_IPIP, TUNNEL_GUE or TUNNEL_GRE. */
  readonly kind: number;
  /** UDP destination port of GUE, else 0. */
  readonly port: number;
  /** The outer UDP or GRE header has a checksum. */
  readonly hasChecksum: boolean;
  /** Bytes between the outer IP header and the packet. */
  readonly shim: number;

  constructor(options: TunnelOptions) {
    this.port = options.type === 'gue' ? options.port : 0;
    this.hasChecksum = options.type !== 'ipip' && options.checksum !== 'none';
    if (options.type === 'gue') {
      this.kind = TUNNEL_GUE;
      this.shim = UDP_HLEN + GUE_HLEN;
    } else if (options.type === 'gre') {
      this.kind = TUNNEL_GRE;
      this.shim = GRE_HLEN + (this.hasChecksum ? GRE_CHECKSUM_LENGTH : 0);
    } else {
      this.kind = TUNNEL_IPIP;
      this.shim = 0;
    }
  }
}

/** Bytes that a tunnel over an IP `family` takes of each packet. */
export function tunnelOverhead(tunnel: Tunnel, family: number): number {
  return tunnel.shim + (family === 4 ? IPV4_HLEN : IPV6_HLEN);
}

/**
 * Puts `tunnel`'s headers in front of the packet in `headers`, from `source` to `destination`, four words each, of `family`.
 * `canFragment` leaves DF out, `id` is the identification then. Returns where the frame begins now; the end stays.
 */
export function encapsulate(
  view: DataView,
  headers: Headers,
  tunnel: Tunnel,
  family: number,
  source: ArrayLike<number>,
  destination: ArrayLike<number>,
  canFragment: boolean,
  id: number,
): number {
  const inner = headers.ip;
  const payload = inner - tunnel.shim;
  const isIpv4 = headers.family === 4;
  const ip = payload - (family === 4 ? IPV4_HLEN : IPV6_HLEN);
  const first = view.getUint32(inner);
  const dsField = outerDsField(isIpv4 ? (first >>> 16) & 0xff : (first >>> 20) & 0xff);
  const hops = view.getUint8(inner + (isIpv4 ? IPV4_TTL : IPV6_HOPS));
  let protocol = isIpv4 ? IPPROTO_IPIP : IPPROTO_IPV6;
  const port = tunnel.kind === TUNNEL_GUE ? flowPort(view, headers) : 0;

  if (tunnel.kind === TUNNEL_GUE) {
    view.setUint8(payload + UDP_HLEN, 0);
    view.setUint8(payload + UDP_HLEN + 1, protocol);
    view.setUint16(payload + UDP_HLEN + 2, 0);
    protocol = IPPROTO_UDP;
  } else if (tunnel.kind === TUNNEL_GRE) {
    writeGre(view, payload, headers.end, isIpv4 ? ETH_P_IP : ETH_P_IPV6, tunnel.hasChecksum);
    protocol = IPPROTO_GRE;
  }
  const length = headers.end - payload;
  if (family === 4) {
    const isWhole = isIpv4 && !canFragment && (view.getUint16(inner + IPV4_FRAGMENT) & IPV4_DF) !== 0;
    writeIpv4(view, ip, length, dsField, hops, protocol, isWhole, isWhole ? 0 : id);
    view.setInt32(ip + IPV4_SRC, source[0]);
    view.setInt32(ip + IPV4_DST, destination[0]);
    view.setUint16(ip + IPV4_CHECKSUM, checksum(view, ip, IPV4_HLEN, 0));
    view.setUint16(ip - ETH_HLEN + ETH_TYPE, ETH_P_IP);
  } else {
    view.setUint32(ip + IPV6_VERSION, 0x60000000 | (dsField << 20));
    view.setUint16(ip + IPV6_PAYLOAD, length);
    view.setUint8(ip + IPV6_NEXT, protocol);
    view.setUint8(ip + IPV6_HOPS, hops);
    for (let i = 0; i < 4; i++) {
      view.setInt32(ip + IPV6_SRC + (i << 2), source[i]);
      view.setInt32(ip + IPV6_DST + (i << 2), destination[i]);
    }
    view.setUint16(ip - ETH_HLEN + ETH_TYPE, ETH_P_IPV6);
  }
  if (tunnel.kind === TUNNEL_GUE) {
    view.setUint16(payload + UDP_SRC, port);
    view.setUint16(payload + UDP_DST, tunnel.port);
    view.setUint16(payload + UDP_LENGTH, length);
    view.setUint16(payload + UDP_CHECKSUM, 0);
    if (tunnel.hasChecksum) writeUdpChecksum(view, payload, length, ip, family);
  }
  return ip - ETH_HLEN;
}

/** DSCP as inside; ECN too, but for "congestion experienced", which is for the inner header to say (RFC 3168 §9.1.1). */
function outerDsField(inner: number): number {
  return (inner & 3) === 3 ? (inner & 0xfc) | 2 : inner;
}

function writeIpv4(
  view: DataView,
  ip: number,
  payload: number,
  tos: number,
  ttl: number,
  protocol: number,
  isWhole: boolean,
  id: number,
): void {
  view.setUint8(ip + IPV4_VIHL, 0x45);
  view.setUint8(ip + IPV4_TOS, tos);
  view.setUint16(ip + IPV4_TOTAL, IPV4_HLEN + payload);
  view.setUint16(ip + IPV4_ID, id);
  view.setUint16(ip + IPV4_FRAGMENT, isWhole ? IPV4_DF : 0);
  view.setUint8(ip + IPV4_TTL, ttl);
  view.setUint8(ip + IPV4_PROTOCOL, protocol);
  view.setUint16(ip + IPV4_CHECKSUM, 0);
}

function writeGre(view: DataView, at: number, end: number, type: number, hasChecksum: boolean): void {
  view.setUint16(at, hasChecksum ? GRE_CSUM : 0);
  view.setUint16(at + 2, type);
  if (!hasChecksum) return;
  view.setInt32(at + GRE_HLEN, 0);
  view.setUint16(at + GRE_HLEN, checksum(view, at, end - at, 0));
}

function writeUdpChecksum(view: DataView, udp: number, length: number, ip: number, family: number): void {
  const addresses = ip + (family === 4 ? IPV4_SRC : IPV6_SRC);
  const pseudo = sumBytes(view, addresses, family === 4 ? 8 : 32, IPPROTO_UDP + length);
  const sum = checksum(view, udp, length, pseudo);
  view.setUint16(udp + UDP_CHECKSUM, sum === 0 ? 0xffff : sum);
}

/** A source port that is the same for all packets of a flow, so that routers spread flows and not packets. */
function flowPort(view: DataView, headers: Headers): number {
  const { ip, family, transport, end } = headers;
  let hash = end - transport >= 4 ? view.getInt32(transport) : headers.protocol;
  const addresses = ip + (family === 4 ? IPV4_SRC : IPV6_SRC);
  for (let i = 0; i < (family === 4 ? 8 : 32); i += 4) {
    hash = Math.imul(hash ^ view.getInt32(addresses + i), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return FIRST_PORT + (((hash >>> 16) * PORTS) >>> 16);
}
