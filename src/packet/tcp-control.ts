// SPDX-License-Identifier: Apache-2.0
// TCP segments without data that the director makes by itself: resets and probes of a connection that is to end. Not on
// the hot path; a packet is a fresh array of bytes.

import type { Family } from './address.ts';
import { checksum, sumBytes } from './checksum.ts';
import {
  IPPROTO_TCP,
  IPV4_CHECKSUM,
  IPV4_DF,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_HLEN,
  IPV4_PROTOCOL,
  IPV4_SRC,
  IPV4_TOTAL,
  IPV4_TTL,
  IPV4_VIHL,
} from './ipv4.ts';
import { IPV6_DST, IPV6_HLEN, IPV6_HOPS, IPV6_NEXT, IPV6_PAYLOAD, IPV6_SRC, IPV6_VERSION } from './ipv6.ts';
import type { Headers } from './parse.ts';
import {
  TCP_ACK,
  TCP_ACK_FLAG,
  TCP_CHECKSUM,
  TCP_FLAGS,
  TCP_HLEN,
  TCP_OFFSET,
  TCP_RST,
  TCP_SEQ,
  TCP_WINDOW,
} from './tcp.ts';

const HOPS = 64;

/** A segment to be made. Addresses are words as read off the wire, one for IPv4, four for IPv6. */
export interface ControlSegment {
  readonly family: Family;
  readonly source: ArrayLike<number>;
  readonly sourcePort: number;
  readonly destination: ArrayLike<number>;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
}

/** The IP packet of a segment. */
export function makeControlSegment(segment: ControlSegment): Uint8Array {
  const isIpv4 = segment.family === 4;
  const transport = isIpv4 ? IPV4_HLEN : IPV6_HLEN;
  const bytes = new Uint8Array(transport + TCP_HLEN);
  const view = new DataView(bytes.buffer);
  const source = isIpv4 ? IPV4_SRC : IPV6_SRC;
  const destination = isIpv4 ? IPV4_DST : IPV6_DST;
  for (let i = 0; i < (isIpv4 ? 1 : 4); i++) {
    view.setInt32(source + i * 4, segment.source[i]);
    view.setInt32(destination + i * 4, segment.destination[i]);
  }
  if (isIpv4) {
    view.setUint8(IPV4_VIHL, 0x45);
    view.setUint16(IPV4_TOTAL, bytes.length);
    view.setUint16(IPV4_FRAGMENT, IPV4_DF);
    view.setUint8(IPV4_TTL, HOPS);
    view.setUint8(IPV4_PROTOCOL, IPPROTO_TCP);
    view.setUint16(IPV4_CHECKSUM, checksum(view, 0, IPV4_HLEN, 0));
  } else {
    view.setUint32(IPV6_VERSION, 0x60000000);
    view.setUint16(IPV6_PAYLOAD, TCP_HLEN);
    view.setUint8(IPV6_NEXT, IPPROTO_TCP);
    view.setUint8(IPV6_HOPS, HOPS);
  }
  view.setUint16(transport, segment.sourcePort);
  view.setUint16(transport + 2, segment.destinationPort);
  view.setInt32(transport + TCP_SEQ, segment.sequence);
  view.setInt32(transport + TCP_ACK, segment.acknowledgment);
  view.setUint8(transport + TCP_OFFSET, (TCP_HLEN / 4) << 4);
  view.setUint8(transport + TCP_FLAGS, segment.flags);
  writeChecksum(view, source, transport, isIpv4 ? 8 : 32);
  return bytes;
}

/** Sequence number of the segment in `headers`. */
export function sequenceOf(view: DataView, headers: Headers): number {
  return view.getInt32(headers.transport + TCP_SEQ);
}

/** Acknowledgment number of the segment in `headers`. */
export function acknowledgmentOf(view: DataView, headers: Headers): number {
  return view.getInt32(headers.transport + TCP_ACK);
}

/** Bytes of data in the segment in `headers`. */
export function payloadOf(view: DataView, headers: Headers): number {
  return headers.end - headers.transport - (view.getUint8(headers.transport + TCP_OFFSET) >>> 4) * 4;
}

/** Turns the segment in `headers` into a reset with its sequence number, without data and options. */
export function turnIntoReset(view: DataView, headers: Headers): void {
  const { family, ip, transport } = headers;
  const end = transport + TCP_HLEN;
  if (family === 4) {
    view.setUint16(ip + IPV4_TOTAL, end - ip);
    view.setUint16(ip + IPV4_CHECKSUM, 0);
    view.setUint16(ip + IPV4_CHECKSUM, checksum(view, ip, transport - ip, 0));
  } else {
    view.setUint16(ip + IPV6_PAYLOAD, end - ip - IPV6_HLEN);
  }
  view.setUint8(transport + TCP_OFFSET, (TCP_HLEN / 4) << 4);
  view.setUint8(transport + TCP_FLAGS, TCP_RST | TCP_ACK_FLAG);
  view.setInt32(transport + TCP_WINDOW, 0);
  view.setUint16(transport + TCP_WINDOW + 4, 0);
  headers.end = end;
  writeChecksum(view, ip + (family === 4 ? IPV4_SRC : IPV6_SRC), transport, family === 4 ? 8 : 32);
}

/** Computes the checksum of a segment without data whose addresses begin at `addresses`. */
function writeChecksum(view: DataView, addresses: number, transport: number, addressBytes: number): void {
  view.setUint16(transport + TCP_CHECKSUM, 0);
  const pseudo = sumBytes(view, addresses, addressBytes, IPPROTO_TCP + TCP_HLEN);
  view.setUint16(transport + TCP_CHECKSUM, checksum(view, transport, TCP_HLEN, pseudo));
}
