// SPDX-License-Identifier: Apache-2.0
// IPv4 header (RFC 791). Accessors may be used once `parseFrame` has returned PARSE_OK for the frame.
// hot path

//  0 version,ihl(1)  1 tos(1)  2 total length(2)  4 id(2)  6 flags,fragment(2)  8 ttl(1)  9 protocol(1)
// 10 checksum(2)  12 source(4)  16 destination(4)
export const IPV4_VIHL = 0;
export const IPV4_TOS = 1;
export const IPV4_TOTAL = 2;
export const IPV4_ID = 4;
export const IPV4_FRAGMENT = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTOCOL = 9;
export const IPV4_CHECKSUM = 10;
export const IPV4_SRC = 12;
export const IPV4_DST = 16;
export const IPV4_HLEN = 20;

/** Don't-fragment and more-fragments flags, and the fragment offset's bits, in the word at IPV4_FRAGMENT. */
export const IPV4_DF = 0x4000;
export const IPV4_MF = 0x2000;
export const IPV4_OFFSET_MASK = 0x1fff;

export const IPPROTO_ICMP = 1;
/** An IPv4 packet inside of another packet. */
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
/** An IPv6 packet inside of another packet. */
export const IPPROTO_IPV6 = 41;
export const IPPROTO_GRE = 47;
export const IPPROTO_ESP = 50;
export const IPPROTO_AH = 51;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;
