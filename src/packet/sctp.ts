// SPDX-License-Identifier: Apache-2.0
// SCTP on the wire (RFC 9260 §3): offsets in the common header and a chunk's, and chunk types. Ports are where TCP and UDP
// have theirs.

export const SCTP_CHECKSUM = 8;
export const SCTP_HLEN = 12;

export const CHUNK_TYPE = 0;
export const CHUNK_LENGTH = 2;
export const CHUNK_HLEN = 4;

export const CHUNK_INIT = 1;
export const CHUNK_ABORT = 6;
export const CHUNK_COOKIE_ECHO = 10;
export const CHUNK_COOKIE_ACK = 11;
