// SPDX-License-Identifier: Apache-2.0
// Direct routing and bypass: the packet goes on as it is, one hop older (ip_vs_dr_xmit, ip_vs_bypass_xmit).
// hot path

import { applyDifference, difference16 } from '../../packet/checksum.ts';
import { IPV4_CHECKSUM, IPV4_TTL } from '../../packet/ipv4.ts';
import { IPV6_HOPS } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';

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
