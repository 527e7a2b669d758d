// SPDX-License-Identifier: Apache-2.0
// When two sides of the oracle count as the same. What may differ is all here, and small:
// - the identification of IPv4 packets that carry ICMP (their maker chooses it), with the header checksum over it;
// - of tunnels and of fragments what tunnel-frame.ts says;
// - the MTU that a client is told because of a router's error about a tunnel (see docs/compatibility.md);
// - a second in the time that an entry has left, since the two clocks are read at different moments, and what reading took;
// - the time that is left of an entry that was put off: the kernel counts it from when its timer wheel came round;
// - the order of connection listings, which in the kernel is that of a hash with a random seed.

import { addressBytes, checksumFault, fromHex, hex } from '../support/frames.ts';
import type { Emission, Listing, StepOutcome } from './outcome.ts';
import {
  type FlowPorts,
  type Identifications,
  isFragment,
  isTunnelled,
  joinTunnels,
  wipeFragment,
  wipeTunnel,
} from './tunnel-frame.ts';
import { SIDES } from './world.ts';

export interface Disagreement {
  readonly what: string;
  readonly kernel: string;
  readonly director: string;
}

const ETH_HLEN = 14;

/** What both sides have shown so far of what each may choose for itself. */
export class Choices {
  readonly kernel: FlowPorts = new Map();
  readonly director: FlowPorts = new Map();
}

/** Where two outcomes of one step differ, if they do. */
export function differenceOf(
  kernel: StepOutcome,
  director: StepOutcome,
  choices: Choices,
  tookMs = 0,
): Disagreement | undefined {
  if (kernel.kind === 'packet' && director.kind === 'packet') {
    const sent = fromHex(kernel.packet);
    const tellsMtu = isAboutTunnel(sent);
    const show = (emissions: readonly Emission[], flows: FlowPorts): string =>
      showFrames(emissions, flows, tellsMtu, isFragment(sent));
    return difference(
      'frames that leave',
      show(kernel.emissions, choices.kernel),
      show(director.emissions, choices.director),
    );
  }
  if (kernel.kind === 'command' && director.kind === 'command') {
    return difference('command', showResult(kernel), showResult(director));
  }
  if (kernel.kind === 'look' && director.kind === 'look')
    return differenceOfListings(kernel.listings, director.listings, tookMs / 1000);
  return undefined;
}

function difference(what: string, kernel: string, director: string): Disagreement | undefined {
  return kernel === director ? undefined : { what, kernel, director };
}

function showFrames(
  emissions: readonly Emission[],
  flows: FlowPorts,
  tellsMtu: boolean,
  cameInFragments: boolean,
): string {
  if (emissions.length === 0) return 'nothing';
  const ids: Identifications = new Map();
  const shown = emissions.map(
    ({ side, frame }) => `${side} ${side === 'local' ? frame : comparable(frame, flows, ids, tellsMtu)}`,
  );
  return (cameInFragments ? joinTunnels(shown) : shown).join('\n');
}

function showResult({ status, output }: { readonly status: number; readonly output: string }): string {
  return `${output}[exit ${status}]`;
}

/** The frame without what may differ; a broken checksum would hide in that, so it is looked at here. */
function comparable(frame: string, flows: FlowPorts, ids: Identifications, tellsMtu: boolean): string {
  const bytes = fromHex(frame);
  const packet = bytes.subarray(ETH_HLEN);
  if (isTunnelled(packet)) {
    const fault = wipeTunnel(packet, flows, ids);
    return `${hex(bytes)}${fault}`;
  }
  wipeFragment(packet, ids);
  if (packet[0] >>> 4 !== 4 || packet[9] !== 1) return hex(bytes);
  const fault = checksumFault(packet);
  packet.fill(0, 4, 6);
  packet.fill(0, 10, 12);
  if (tellsMtu) {
    packet.fill(0, 22, 24);
    packet.fill(0, 26, 28);
  }
  return `${hex(bytes)}${fault === undefined ? '' : ` (wrong ${fault})`}`;
}

/** Whether a router tells the director itself of an MTU. */
function isAboutTunnel(packet: Uint8Array): boolean {
  const own = addressBytes(SIDES.back.address[4]).every((octet, i) => packet[16 + i] === octet);
  return packet[0] === 0x45 && packet[9] === 1 && own && packet[20] === 3 && packet[21] === 4;
}

function differenceOfListings(
  kernel: readonly Listing[],
  director: readonly Listing[],
  took: number,
): Disagreement | undefined {
  for (const [i, { name, text }] of kernel.entries()) {
    const ours = director[i].text;
    const isSame = name.startsWith('-Lnc') ? sameConnections(text, ours, took) : text === ours;
    if (!isSame) return { what: `ipvsadm ${name}`, kernel: sorted(name, text), director: sorted(name, ours) };
  }
  return undefined;
}

function sorted(name: string, text: string): string {
  return name.startsWith('-Lnc') ? text.split('\n').sort().join('\n') : text;
}

function sameConnections(kernel: string, director: string, took: number): boolean {
  const theirs = rowsOf(kernel);
  const ours = rowsOf(director);
  if (theirs.length !== ours.length) return false;
  return theirs.every(({ key, seconds }, i) => key === ours[i].key && isClose(seconds, ours[i].seconds, took, key));
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

function isClose(theirs: number, ours: number, took: number, key: string): boolean {
  const difference = Math.abs(theirs - ours);
  return (
    difference <= 1 ||
    (theirs < ours && difference <= 1 + took) ||
    (isTemplate(key) && theirs <= 60 && difference <= 60 / 8)
  );
}

function isTemplate(key: string): boolean {
  return /\s(NONE|ASSURED)\s/.test(key);
}
