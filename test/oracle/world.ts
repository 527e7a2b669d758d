// SPDX-License-Identifier: Apache-2.0
// The network that both sides of the oracle live in, the kernel in User Mode Linux and the director: a router in front
// through which every client comes, servers behind on one link, virtual addresses that the director holds. MAC addresses
// are fixed, so that whole frames can be compared.

import type { Family } from '../../src/packet/address.ts';
import { macBytes } from '../support/raw-frame.ts';

/** Where packets enter and leave the director. */
export type Side = 'front' | 'back';

export interface SideOfWorld {
  /** The director's device. */
  readonly mac: string;
  readonly address: Readonly<Record<Family, string>>;
}

export const SIDES: Readonly<Record<Side, SideOfWorld>> = {
  front: { mac: '02:00:00:00:00:d1', address: { 4: '10.200.0.1', 6: '2001:db8:f::1' } },
  back: { mac: '02:00:00:00:00:d2', address: { 4: '192.168.1.254', 6: '2001:db8:1::fe' } },
};
export const SIDE_NAMES: readonly Side[] = ['front', 'back'];

/** Bits of the networks on both links. */
export const PREFIX: Readonly<Record<Family, number>> = { 4: 24, 6: 64 };
/** MTUs of the director's devices. */
export type Mtus = Readonly<Record<Side, number>>;
export const MTUS: Mtus = { front: 1500, back: 1500 };
export const FAMILIES: readonly Family[] = [4, 6];

/** The default gateway: all clients are behind it. */
export const ROUTER = {
  mac: '02:00:00:00:00:0c',
  address: { 4: '10.200.0.2', 6: '2001:db8:f::2' } as Readonly<Record<Family, string>>,
};

/** Servers are numbered from 1 to this. */
export const SERVERS = 8;
/** A server number whose address is one of the director's own. */
export const LOCAL_SERVER = 9;
/** A router in the servers' network. */
export const INNER_ROUTER: Readonly<Record<Family, string>> = { 4: '192.168.1.99', 6: '2001:db8:1::99' };
export const VIRTUALS = 3;
export const CLIENTS = 24;

export function virtualAddress(number: number, family: Family): string {
  return family === 4 ? `10.0.0.${number}` : `2001:db8::${number}`;
}

/** Clients are spread over a few networks, so that netmasks and hashes have something to tell apart. */
export function clientAddress(number: number, family: Family): string {
  return family === 4 ? `10.7.${number % 3}.${number}` : `2001:db8:7:${number % 3}::${number.toString(16)}`;
}

export function serverAddress(number: number, family: Family): string {
  return family === 4 ? `192.168.1.${number}` : `2001:db8:1::${number}`;
}

export function serverMac(number: number): string {
  return `02:00:00:00:01:${number.toString(16).padStart(2, '0')}`;
}

/** The addresses that the director has beside those of its devices, all on its loopback device. */
export function ownAddresses(family: Family): string[] {
  const virtuals = Array.from({ length: VIRTUALS }, (_, i) => virtualAddress(i + 1, family));
  return [...virtuals, serverAddress(LOCAL_SERVER, family)];
}

const TYPES: Readonly<Record<number, readonly number[]>> = { 4: [0x08, 0x00], 6: [0x86, 0xdd] };

/** The frame in which a packet comes to the director from that side. */
export function frameInto(side: Side, packet: Uint8Array): Uint8Array {
  const from = side === 'front' ? ROUTER.mac : serverMac(1);
  return Uint8Array.from([...macBytes(SIDES[side].mac), ...macBytes(from), ...TYPES[packet[0] >>> 4], ...packet]);
}
