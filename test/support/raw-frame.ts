// SPDX-License-Identifier: Apache-2.0
// Ethernet frames written out by hand, independent of src/packet, for tests of what takes frames apart. No checksum is
// filled in: whoever looks at one builds its frames otherwise.

import { type Address, addressFamily, addressWords } from '../../src/packet/address.ts';

export interface RawFrame {
  readonly destinationMac: string;
  readonly sourceMac?: string;
  readonly source: Address;
  readonly destination: Address;
  /** 6 TCP, 17 UDP. */
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Bytes of 802.1Q tag in front of the type. */
  readonly vlan?: number;
  /** IPv4: flags and offset. */
  readonly fragment?: number;
  /** IPv4: options, a multiple of 4 bytes. */
  readonly options?: number;
  /** IPv6: types of the headers between, each of 8 bytes (authentication: 16). */
  readonly extensions?: readonly number[];
  readonly payload?: number;
}

const AUTHENTICATION = 51;

export function rawFrame(frame: RawFrame): Uint8Array {
  const family = addressFamily(frame.source);
  const transport = transportHeader(frame);
  const network = family === 4 ? ipv4(frame, transport) : ipv6(frame, transport);
  const type = family === 4 ? [0x08, 0x00] : [0x86, 0xdd];
  const tag = frame.vlan === undefined ? [] : [0x81, 0x00, frame.vlan >> 8, frame.vlan & 255];
  return Uint8Array.from([
    ...macBytes(frame.destinationMac),
    ...macBytes(frame.sourceMac ?? '02:00:00:00:00:99'),
    ...tag,
    ...type,
    ...network,
    ...transport,
  ]);
}

export function macBytes(mac: string): number[] {
  return mac.split(':').map((octet) => Number.parseInt(octet, 16));
}

function transportHeader(frame: RawFrame): number[] {
  const payload = new Array<number>(frame.payload ?? 0).fill(0x61);
  const ports = [...u16(frame.sourcePort), ...u16(frame.destinationPort)];
  if (frame.protocol === 6) return [...ports, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0, ...payload];
  return [...ports, ...u16(8 + payload.length), 0, 0, ...payload];
}

function ipv4(frame: RawFrame, transport: readonly number[]): number[] {
  const options = new Array<number>(frame.options ?? 0).fill(1);
  const header = 20 + options.length;
  const length = header + transport.length;
  const fixed = [
    0x40 | (header / 4),
    0,
    ...u16(length),
    0,
    1,
    ...u16(frame.fragment ?? 0x4000),
    64,
    frame.protocol,
    0,
    0,
  ];
  return [...fixed, ...addressOctets(frame.source), ...addressOctets(frame.destination), ...options];
}

function ipv6(frame: RawFrame, transport: readonly number[]): number[] {
  const types = frame.extensions ?? [];
  const next = [...types, frame.protocol];
  const extensions = types.flatMap((type, i) => {
    const size = type === AUTHENTICATION ? 16 : 8;
    const units = type === AUTHENTICATION ? size / 4 - 2 : size / 8 - 1;
    return [next[i + 1], units, ...new Array<number>(size - 2).fill(0)];
  });
  const length = extensions.length + transport.length;
  const addresses = [...addressOctets(frame.source), ...addressOctets(frame.destination)];
  return [0x60, 0, 0, 0, ...u16(length), next[0], 64, ...addresses, ...extensions];
}

function addressOctets(address: Address): number[] {
  const words = addressFamily(address) === 4 ? [addressWords(address)[0]] : addressWords(address);
  return words.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]);
}

function u16(value: number): number[] {
  return [value >> 8, value & 255];
}
