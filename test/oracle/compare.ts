// SPDX-License-Identifier: Apache-2.0
// When two sides of the oracle count as the same. What may differ is all here, and small:
// - the identification of IPv4 packets that carry ICMP (their maker chooses it), with the header checksum over it;
// - a second in the time that an entry has left, since the two clocks are read at different moments;
// - the time that is left of an entry that was put off: the kernel counts it from when its timer wheel came round;
// - the order of connection listings, which in the kernel is that of a hash with a random seed.

import { checksumFault, fromHex, hex } from '../support/frames.ts';
import type { Emission } from './outcome.ts';

export interface Disagreement {
  readonly what: string;
  readonly kernel: string;
  readonly director: string;
}

const ETH_HLEN = 14;

export function differenceOfFrames(
  what: string,
  kernel: readonly Emission[],
  director: readonly Emission[],
): Disagreement | undefined {
  const show = (emissions: readonly Emission[]): string =>
    emissions.length === 0 ? 'nothing' : emissions.map(({ side, frame }) => `${side} ${comparable(frame)}`).join('\n');
  const sides = { what, kernel: show(kernel), director: show(director) };
  return sides.kernel === sides.director ? undefined : sides;
}

/** The frame without what may differ; a broken checksum would hide in that, so it is looked at here. */
function comparable(frame: string): string {
  const bytes = fromHex(frame);
  const packet = bytes.subarray(ETH_HLEN);
  if (packet[0] >>> 4 !== 4 || packet[9] !== 1) return frame;
  const fault = checksumFault(packet);
  packet.fill(0, 4, 6);
  packet.fill(0, 10, 12);
  return `${hex(bytes)}${fault === undefined ? '' : ` (wrong ${fault})`}`;
}

export function differenceOfListing(name: string, kernel: string, director: string): Disagreement | undefined {
  const isSame = name.startsWith('-Lnc') ? sameConnections(kernel, director) : kernel === director;
  return isSame
    ? undefined
    : { what: `ipvsadm ${name}`, kernel: sorted(name, kernel), director: sorted(name, director) };
}

function sorted(name: string, text: string): string {
  return name.startsWith('-Lnc') ? text.split('\n').sort().join('\n') : text;
}

function sameConnections(kernel: string, director: string): boolean {
  const theirs = rowsOf(kernel);
  const ours = rowsOf(director);
  if (theirs.length !== ours.length) return false;
  return theirs.every(({ key, seconds }, i) => key === ours[i].key && isClose(seconds, ours[i].seconds, key));
}

interface Row {
  /** The row without its time. */
  readonly key: string;
  readonly seconds: number;
}

function rowsOf(text: string): Row[] {
  return text
    .split('\n')
    .map((line) => {
      const match = /^(\S+ +)(\d+):(\d\d)(.*)$/.exec(line);
      if (match === null) return { key: line, seconds: 0 };
      return { key: `${match[1]}${match[4]}`, seconds: Number(match[2]) * 60 + Number(match[3]) };
    })
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.seconds - b.seconds));
}

function isClose(theirs: number, ours: number, key: string): boolean {
  const difference = Math.abs(theirs - ours);
  return difference <= 1 || (isTemplate(key) && theirs <= 60 && difference <= 60 / 8);
}

function isTemplate(key: string): boolean {
  return /\s(NONE|ASSURED)\s/.test(key);
}
