// SPDX-License-Identifier: Apache-2.0
// The transport checksum of a whole packet, made or verified over all of its bytes: TCP, UDP and ICMPv6 with the
// pseudo-header (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1), ICMP without, SCTP's CRC32c. For packets up to 65535 bytes; where
// a packet only changes, the differences of checksum.ts are cheaper. Headers as parseFrame left them with PARSE_OK.
// hot path

import { fold, sumBytes } from './checksum.ts';
import { crc32c } from './crc32c.ts';
import { ICMP_CHECKSUM } from './icmp.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPV4_SRC } from './ipv4.ts';
import { IPV6_SRC } from './ipv6.ts';
import type { Headers } from './parse.ts';
import { SCTP_CHECKSUM } from './sctp.ts';
import { TCP_CHECKSUM } from './tcp.ts';
import { UDP_CHECKSUM } from './udp.ts';

/** Writes the checksum anew. False, and nothing written, for a protocol without one that is known here. */
export function writeTransportChecksum(view: DataView, headers: Headers): boolean {
  const field = checksumField(headers);
  if (field === 0) return false;
  const { transport, end, protocol } = headers;
  if (protocol === IPPROTO_SCTP) {
    view.setInt32(field, 0);
    view.setInt32(field, crc32c(view, transport, end - transport), true);
    return true;
  }
  view.setUint16(field, 0);
  const sum = ~fold(transportSum(view, headers)) & 0xffff;
  view.setUint16(field, sum === 0 && protocol === IPPROTO_UDP ? 0xffff : sum);
  return true;
}

/**
 * Whether the checksum is right. True, too, for a protocol without one that is known here, and for IPv4's UDP without; false
 * for IPv6's UDP without (RFC 8200 §8.1).
 */
export function isTransportIntact(view: DataView, headers: Headers): boolean {
  const field = checksumField(headers);
  if (field === 0) return true;
  const { transport, end, protocol, family } = headers;
  if (protocol === IPPROTO_SCTP) {
    const kept = view.getInt32(field, true);
    view.setInt32(field, 0);
    const found = crc32c(view, transport, end - transport);
    view.setInt32(field, kept, true);
    return (found | 0) === kept;
  }
  if (protocol === IPPROTO_UDP && view.getUint16(field) === 0) return family === 4;
  return fold(transportSum(view, headers)) === 0xffff;
}

/** Sum of pseudo-header and transport, below 2^32 for every packet. */
function transportSum(view: DataView, { family, ip, transport, end, protocol }: Headers): number {
  const length = end - transport;
  let pseudo = 0;
  if (protocol !== IPPROTO_ICMP) {
    const addresses = family === 4 ? ip + IPV4_SRC : ip + IPV6_SRC;
    pseudo = sumBytes(view, addresses, family === 4 ? 8 : 32, protocol + length);
  }
  return sumBytes(view, transport, length, pseudo);
}

/** Where the checksum is, 0 for nowhere: also when the packet ends before. */
function checksumField({ transport, end, protocol }: Headers): number {
  let offset = -1;
  let size = 2;
  if (protocol === IPPROTO_TCP) offset = TCP_CHECKSUM;
  else if (protocol === IPPROTO_UDP) offset = UDP_CHECKSUM;
  else if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) offset = ICMP_CHECKSUM;
  else if (protocol === IPPROTO_SCTP) {
    offset = SCTP_CHECKSUM;
    size = 4;
  }
  return offset < 0 || transport + offset + size > end ? 0 : transport + offset;
}
