// SPDX-License-Identifier: Apache-2.0
// How many frames went over the devices of a lab's hosts, by the kernel's counters: the proof of the path that packets take.
// Counters are those of all frames, ARP and neighbour discovery included.

import { readFileSync } from 'node:fs';
import { inNamespace } from '../linux/netns.ts';

/** A device of a host, under the name that a picture gives it. */
export interface CountedDevice {
  readonly name: string;
  readonly namespace: string;
  readonly device: string;
}

export interface FrameCount {
  readonly received: number;
  readonly sent: number;
}

export type FrameCounts = Readonly<Record<string, FrameCount>>;

/** Counts of the devices since they were made, by name. */
export function readFrames(devices: readonly CountedDevice[]): FrameCounts {
  return Object.fromEntries(
    devices.map(({ name, namespace, device }) => {
      const text = inNamespace(namespace, () => readFileSync('/proc/thread-self/net/dev', 'latin1'));
      return [name, parseFrames(text, device)];
    }),
  );
}

/** The line of a device in /proc/net/dev. */
export function parseFrames(text: string, device: string): FrameCount {
  const line = text.split('\n').find((one) => one.trimStart().startsWith(`${device}:`));
  if (line === undefined) throw new RangeError(`no device '${device}' in /proc/net/dev`);
  //  received: bytes packets errs drop fifo frame compressed multicast, sent: bytes packets …
  const fields = line
    .slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/);
  return { received: Number(fields[1]), sent: Number(fields[9]) };
}

/** What happened between two readings. */
export function framesBetween(before: FrameCounts, after: FrameCounts): FrameCounts {
  return Object.fromEntries(
    Object.entries(after).map(([name, { received, sent }]) => [
      name,
      { received: received - before[name].received, sent: sent - before[name].sent },
    ]),
  );
}

/** A stop on the way of a packet: hosts that count together, and what of theirs is counted. */
export interface Stop {
  readonly label: string;
  readonly names: readonly string[];
  readonly counts: 'received' | 'sent' | 'none';
}

/** Sum of a stop's frames. */
export function framesAt(counts: FrameCounts, { names, counts: which }: Stop): number {
  return which === 'none' ? 0 : names.reduce((sum, name) => sum + counts[name][which], 0);
}

/** Ways of packets below each other, each stop with its frames under it, stops of the same place aligned. */
export function drawWays(
  ways: readonly (readonly [title: string, stops: readonly Stop[]])[],
  counts: FrameCounts,
): string {
  const columns = Math.max(...ways.map(([, stops]) => stops.length));
  const cells = ways.map(([, stops]) =>
    stops.map((stop) => ({
      label: stop.label,
      count: stop.counts === 'none' ? '' : stop.names.map((name) => counts[name][stop.counts as 'sent']).join(', '),
    })),
  );
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...cells.map((row) => Math.max(row[i]?.label.length ?? 0, row[i]?.count.length ?? 0))),
  );
  const titles = Math.max(...ways.map(([title]) => title.length), 'frames'.length);
  return ways
    .flatMap(([title, stops], row) => {
      const last = stops.length - 1;
      const labels = cells[row].map(({ label }, i) => (i === last ? label : `${label.padEnd(widths[i])} ──→ `));
      const numbers = cells[row].map(({ count }, i) => (i === last ? count : `${count.padEnd(widths[i])}     `));
      return [
        `   ${title.padEnd(titles)}  ${labels.join('')}`,
        `   ${'frames'.padEnd(titles)}  ${numbers.join('').trimEnd()}`,
      ];
    })
    .join('\n');
}
