// SPDX-License-Identifier: Apache-2.0
// Pieces of datagrams in the oracle's scenarios: a packet that is described whole is cut here, as its sender or a router
// would have (RFC 791, RFC 8200 §4.5).

import { internetChecksum } from '../support/frames.ts';

/** A fragment of a packet. */
export interface Piece {
  /** The same for all of a datagram, and another for every other. */
  readonly id: number;
  /** First byte of it behind the IP header, a multiple of 8. */
  readonly at: number;
  /** Bytes of it; a multiple of 8 but in the last. */
  readonly length: number;
  readonly isLast: boolean;
}

const IPV4_HLEN = 20;
const IPV6_HLEN = 40;
const NEXT_FRAGMENT = 44;

export function pieceOf(packet: Uint8Array, { id, at, length, isLast }: Piece): Uint8Array {
  const header = packet[0] >>> 4 === 4 ? IPV4_HLEN : IPV6_HLEN;
  const contents = packet.subarray(header + at, header + at + length);
  const head = packet.slice(0, header);
  if (header === IPV4_HLEN) {
    put16(head, 2, header + contents.length);
    put16(head, 4, id & 0xffff);
    put16(head, 6, (at >>> 3) | (isLast ? 0 : 0x2000));
    put16(head, 10, 0);
    put16(head, 10, internetChecksum(head));
    return Uint8Array.from([...head, ...contents]);
  }
  const next = head[6];
  head[6] = NEXT_FRAGMENT;
  put16(head, 4, 8 + contents.length);
  const place = at | (isLast ? 0 : 1);
  return Uint8Array.from([...head, next, 0, place >>> 8, place & 255, 0, 0, id >>> 8, id & 255, ...contents]);
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 255;
}
