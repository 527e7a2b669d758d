// SPDX-License-Identifier: Apache-2.0
// The little world of the packet cases, the same on every stage: addresses are those of the captures from a real kernel.
// The client is in front of the director on one link, the servers are behind it on another.

import type { Family } from '../../src/packet/address.ts';
import type { Station } from './case.ts';

export const CLIENT: Readonly<Record<Family, string>> = { 4: '10.7.0.1', 6: '2001:db8::c' };
export const VIP: Readonly<Record<Family, string>> = { 4: '10.0.0.1', 6: '2001:db8::1' };

/** The director's own addresses on the two links. */
export const DIRECTOR_FRONT: Readonly<Record<Family, string>> = { 4: '10.7.0.254', 6: '2001:db8::fe' };
export const DIRECTOR_BACK: Readonly<Record<Family, string>> = { 4: '192.168.1.254', 6: '2001:db8:1::fe' };
/** Bits of the networks on both links. */
export const PREFIX: Readonly<Record<Family, number>> = { 4: 24, 6: 64 };

/** Servers are numbered from 1 to this. */
export const SERVERS = 16;

export function serverAddress(server: number, family: Family): string {
  return family === 4 ? `192.168.1.${server}` : `2001:db8:1::${server.toString(16)}`;
}

export function stationAddress(station: Station, family: Family): string {
  return station === 'client' ? CLIENT[family] : serverAddress(serverNumber(station), family);
}

export function stationMac(station: Station): string {
  return station === 'client' ? '02:00:00:00:00:0c' : `02:00:00:00:01:${hexOctet(serverNumber(station))}`;
}

/** All stations of one side of the director. */
export const FRONT: readonly Station[] = ['client'];
export const BACK: readonly Station[] = Array.from({ length: SERVERS }, (_, i): Station => `server ${i + 1}`);

function serverNumber(station: Station): number {
  return Number(station.slice('server '.length));
}

function hexOctet(value: number): string {
  return value.toString(16).padStart(2, '0');
}
