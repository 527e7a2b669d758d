// SPDX-License-Identifier: Apache-2.0
// TCP sequence numbers of a connection in which a helper has made a text longer or shorter: what nf_conntrack_seqadj
// does. Each direction remembers the segment that was changed last and by how much what follows is shifted; up to and
// with that segment the earlier shift holds, so that retransmissions get the numbers that they had. The other direction's
// acknowledgments and SACK blocks are shifted back. Windows are left alone. State is words of a record of the caller's.
// hot path
//
//   0 position   1 offset before   2 offset after        requests
//   3 position   4 offset before   5 offset after        replies

import type { Headers } from '../../packet/parse.ts';
import { TCP_ACK, TCP_ACK_FLAG, TCP_FLAGS, TCP_HLEN, TCP_SEQ } from '../../packet/tcp.ts';
import {
  mendTcpChecksum,
  nextOption,
  replaceWord,
  sackBlocks,
  TCPOPT_SACK,
  tcpDataStart,
} from '../../packet/tcp-options.ts';

/** Words that a connection's state takes. */
export const SEQUENCE_WORDS = 6;

const DIRECTION_WORDS = 3;
const POSITION = 0;
const BEFORE = 1;
const AFTER = 2;

/** Forgets all shifts: a new connection. */
export function clearSequence(words: Int32Array, at: number): void {
  words.fill(0, at, at + SEQUENCE_WORDS);
}

/** Whether any segment of the connection may need {@link adjustSegment}. */
export function isSequenceShifted(words: Int32Array, at: number): boolean {
  const request = words[at + BEFORE] | words[at + AFTER];
  return (request | words[at + DIRECTION_WORDS + BEFORE] | words[at + DIRECTION_WORDS + AFTER]) !== 0;
}

/**
 * Notes that the segment which came with `sequence` in `direction` (REQUEST or REPLY) was made `growth` bytes longer.
 * A retransmission of the segment noted last, or of an earlier one, changes nothing.
 */
export function noteResize(words: Int32Array, at: number, direction: number, sequence: number, growth: number): void {
  if (growth === 0) return;
  const way = at + direction * DIRECTION_WORDS;
  const isFirst = words[way + BEFORE] === words[way + AFTER];
  if (!isFirst && ((sequence - words[way + POSITION]) | 0) <= 0) return;
  words[way + POSITION] = sequence;
  words[way + BEFORE] = words[way + AFTER];
  words[way + AFTER] = (words[way + AFTER] + growth) | 0;
}

/** The number by which the receiver of `direction` knows the sender's `sequence`. */
export function shiftedSequence(words: Int32Array, at: number, direction: number, sequence: number): number {
  const way = at + direction * DIRECTION_WORDS;
  const isAfter = ((sequence - words[way + POSITION]) | 0) > 0;
  return (sequence + words[way + (isAfter ? AFTER : BEFORE)]) | 0;
}

/** The number by which the sender of `direction` knows what its receiver calls `sequence`; also for ICMP's quotations. */
export function unshiftedSequence(words: Int32Array, at: number, direction: number, sequence: number): number {
  const way = at + direction * DIRECTION_WORDS;
  const isAfter = ((sequence - words[way + BEFORE] - words[way + POSITION]) | 0) > 0;
  return (sequence - words[way + (isAfter ? AFTER : BEFORE)]) | 0;
}

/** Shifts sequence number, acknowledgment and SACK blocks of a segment of `direction`, after any change of its length. */
export function adjustSegment(
  view: DataView,
  headers: Headers,
  words: Int32Array,
  at: number,
  direction: number,
): void {
  const transport = headers.transport;
  const sequence = view.getInt32(transport + TCP_SEQ);
  const shifted = shiftedSequence(words, at, direction, sequence);
  let difference = replaceWord(view, transport, transport + TCP_SEQ, shifted);
  if ((view.getUint8(transport + TCP_FLAGS) & TCP_ACK_FLAG) !== 0) {
    const other = direction ^ 1;
    const acknowledged = unshiftedSequence(words, at, other, view.getInt32(transport + TCP_ACK));
    difference += replaceWord(view, transport, transport + TCP_ACK, acknowledged);
    difference += unshiftSack(view, headers, words, at, other);
  }
  mendTcpChecksum(view, transport, difference);
}

function unshiftSack(view: DataView, headers: Headers, words: Int32Array, at: number, other: number): number {
  const transport = headers.transport;
  const end = tcpDataStart(view, headers);
  let difference = 0;
  let option = nextOption(view, transport + TCP_HLEN, end);
  while (option < end) {
    const length = view.getUint8(option + 1);
    const edges = view.getUint8(option) === TCPOPT_SACK ? sackBlocks(length) * 2 : 0;
    for (let i = 0; i < edges; i++) {
      const edge = option + 2 + i * 4;
      const to = unshiftedSequence(words, at, other, view.getInt32(edge));
      difference += replaceWord(view, transport, edge, to);
    }
    option = nextOption(view, option + length, end);
  }
  return difference;
}
