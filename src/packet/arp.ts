// SPDX-License-Identifier: Apache-2.0
// ARP for IPv4 over Ethernet (RFC 826). The kernel answers ARP for the director; this is for tests and announcements.

//  0 htype(2)  2 ptype(2)  4 hlen(1)  5 plen(1)  6 operation(2)  8 sha(6)  14 spa(4)  18 tha(6)  24 tpa(4)
export const ARP_HTYPE = 0;
export const ARP_PTYPE = 2;
export const ARP_OPERATION = 6;
export const ARP_SHA = 8;
export const ARP_SPA = 14;
export const ARP_THA = 18;
export const ARP_TPA = 24;
export const ARP_LENGTH = 28;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** Writes an ARP packet at `offset`; addresses are six octets and one word each. */
export function writeArp(
  view: DataView,
  offset: number,
  operation: number,
  senderMac: ArrayLike<number>,
  senderIp: number,
  targetMac: ArrayLike<number>,
  targetIp: number,
): void {
  view.setUint16(offset + ARP_HTYPE, 1);
  view.setUint16(offset + ARP_PTYPE, 0x0800);
  view.setUint16(offset + 4, (6 << 8) | 4);
  view.setUint16(offset + ARP_OPERATION, operation);
  for (let i = 0; i < 6; i++) {
    view.setUint8(offset + ARP_SHA + i, senderMac[i] ?? 0);
    view.setUint8(offset + ARP_THA + i, targetMac[i] ?? 0);
  }
  view.setInt32(offset + ARP_SPA, senderIp);
  view.setInt32(offset + ARP_TPA, targetIp);
}

/** True when `length` bytes at `offset` hold an ARP packet for IPv4 over Ethernet. */
export function isArp(view: DataView, offset: number, length: number): boolean {
  return (
    length >= ARP_LENGTH &&
    view.getUint16(offset + ARP_HTYPE) === 1 &&
    view.getUint16(offset + ARP_PTYPE) === 0x0800 &&
    view.getUint16(offset + 4) === ((6 << 8) | 4)
  );
}
