// SPDX-License-Identifier: Apache-2.0
// ICMP errors about connections with NAT: the addresses of the error and those in the packet that it quotes change together
// (ip_vs_nat_icmp). The quoted transport checksum is left alone: it cannot be made good of what is quoted.
// hot path

import { checksum, fold, sumBytes } from '../../packet/checksum.ts';
import { ICMP_CHECKSUM } from '../../packet/icmp.ts';
import { IPPROTO_ICMPV6, IPV4_CHECKSUM, IPV4_DST, IPV4_HLEN, IPV4_SRC, IPV4_VIHL } from '../../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';

/** Writes the address in the records' words `word` and three from `rest` on to one end of the IP header at `ip`. */
export function putAddress(
  view: DataView,
  family: number,
  ip: number,
  isSource: boolean,
  records: Int32Array,
  word: number,
  rest: number,
): void {
  if (family === 4) {
    view.setInt32(ip + (isSource ? IPV4_SRC : IPV4_DST), records[word]);
    return;
  }
  const at = ip + (isSource ? IPV6_SRC : IPV6_DST);
  view.setInt32(at, records[word]);
  for (let i = 0; i < 3; i++) view.setInt32(at + 4 + (i << 2), records[rest + i]);
}

/** Whether the ICMP message's checksum is right. */
export function isIcmpValid(view: DataView, headers: Headers): boolean {
  const { transport, end } = headers;
  return fold(sumBytes(view, transport, end - transport, pseudoSum(view, headers))) === 0xffff;
}

/** Makes all checksums anew after addresses and ports were written. */
export function mendIcmp(view: DataView, headers: Headers, quoted: Headers): void {
  const { transport, end } = headers;
  if (headers.family === 4) {
    mendHeader(view, headers.ip);
    mendHeader(view, quoted.ip);
  }
  view.setUint16(transport + ICMP_CHECKSUM, 0);
  view.setUint16(transport + ICMP_CHECKSUM, checksum(view, transport, end - transport, pseudoSum(view, headers)));
}

/** ICMPv6 covers the addresses too (RFC 4443 §2.3). */
function pseudoSum(view: DataView, { family, ip, transport, end }: Headers): number {
  return family === 4 ? 0 : sumBytes(view, ip + IPV6_SRC, 32, IPPROTO_ICMPV6 + end - transport);
}

function mendHeader(view: DataView, ip: number): void {
  const length = (view.getUint8(ip + IPV4_VIHL) & 15) << 2;
  view.setUint16(ip + IPV4_CHECKSUM, 0);
  view.setUint16(ip + IPV4_CHECKSUM, checksum(view, ip, Math.max(length, IPV4_HLEN), 0));
}
