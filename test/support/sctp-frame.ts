// SPDX-License-Identifier: Apache-2.0
// SCTP packets of one chunk for tests, made independently of the code under test (RFC 9260 §3, CRC32c bit by bit).

import { ip, type PacketFields } from './frames.ts';

const IPPROTO_SCTP = 132;

/** Chunk types by name. */
export const CHUNKS = {
  DATA: 0,
  INIT: 1,
  'INIT ACK': 2,
  ABORT: 6,
  SHUTDOWN: 7,
  'SHUTDOWN ACK': 8,
  ERROR: 9,
  'COOKIE ECHO': 10,
  'COOKIE ACK': 11,
  'SHUTDOWN COMPLETE': 14,
} as const;

export type ChunkName = keyof typeof CHUNKS;

export function sctp(fields: PacketFields & { readonly chunk: ChunkName }): Uint8Array {
  const { sport, dport, chunk } = fields;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, sport);
  view.setUint16(2, dport);
  view.setUint8(12, CHUNKS[chunk]);
  view.setUint16(14, 4);
  view.setUint32(8, crc32c(bytes), true);
  return ip(fields, IPPROTO_SCTP, bytes, -1);
}

function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
