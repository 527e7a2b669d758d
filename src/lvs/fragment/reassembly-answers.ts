// SPDX-License-Identifier: Apache-2.0
// What reassembly says of a fragment, and the counters' names.

/** What `Reassembly.add` did with a fragment; everything from DROPPED_DUPLICATE on is a drop. */
export const HELD = 0;
/** It was the last that lacked: `datagram` says where all is. */
export const COMPLETE = 1;
/** All of it was there already. */
export const DROPPED_DUPLICATE = 2;
/** Part of it was there already: the datagram is discarded. */
export const DROPPED_OVERLAP = 3;
/** The datagram would be longer than 65535 bytes, or the fragment is than a block. */
export const DROPPED_TOO_LONG = 4;
/** IPv6: more fragments follow, but its end is no multiple of 8: the datagram is discarded. */
export const DROPPED_BAD_LENGTH = 5;
/** Another end of the datagram is known, or bytes behind it; IPv4: the datagram is discarded. */
export const DROPPED_BAD_END = 6;
/** No bytes, or for IPv4 not the 8 that make one unit of the offset; IPv4: the datagram is discarded. */
export const DROPPED_EMPTY = 7;
/** ECN fields that do not go together (RFC 3168 §5.3): the datagram is discarded. */
export const DROPPED_BAD_ECN = 8;
/** First fragment of IPv6 without all headers (RFC 8200 §4.5). */
export const DROPPED_INCOMPLETE_HEADERS = 9;
/** The family uses as much memory as it may. */
export const DROPPED_NO_MEMORY = 10;
/** More fragments than a datagram may have: it is discarded. */
export const DROPPED_TOO_MANY = 11;
/** Never an answer, only counted: datagrams whose time ran out. */
export const DROPPED_EXPIRED = 12;

/** Indexed by the answers. */
export const REASSEMBLY_NAMES = [
  'held',
  'complete',
  'drop-duplicate',
  'drop-overlap',
  'drop-too-long',
  'drop-bad-length',
  'drop-bad-end',
  'drop-empty',
  'drop-bad-ecn',
  'drop-incomplete-headers',
  'drop-no-memory',
  'drop-too-many',
  'drop-expired',
] as const;
