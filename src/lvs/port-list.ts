// SPDX-License-Identifier: Apache-2.0
// Lists of ports and port ranges as text, `80,8080-8090`. Canonical text is sorted, with neighbours joined.

declare const tag: unique symbol;
type Brand<T, B extends string> = T & { readonly [tag]: B };

/** A list in canonical text. Made by {@link parsePortList}. */
export type PortList = Brand<string, 'PortList'>;

/** First and last port. */
export type PortRange = readonly [number, number];

const MAX_PORT = 0xffff;

/** Canonical form of `text`, or undefined when it is no list of ports. */
export function parsePortList(text: string): PortList | undefined {
  const ranges = text.split(',').map(parseRange);
  if (!ranges.every((range) => range !== undefined)) return undefined;
  const joined: [number, number][] = [];
  for (const [first, last] of ranges.sort(([a], [b]) => a - b)) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',') as PortList;
}

/** The ranges of a list, in order. */
export function portRanges(list: PortList): PortRange[] {
  return list.split(',').map((part) => {
    const [first, last = first] = part.split('-').map(Number);
    return [first, last];
  });
}

function parseRange(text: string): PortRange | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return first <= last && last <= MAX_PORT ? [first, last] : undefined;
}
