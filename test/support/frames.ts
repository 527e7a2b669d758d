// SPDX-License-Identifier: Apache-2.0
// Frames for tests, made and read independently of the code under test: plain arithmetic on byte arrays, checksums
// computed whole.

import { type Address, addressFamily, addressWords } from '../../src/packet/address.ts';

export interface PacketFields {
  readonly src: string;
  readonly dst: string;
  readonly sport: number;
  readonly dport: number;
  readonly ttl?: number;
  readonly id?: number;
  /** Type of service, or traffic class. */
  readonly tos?: number;
  /** IPv4: false may be cut into fragments. */
  readonly df?: boolean;
  readonly payload?: Uint8Array;
}

export interface TcpFields extends PacketFields {
  /** Letters of S, A, F, R, P. */
  readonly flags: string;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
}

export interface UdpFields extends PacketFields {
  /** False sends the checksum 0, "none". */
  readonly checksum?: boolean;
}

export interface SctpFields extends PacketFields {
  /** Chunk types in turn. */
  readonly chunks: readonly number[];
}

/** Types of SCTP's chunks (RFC 9260 §3.2). */
export const CHUNKS = {
  DATA: 0,
  INIT: 1,
  'INIT ACK': 2,
  SACK: 3,
  ABORT: 6,
  SHUTDOWN: 7,
  'SHUTDOWN ACK': 8,
  ERROR: 9,
  'COOKIE ECHO': 10,
  'COOKIE ACK': 11,
  'SHUTDOWN COMPLETE': 14,
} as const;

export type ChunkName = keyof typeof CHUNKS;

const FLAG_BITS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16 };

/** Ethernet header for tests: locally administered addresses that mean nothing. */
const CLIENT_MAC = [2, 0, 0, 0, 0, 0xc];
const DIRECTOR_MAC = [2, 0, 0, 0, 0, 0xd];

/** The IP packet as a frame from client to director. */
export function frame(packet: Uint8Array): Uint8Array {
  const type = packet[0] >>> 4 === 6 ? [0x86, 0xdd] : [0x08, 0x00];
  return Uint8Array.from([...DIRECTOR_MAC, ...CLIENT_MAC, ...type, ...packet]);
}

export function tcp(fields: TcpFields): Uint8Array {
  const flags = [...fields.flags].reduce((bits, letter) => bits | FLAG_BITS[letter], 0);
  const header = [
    ...be16(fields.sport),
    ...be16(fields.dport),
    ...be32(fields.seq ?? 1000),
    ...be32(fields.ack ?? 0),
    0x50,
    flags,
    ...be16(fields.window ?? 0xffff),
    0,
    0,
    0,
    0,
  ];
  return ip(fields, 6, Uint8Array.from([...header, ...(fields.payload ?? [])]), 16);
}

export function udp(fields: UdpFields): Uint8Array {
  const payload = fields.payload ?? new Uint8Array(0);
  const header = [...be16(fields.sport), ...be16(fields.dport), ...be16(8 + payload.length), 0, 0];
  const checksumAt = fields.checksum === false ? -1 : 6;
  return ip(fields, 17, Uint8Array.from([...header, ...payload]), checksumAt);
}

/** An SCTP packet with chunks of these types, each with a word of nothing, and the payload behind them. */
export function sctp(fields: SctpFields): Uint8Array {
  const chunks = fields.chunks.flatMap((type) => [type, 0, 0, 8, 0, 0, 0, 1]);
  const header = [...be16(fields.sport), ...be16(fields.dport), 0, 0, 0, 9, 0, 0, 0, 0];
  const transport = Uint8Array.from([...header, ...chunks, ...(fields.payload ?? [])]);
  new DataView(transport.buffer).setUint32(8, slowCrc32c(transport), true);
  return ip(fields, 132, transport, -1);
}

/** RFC 9260 appendix A, bit by bit. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0x82f63b78);
  }
  return ~crc >>> 0;
}

/** An IP packet around `transport`, whose checksum at `checksumAt` (-1: none) is computed here. */
export function ip(fields: PacketFields, protocol: number, transport: Uint8Array, checksumAt: number): Uint8Array {
  const src = addressBytes(fields.src);
  const dst = addressBytes(fields.dst);
  const body = transport.slice();
  if (checksumAt >= 0) {
    const pseudo = [...src, ...dst, ...be32(body.length), 0, 0, 0, protocol];
    let sum = internetChecksum(Uint8Array.from([...pseudo, ...body]));
    if (sum === 0 && protocol === 17) sum = 0xffff;
    body.set(be16(sum), checksumAt);
  }
  if (src.length === 16) {
    const tos = fields.tos ?? 0;
    const head = [
      0x60 | (tos >>> 4),
      (tos & 15) << 4,
      0,
      0,
      ...be16(body.length),
      protocol,
      fields.ttl ?? 64,
      ...src,
      ...dst,
    ];
    return Uint8Array.from([...head, ...body]);
  }
  const head = Uint8Array.from([
    0x45,
    fields.tos ?? 0,
    ...be16(20 + body.length),
    ...be16(fields.id ?? 1),
    fields.df === false ? 0 : 0x40,
    0,
    fields.ttl ?? 64,
    protocol,
    0,
    0,
    ...src,
    ...dst,
  ]);
  head.set(be16(internetChecksum(head)), 10);
  return Uint8Array.from([...head, ...body]);
}

/** RFC 1071, the slow and obvious way. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** What is wrong with the checksums of an IP packet that carries TCP, UDP or ICMP, or undefined. */
export function checksumFault(packet: Uint8Array): string | undefined {
  const isIpv6 = packet[0] >>> 4 === 6;
  const headerLength = isIpv6 ? 40 : (packet[0] & 15) * 4;
  const total = isIpv6 ? 40 + ((packet[4] << 8) | packet[5]) : (packet[2] << 8) | packet[3];
  if (!isIpv6 && internetChecksum(packet.subarray(0, headerLength)) !== 0) return 'IPv4 header checksum';
  const protocol = isIpv6 ? packet[6] : packet[9];
  const transport = packet.subarray(headerLength, total);
  if (protocol === 17 && transport[6] === 0 && transport[7] === 0) return isIpv6 ? 'UDP without checksum' : undefined;
  const addresses = isIpv6 ? packet.subarray(8, 40) : packet.subarray(12, 20);
  const pseudo = protocol === 1 ? [] : [...addresses, ...be32(transport.length), 0, 0, 0, protocol];
  return internetChecksum(Uint8Array.from([...pseudo, ...transport])) === 0 ? undefined : `checksum of ${protocol}`;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function addressBytes(text: string): number[] {
  const address = text as Address;
  const words = addressWords(address);
  return addressFamily(address) === 4 ? be32(words[0]) : words.flatMap(be32);
}

function be16(value: number): number[] {
  return [(value >>> 8) & 255, value & 255];
}

function be32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
