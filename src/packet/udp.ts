// SPDX-License-Identifier: Apache-2.0
// UDP header (RFC 768).
// hot path

//  0 source port(2)  2 destination port(2)  4 length(2)  6 checksum(2), 0 for none
export const UDP_SRC = 0;
export const UDP_DST = 2;
export const UDP_LENGTH = 4;
export const UDP_CHECKSUM = 6;
export const UDP_HLEN = 8;
