// SPDX-License-Identifier: Apache-2.0
// Less common headers for tests: options of IPv4 and extension headers of IPv6, put into packets of frames.ts.

import { internetChecksum } from './frames.ts';

/** The IPv4 packet with `options` (a multiple of 4 bytes, at most 40) in its header. */
export function withOptions(packet: Uint8Array, options: Uint8Array): Uint8Array {
  const result = Uint8Array.from([...packet.subarray(0, 20), ...options, ...packet.subarray(20)]);
  const headerLength = 20 + options.length;
  result[0] = 0x40 | (headerLength / 4);
  setUint16(result, 2, result.length);
  setUint16(result, 10, 0);
  setUint16(result, 10, internetChecksum(result.subarray(0, headerLength)));
  return result;
}

/** One extension header of IPv6. */
export interface Extension {
  /** Its protocol number: 0, 43, 44, 51 or 60. */
  readonly kind: number;
  /** Its bytes, of which the first, "next header", is filled in. */
  readonly bytes: Uint8Array;
}

/** An extension header of the least size that its kind has, and `units` of 8 bytes (authentication: 4) more. */
export function extension(kind: number, units = 0): Extension {
  if (kind === 44) return { kind, bytes: new Uint8Array(8) };
  const unit = kind === 51 ? 4 : 8;
  const bytes = new Uint8Array((kind === 51 ? 12 : 8) + units * unit);
  bytes[1] = kind === 51 ? bytes.length / 4 - 2 : units;
  return { kind, bytes };
}

/** The IPv6 packet with a chain of extension headers before its transport header. */
export function withExtensions(packet: Uint8Array, chain: readonly Extension[]): Uint8Array {
  const kinds = [...chain.map(({ kind }) => kind), packet[6]];
  const middle = chain.flatMap(({ bytes }, i) => [kinds[i + 1], ...bytes.subarray(1)]);
  const result = Uint8Array.from([...packet.subarray(0, 40), ...middle, ...packet.subarray(40)]);
  result[6] = kinds[0];
  setUint16(result, 4, result.length - 40);
  return result;
}

/** Makes the IPv4 header checksum of a frame right, as far as its header length lets one. */
export function mendHeader(bytes: Uint8Array): void {
  const length = Math.min((bytes[14] & 15) * 4, bytes.length - 14);
  if (length < 12) return;
  bytes.set([0, 0], 24);
  let sum = 0;
  for (let i = 0; i < length; i += 2) sum += (bytes[14 + i] << 8) | (bytes[15 + i] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.set([(~sum >>> 8) & 255, ~sum & 255], 24);
}

function setUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 255;
}
