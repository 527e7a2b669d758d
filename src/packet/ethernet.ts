// SPDX-License-Identifier: Apache-2.0
// Ethernet II frames (IEEE 802.3 §3, RFC 894). Tagged frames never reach the engine: XDP leaves them to the kernel.
// hot path

//  0 destination(6)  6 source(6)  12 ethertype(2)
export const ETH_DST = 0;
export const ETH_SRC = 6;
export const ETH_TYPE = 12;
export const ETH_HLEN = 14;

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;

/** Writes both addresses; each is its first four octets as a word and its last two as a half word. */
export function writeAddresses(
  view: DataView,
  frame: number,
  dstHigh: number,
  dstLow: number,
  srcHigh: number,
  srcLow: number,
): void {
  view.setInt32(frame + ETH_DST, dstHigh);
  view.setInt16(frame + ETH_DST + 4, dstLow);
  view.setInt32(frame + ETH_SRC, srcHigh);
  view.setInt16(frame + ETH_SRC + 4, srcLow);
}

/** `02:00:00:00:00:01` as six octets, or undefined. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (octet) => Number.parseInt(octet, 16));
}

/** Six octets as `02:00:00:00:00:01`. */
export function formatMac(mac: ArrayLike<number>): string {
  return Array.from({ length: 6 }, (_, i) => (mac[i] ?? 0).toString(16).padStart(2, '0')).join(':');
}
