// SPDX-License-Identifier: Apache-2.0
// IPv6 header and the walk over extension headers (RFC 8200 §3, §4).
// hot path

//  0 version,class,flow(4)  4 payload length(2)  6 next header(1)  7 hop limit(1)  8 source(16)  24 destination(16)
export const IPV6_VERSION = 0;
export const IPV6_PAYLOAD = 4;
export const IPV6_NEXT = 6;
export const IPV6_HOPS = 7;
export const IPV6_SRC = 8;
export const IPV6_DST = 24;
export const IPV6_HLEN = 40;

export const NEXT_HOP_BY_HOP = 0;
export const NEXT_ROUTING = 43;
export const NEXT_FRAGMENT = 44;
export const NEXT_AUTHENTICATION = 51;
export const NEXT_DESTINATION = 60;

//  0 next header(1)  1 reserved(1)  2 offset,flags(2)  4 identification(4)        RFC 8200 §4.5
export const FRAGMENT_OFFSET = 2;
export const FRAGMENT_HLEN = 8;

/** Most extension headers that are walked, here and in bpf/parse.h; a longer chain is malformed to us. */
export const MAX_EXTENSION_HEADERS = 6;

/** True for a header of which the walk knows the length. */
export function isExtensionHeader(next: number): boolean {
  return (
    next === NEXT_HOP_BY_HOP ||
    next === NEXT_ROUTING ||
    next === NEXT_FRAGMENT ||
    next === NEXT_AUTHENTICATION ||
    next === NEXT_DESTINATION
  );
}
