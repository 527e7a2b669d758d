// SPDX-License-Identifier: Apache-2.0
// Packets that are not plain: with options and extension headers, cut into fragments, quoted in ICMP errors. Made from
// the packets of test/support/frames.ts, with nothing of the code under test.

import { internetChecksum, ip, type PacketFields } from '../support/frames.ts';

/** Makes something special of a packet. */
export type Variant = (packet: Uint8Array) => Uint8Array;

const NEXT_FRAGMENT = 44;
const NEXT_AUTHENTICATION = 51;

/** Leaves it plain. */
export const asItIs: Variant = (packet) => packet;

/** Puts options, a multiple of 4 bytes, into an IPv4 header. */
export function withOptions(...options: readonly number[]): Variant {
  return (packet) => {
    const result = Uint8Array.from([...packet.subarray(0, 20), ...options, ...packet.subarray(20)]);
    result[0] = 0x45 + options.length / 4;
    return withLengthAndChecksum(result);
  };
}

/** Puts extension headers of 8 bytes (authentication: 16) between the IPv6 header and what follows. */
export function withExtensions(...types: readonly number[]): Variant {
  return (packet) => {
    const next = [...types, packet[6]];
    const extensions = types.flatMap((type, i) => {
      const isAuthentication = type === NEXT_AUTHENTICATION;
      const size = isAuthentication ? 16 : 8;
      return [next[i + 1], isAuthentication ? 2 : 0, ...new Array<number>(size - 2).fill(0)];
    });
    const result = Uint8Array.from([...packet.subarray(0, 40), ...extensions, ...packet.subarray(40)]);
    result[6] = next[0];
    return withPayloadLength(result);
  };
}

/** The packet in two fragments, the first with `size` bytes of its payload (a multiple of 8). */
export function fragments(packet: Uint8Array, size: number): [Uint8Array, Uint8Array] {
  return packet[0] >>> 4 === 4 ? fragmentsIpv4(packet, size) : fragmentsIpv6(packet, size);
}

/** Overwrites bytes and leaves checksums as they are: `[offset, byte]`. */
export function damaged(packet: Uint8Array, ...changes: readonly (readonly [number, number])[]): Uint8Array {
  const result = packet.slice();
  for (const [offset, byte] of changes) result[offset] = byte;
  return result;
}

/** The IPv4 packet with a header checksum that is right. */
export function withHeaderChecksum(packet: Uint8Array): Uint8Array {
  const result = damaged(packet, [10, 0], [11, 0]);
  const sum = internetChecksum(result.subarray(0, (result[0] & 15) * 4));
  return damaged(result, [10, sum >>> 8], [11, sum & 255]);
}

export interface ErrorFields {
  readonly src: string;
  readonly dst: string;
  readonly about: Uint8Array;
}

/** ICMP or ICMPv6 "port unreachable" about a packet; its identification is of no meaning. */
export function portUnreachable(fields: ErrorFields): Uint8Array {
  return isIpv6(fields.about) ? icmpv6Error(fields, 1, 4) : icmpError(fields, 3, 3);
}

/** ICMP "host unreachable" or ICMPv6 "address unreachable" about a packet; its identification is of no meaning. */
export function hostUnreachable(fields: ErrorFields): Uint8Array {
  return isIpv6(fields.about) ? icmpv6Error(fields, 1, 3) : icmpError(fields, 3, 1);
}

/** ICMP or ICMPv6 "time exceeded in transit" about a packet; its identification is of no meaning. */
export function timeExceeded(fields: ErrorFields): Uint8Array {
  return isIpv6(fields.about) ? icmpv6Error(fields, 3, 0) : icmpError(fields, 11, 0);
}

function icmpError({ src, dst, about }: ErrorFields, type: number, code: number): Uint8Array {
  const message = Uint8Array.from([type, code, 0, 0, 0, 0, 0, 0, ...about.subarray(0, 576 - 28)]);
  const sum = internetChecksum(message);
  message.set([sum >>> 8, sum & 255], 2);
  // RFC 1812 §4.3.2.5: precedence "internetwork control"; errors may be fragmented.
  const packet = ip(errorFields(src, dst), 1, message, -1);
  return withHeaderChecksum(damaged(packet, [1, 0xc0], [6, 0]));
}

function icmpv6Error({ src, dst, about }: ErrorFields, type: number, code: number): Uint8Array {
  const message = Uint8Array.from([type, code, 0, 0, 0, 0, 0, 0, ...about.subarray(0, 1280 - 48)]);
  return ip(errorFields(src, dst), 58, message, 2);
}

function errorFields(src: string, dst: string): PacketFields {
  return { src, dst, sport: 0, dport: 0, id: 0 };
}

function fragmentsIpv4(packet: Uint8Array, size: number): [Uint8Array, Uint8Array] {
  const header = packet.subarray(0, 20);
  const piece = (from: number, to: number, flags: number): Uint8Array => {
    const result = Uint8Array.from([...header, ...packet.subarray(20 + from, 20 + to)]);
    const field = (flags << 13) | (from / 8);
    return withLengthAndChecksum(damaged(result, [6, field >>> 8], [7, field & 255]));
  };
  return [piece(0, size, 1), piece(size, packet.length, 0)];
}

function fragmentsIpv6(packet: Uint8Array, size: number): [Uint8Array, Uint8Array] {
  const piece = (from: number, to: number, more: number): Uint8Array => {
    const field = from | more;
    const header = [packet[6], 0, field >>> 8, field & 255, 0, 0, 0, 7];
    const result = Uint8Array.from([...packet.subarray(0, 40), ...header, ...packet.subarray(40 + from, 40 + to)]);
    result[6] = NEXT_FRAGMENT;
    return withPayloadLength(result);
  };
  return [piece(0, size, 1), piece(size, packet.length, 0)];
}

function withLengthAndChecksum(packet: Uint8Array): Uint8Array {
  return withHeaderChecksum(damaged(packet, [2, packet.length >>> 8], [3, packet.length & 255]));
}

function withPayloadLength(packet: Uint8Array): Uint8Array {
  const length = packet.length - 40;
  return damaged(packet, [4, length >>> 8], [5, length & 255]);
}

function isIpv6(packet: Uint8Array): boolean {
  return packet[0] >>> 4 === 6;
}
