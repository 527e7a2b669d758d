// SPDX-License-Identifier: Apache-2.0
// Puts the packets of the cases into frames, and tells from a frame which station it is for.

import { hex } from '../support/frames.ts';
import { macBytes } from '../support/raw-frame.ts';
import type { Framing, Station } from './case.ts';
import type { Emitted } from './run-case.ts';
import { stationMac } from './stations.ts';

const HEADER = 14;
const TYPES: Readonly<Record<number, number>> = { 4: 0x0800, 6: 0x86dd };
const GROUPS = {
  broadcast: 'ff:ff:ff:ff:ff:ff',
  multicast: '01:00:5e:00:00:01',
  'another station': '02:00:00:00:00:77',
};

/** A frame from a station to the director, whose device on that side has the address `director`. */
export function frameFrom(from: Station, director: string, packet: Uint8Array, framing: Framing): Uint8Array {
  const { destination = 'director', padding = 0, type = TYPES[packet[0] >>> 4] } = framing;
  const mac = destination === 'director' ? director : GROUPS[destination];
  const header = [...macBytes(mac), ...macBytes(stationMac(from)), type >>> 8, type & 255];
  return Uint8Array.from([...header, ...packet, ...new Array<number>(padding).fill(0)]);
}

/** What a frame from the director's device `director` to one of the stations is; anything odd makes it a stray. */
export function emittedIn(frame: Uint8Array, director: string, stations: readonly Station[]): Emitted {
  const packet = frame.slice(HEADER);
  const to = hex(frame.subarray(0, 6));
  const from = hex(frame.subarray(6, 12));
  const station = stations.find((candidate) => macHex(stationMac(candidate)) === to);
  const type = (frame[12] << 8) | frame[13];
  if (station === undefined || from !== macHex(director) || type !== TYPES[packet[0] >>> 4]) {
    return { to: `stray ${hex(frame.subarray(0, HEADER))}`, packet };
  }
  return { to: station, packet };
}

function macHex(mac: string): string {
  return mac.replaceAll(':', '');
}
