// SPDX-License-Identifier: Apache-2.0
// PROXY protocol for UDP: a header of version 2 before the data of a client's datagram. Which datagrams get one (every
// one until the server has answered) is the caller's decision. Pure.

import type { Headers } from '../../packet/parse.ts';
import { splice } from '../../packet/splice.ts';
import { UDP_HLEN, UDP_LENGTH } from '../../packet/udp.ts';
import type { FrameMemory } from '../frame-memory.ts';

/**
 * Puts the first `length` bytes of `header` before the data of the datagram in `headers`. False, with nothing changed, when
 * the packet would reach behind `limit`, where its slot ends or its MTU is used up, or when it says another length than it
 * has, so that nobody knows where its data ends.
 */
export function prependProxyHeader(
  frames: FrameMemory,
  headers: Headers,
  header: Uint8Array,
  length: number,
  limit: number,
): boolean {
  const { transport, end } = headers;
  if (frames.view.getUint16(transport + UDP_LENGTH) !== end - transport) return false;
  return splice(frames.view, frames.bytes, headers, transport + UDP_HLEN, 0, header, length, limit);
}
