// SPDX-License-Identifier: Apache-2.0
// Hops: a packet that goes on is one hop older, whatever else becomes of it (decrement_ttl of ip_vs_xmit.c, ip_forward).
// hot path

import { applyDifference, difference16 } from '../../packet/checksum.ts';
import { IPV4_CHECKSUM, IPV4_TTL } from '../../packet/ipv4.ts';
import { IPV6_HOPS } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';

/** The packet's TTL or hop limit. */
export function hopsOf(view: DataView, { family, ip }: Headers): number {
  return view.getUint8(ip + (family === 4 ? IPV4_TTL : IPV6_HOPS));
}

/** Takes one from the packet's TTL or hop limit (above 0). */
export function passHop(view: DataView, headers: Headers): void {
  const { ip, family } = headers;
  if (family !== 4) {
    view.setUint8(ip + IPV6_HOPS, view.getUint8(ip + IPV6_HOPS) - 1);
    return;
  }
  const hops = view.getUint16(ip + IPV4_TTL);
  view.setUint8(ip + IPV4_TTL, (hops >>> 8) - 1);
  const field = ip + IPV4_CHECKSUM;
  view.setUint16(field, applyDifference(view.getUint16(field), difference16(hops, hops - 0x100)));
}
