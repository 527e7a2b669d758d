// SPDX-License-Identifier: Apache-2.0
// Ways to break the header of a tunnel's packet, for the proof that the oracle sees it. Each harms an IPv4 packet in place and
// says whether it did; checksums are mended, but for those that are the harm, so that nothing else gives it away.

import { internetChecksum } from '../support/frames.ts';
import { isTunnelled } from './tunnel-frame.ts';

export interface Harm {
  readonly what: string;
  readonly harm: (packet: Uint8Array) => boolean;
}

const IPIP = 4;
const UDP = 17;
const GRE = 47;
const OUTER = 20;

/** A harm of the outer IPv4 header. */
function header(what: string, change: (packet: Uint8Array) => void): Harm {
  return of(what, undefined, (packet) => {
    change(packet);
    mend(packet);
  });
}

/** A harm of the packets of one protocol. */
function of(what: string, protocol: number | undefined, change: (packet: Uint8Array) => void): Harm {
  const harm = (packet: Uint8Array): boolean => {
    if (!isTunnelled(packet) || (protocol !== undefined && packet[9] !== protocol)) return false;
    change(packet);
    return true;
  };
  return { what, harm };
}

function mend(packet: Uint8Array): void {
  packet.set([0, 0], 10);
  const sum = internetChecksum(packet.subarray(0, OUTER));
  packet.set([sum >>> 8, sum & 255], 10);
}

let $turn = 0;

export const HARMS: readonly Harm[] = [
  header('another type of service', (packet) => {
    packet[1] ^= 0x10;
  }),
  header('congestion notified in the outer header', (packet) => {
    packet[1] |= 3;
  }),
  header('no DF', (packet) => {
    packet[6] &= ~0x40;
  }),
  header('an identification beside DF', (packet) => {
    packet[5] = 1;
  }),
  header('another hop', (packet) => {
    packet[8]++;
  }),
  header('another source', (packet) => {
    packet[15]--;
  }),
  header('a length that is one too long', (packet) => {
    packet[3]++;
  }),
  of('a wrong checksum of the outer header', undefined, (packet) => {
    packet[11] ^= 1;
  }),
  of('another byte inside', IPIP, (packet) => {
    packet[OUTER + 24] ^= 1;
  }),
  of('another GUE port', UDP, (packet) => {
    packet[OUTER + 3] ^= 1;
  }),
  of('a protocol that GUE does not carry', UDP, (packet) => {
    packet[OUTER + 9] = 41;
  }),
  of('a source port of GUE that the kernel would not choose', UDP, (packet) => {
    packet.set([4, 0, packet[OUTER + 2], packet[OUTER + 3], packet[OUTER + 4], packet[OUTER + 5], 0, 0], OUTER);
  }),
  of('another source port of GUE for each packet', UDP, (packet) => {
    packet.set([0x90, $turn++ & 255], OUTER);
  }),
  of('a wrong checksum of GUE', UDP, (packet) => {
    packet[OUTER + 7] ^= 1;
  }),
  of('another protocol in GRE', GRE, (packet) => {
    packet.set([0x86, 0xdd], OUTER + 2);
  }),
  of('a wrong checksum of GRE', GRE, (packet) => {
    if ((packet[OUTER] & 0x80) !== 0) packet[OUTER + 5] ^= 1;
  }),
];
