// SPDX-License-Identifier: Apache-2.0
// ICMP messages for tests, made and read independently of the code under test.

import { addressBytes, internetChecksum } from './frames.ts';

export interface IcmpFields {
  readonly src: string;
  readonly dst: string;
  readonly type: number;
  readonly code?: number;
  /** Second word of the header, an MTU for one. */
  readonly rest?: number;
  /** What follows the header: the packet that an error is about. */
  readonly about: Uint8Array;
  readonly ttl?: number;
}

/** ICMP or ICMPv6, by the addresses. */
export function icmp({ src, dst, type, code = 0, rest = 0, about, ttl = 64 }: IcmpFields): Uint8Array {
  const message = Uint8Array.from([
    type,
    code,
    0,
    0,
    rest >>> 24,
    (rest >>> 16) & 255,
    (rest >>> 8) & 255,
    rest & 255,
    ...about,
  ]);
  const ends = [...addressBytes(src), ...addressBytes(dst)];
  const isIpv6 = ends.length === 32;
  const pseudo = isIpv6 ? [...ends, 0, 0, message.length >>> 8, message.length & 255, 0, 0, 0, 58] : [];
  put16(message, 2, internetChecksum(Uint8Array.from([...pseudo, ...message])));
  if (isIpv6) {
    return Uint8Array.from([0x60, 0, 0, 0, message.length >>> 8, message.length & 255, 58, ttl, ...ends, ...message]);
  }
  const length = 20 + message.length;
  const header = Uint8Array.from([0x45, 0, length >>> 8, length & 255, 0, 1, 0, 0, ttl, 1, 0, 0, ...ends]);
  put16(header, 10, internetChecksum(header));
  return Uint8Array.from([...header, ...message]);
}

export interface IcmpError {
  readonly type: number;
  readonly code: number;
  readonly rest: number;
  /** The packet that it is about, as far as it is quoted. */
  readonly about: Uint8Array;
}

/** Reads an ICMP error without looking at checksums. */
export function readIcmp(packet: Uint8Array): IcmpError {
  const at = packet[0] >>> 4 === 4 ? 20 : 40;
  const view = new DataView(packet.buffer, packet.byteOffset);
  return { type: packet[at], code: packet[at + 1], rest: view.getUint32(at + 4), about: packet.slice(at + 8) };
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 255;
}
