// SPDX-License-Identifier: Apache-2.0
// TOA: the client's address as a TCP option, for servers that would otherwise see the director's (FULLNAT). As in DPVS it
// goes into every segment of the client's that acknowledges nothing of the server's data, neither SYN nor RST: the
// handshake's last segment, the first data and their retransmissions. Servers read it with a kernel module. Pure: the
// caller has the server's sequence number and counts the results.
// hot path: every segment of a connection until its server speaks

import { difference16 } from '../../packet/checksum.ts';
import type { Headers } from '../../packet/parse.ts';
import { splice } from '../../packet/splice.ts';
import { TCP_ACK, TCP_ACK_FLAG, TCP_FLAGS, TCP_HLEN, TCP_OFFSET, TCP_RST, TCP_SYN } from '../../packet/tcp.ts';
import {
  eraseOptions,
  findOption,
  mendTcpChecksum,
  nextOption,
  TCP_MAX_OPTIONS,
  TCPOPT_AO,
  TCPOPT_EOL,
  TCPOPT_MD5SIG,
  TCPOPT_SACK,
  tcpDataStart,
} from '../../packet/tcp-options.ts';
import type { FrameMemory } from '../frame-memory.ts';

/** The option's kind where nothing else is configured; other vendors' modules have 200 and 252. */
export const TCPOPT_TOA = 254;

/** What {@link addToa} did. */
export const TOA_ADDED = 0;
/** No segment that carries it, or one whose header lies. */
export const TOA_NOT_NOW = 1;
/** The header has no room for it, even without what may be left out. */
export const TOA_OPTIONS_FULL = 2;
/** The packet would become larger than its slot or the MTU. */
export const TOA_NO_ROOM = 3;
/** The segment is signed (MD5, TCP-AO): a change would break it. */
export const TOA_SIGNED = 4;

export const TOA_RESULTS = 5;

/** Names of the results for status and metrics. */
export const TOA_RESULT_NAMES: readonly string[] = ['added', 'not-now', 'options-full', 'no-room', 'signed'];

/** Bytes of the option by family; what the server's MSS has to leave room for. */
export const TOA_LENGTH_IPV4 = 8;
export const TOA_LENGTH_IPV6 = 20;

const $options = new Uint8Array(TCP_MAX_OPTIONS);
const $view = new DataView($options.buffer);

/**
 * Adds the option `kind` with the client's address (IPv4: the first word, the others 0) and port to a client's segment
 * if it is one that carries it. `serverNext` is what acknowledges the server's SYN alone: its initial sequence number
 * plus one. The packet may reach up to `limit`, where its slot ends or its MTU is used up. An option of that kind that the
 * client sent by itself is erased from every segment: a server would believe it.
 */
export function addToa(
  frames: FrameMemory,
  headers: Headers,
  serverNext: number,
  kind: number,
  family: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
  port: number,
  limit: number,
): number {
  const { view, bytes } = frames;
  const { transport } = headers;
  const data = tcpDataStart(view, headers);
  if (data === -1) return TOA_NOT_NOW;
  const options = transport + TCP_HLEN;
  if (findOption(view, options, data, TCPOPT_MD5SIG) !== -1) return TOA_SIGNED;
  if (findOption(view, options, data, TCPOPT_AO) !== -1) return TOA_SIGNED;
  if (data > options) eraseOptions(view, headers, kind);

  const flags = view.getUint8(transport + TCP_FLAGS);
  if ((flags & (TCP_SYN | TCP_RST | TCP_ACK_FLAG)) !== TCP_ACK_FLAG) return TOA_NOT_NOW;
  if (view.getInt32(transport + TCP_ACK) !== (serverNext | 0)) return TOA_NOT_NOW;

  const length = family === 4 ? TOA_LENGTH_IPV4 : TOA_LENGTH_IPV6;
  $view.setUint8(0, kind);
  $view.setUint8(1, length);
  $view.setUint16(2, port);
  $view.setInt32(4, word0);
  if (family !== 4) {
    $view.setInt32(8, word1);
    $view.setInt32(12, word2);
    $view.setInt32(16, word3);
  }
  // First, so that the end of options which a client may send does not hide it.
  const isRoom = data - options + length <= TCP_MAX_OPTIONS;
  const replaced = isRoom ? 0 : data - options;
  const total = isRoom ? length : keepOptions(view, options, data, length);
  if (total === 0) return TOA_OPTIONS_FULL;
  if (!splice(view, bytes, headers, options, replaced, $options, total, limit)) return TOA_NO_ROOM;

  const word = view.getUint16(transport + TCP_OFFSET);
  const grown = word + ((total - replaced) << 10);
  view.setUint16(transport + TCP_OFFSET, grown);
  mendTcpChecksum(view, transport, difference16(word, grown));
  return TOA_ADDED;
}

/**
 * Appends the segment's options to the `length` bytes in `$options`, without padding, and without SACK blocks, which a
 * receiver may forget at any time (RFC 2018 §8); returns the sum, a multiple of 4, or 0 when they do not fit.
 */
function keepOptions(view: DataView, from: number, end: number, length: number): number {
  let total = length;
  for (let at = nextOption(view, from, end); at < end; at = nextOption(view, at + view.getUint8(at + 1), end)) {
    if (view.getUint8(at) === TCPOPT_SACK) continue;
    const size = view.getUint8(at + 1);
    if (total + size > TCP_MAX_OPTIONS) return 0;
    for (let i = 0; i < size; i++) $options[total++] = view.getUint8(at + i);
  }
  while ((total & 3) !== 0) $options[total++] = TCPOPT_EOL;
  return total;
}
