// SPDX-License-Identifier: Apache-2.0
// SCTP packets for tests, made independently of the code under test: the checksum bit by bit (RFC 9260 appendix A).

import { ip, type PacketFields } from './frames.ts';

const IPPROTO_SCTP = 132;
const POLYNOMIAL = 0x82f63b78;

/** An SCTP packet of one chunk. */
export function sctp(fields: PacketFields & { readonly chunk: number; readonly tag?: number }): Uint8Array {
  const { sport, dport, chunk, tag = 0 } = fields;
  const body = [chunk, 0, 0, 20, 0x11, 0x22, 0x33, 0x44, 0, 0, 0x80, 0, 0, 10, 0, 10, 0, 0, 0, 1];
  const header = [sport >> 8, sport & 255, dport >> 8, dport & 255, tag >>> 24, (tag >>> 16) & 255, (tag >>> 8) & 255];
  const packet = Uint8Array.from([...header, tag & 255, 0, 0, 0, 0, ...body]);
  const checksum = crc32c(packet);
  for (let i = 0; i < 4; i++) packet[8 + i] = (checksum >>> (8 * i)) & 255;
  return ip(fields, IPPROTO_SCTP, packet, -1);
}

function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  }
  return ~crc;
}
