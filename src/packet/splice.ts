// SPDX-License-Identifier: Apache-2.0
// Makes a TCP segment or a UDP datagram longer or shorter in place: some of its bytes are replaced by others, what stands
// behind them moves, lengths and checksums are mended by the difference, so that a damaged packet stays damaged. Used for
// texts that helpers rewrite, for TCP options and for PROXY headers. Sequence numbers are the caller's business.

import { applyDifference, difference16, fold, sumCovering } from './checksum.ts';
import { IPPROTO_UDP, IPV4_CHECKSUM, IPV4_TOTAL } from './ipv4.ts';
import { IPV6_HLEN, IPV6_PAYLOAD } from './ipv6.ts';
import type { Headers } from './parse.ts';
import { TCP_CHECKSUM } from './tcp.ts';
import { UDP_CHECKSUM, UDP_LENGTH } from './udp.ts';

const MAX_LENGTH = 0xffff;

/**
 * Replaces `oldLength` bytes at `at`, behind the ports of the transport header and before the packet's end, by the first
 * `newLength` bytes of `source`. Refuses (false, nothing changed) when the packet would reach behind `limit`, which is
 * where its slot ends or its MTU is used up. `headers.end` is set. The options' length of a TCP header is not.
 */
export function splice(
  view: DataView,
  bytes: Uint8Array,
  headers: Headers,
  at: number,
  oldLength: number,
  source: Uint8Array,
  newLength: number,
  limit: number,
): boolean {
  const { transport, end, protocol } = headers;
  const growth = newLength - oldLength;
  if (growth > 0 && end + growth > limit) return false;
  if (end + growth - headers.ip > MAX_LENGTH) return false;

  // What moves by an even number of bytes adds the same to the sum as before; by an odd one, all of it changes.
  const isEven = (growth & 1) === 0;
  const before = sumCovering(view, transport, at, isEven ? at + oldLength : end);
  bytes.copyWithin(at + newLength, at + oldLength, end);
  for (let i = 0; i < newLength; i++) bytes[at + i] = source[i];
  const after = sumCovering(view, transport, at, isEven ? at + newLength : end + growth);

  headers.end = end + growth;
  const length = end - transport;
  const difference = (~fold(before) & 0xffff) + after + difference16(length, length + growth);
  setLength(view, headers);
  if (protocol === IPPROTO_UDP) mendUdp(view, transport, length + growth, difference);
  else {
    const field = transport + TCP_CHECKSUM;
    view.setUint16(field, applyDifference(view.getUint16(field), difference));
  }
  return true;
}

/** Makes the length in the IP header that of `headers`, whose `end` was changed. */
export function setLength(view: DataView, headers: Headers): void {
  const { ip, end } = headers;
  if (headers.family === 6) {
    view.setUint16(ip + IPV6_PAYLOAD, end - ip - IPV6_HLEN);
    return;
  }
  const difference = difference16(view.getUint16(ip + IPV4_TOTAL), end - ip);
  view.setUint16(ip + IPV4_TOTAL, end - ip);
  view.setUint16(ip + IPV4_CHECKSUM, applyDifference(view.getUint16(ip + IPV4_CHECKSUM), difference));
}

/** UDP has its length twice, in the header and in the pseudo-header, and may come without a checksum. */
function mendUdp(view: DataView, transport: number, length: number, difference: number): void {
  const stated = view.getUint16(transport + UDP_LENGTH);
  view.setUint16(transport + UDP_LENGTH, length);
  const old = view.getUint16(transport + UDP_CHECKSUM);
  if (old === 0) return;
  const mended = applyDifference(old, difference + difference16(stated, length));
  view.setUint16(transport + UDP_CHECKSUM, mended === 0 ? 0xffff : mended);
}
