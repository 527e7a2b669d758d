// SPDX-License-Identifier: Apache-2.0
// The order of ipvsadm's listings. Comparisons are signed 32-bit differences, as the original computes them, so that
// 192.168.0.0 comes before 10.0.0.0. That is no real order (a < b < c does not make a < c), so that the result depends
// on how it is sorted; hence glibc's merge sort and not Array.sort.

import type { ServerKey, ServiceKey, ServiceSnapshot } from '../../lvs/model.ts';
import { addressFamily, addressWords } from '../../packet/address.ts';

type Comparison<T> = (a: T, b: T) => number;

/** Services by firewall mark (none is 0, large ones are negative), family, protocol, address and port. */
export function sortServices(services: readonly ServiceSnapshot[]): ServiceSnapshot[] {
  return mergeSort(services, (a, b) => compareNumbers(serviceNumbers(a.key), serviceNumbers(b.key)));
}

/** Servers by address and port; an IPv4 address is compared with the first word of whatever stands beside it. */
export function sortServers<T extends ServerKey>(servers: readonly T[]): T[] {
  return mergeSort(servers, (a, b) => {
    if (addressFamily(a.address) === 6) return compareNumbers(serverNumbers(a), serverNumbers(b));
    return compareNumbers([addressWords(a.address)[0], a.port], [addressWords(b.address)[0], b.port]);
  });
}

const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

function serviceNumbers(key: ServiceKey): number[] {
  if (key.kind === 'fwmark') return [key.mark, key.family, 0, 0, 0, 0, 0, 0];
  return [0, addressFamily(key.address), PROTOCOL_NUMBERS[key.protocol], ...serverNumbers(key)];
}

function serverNumbers({ address, port }: ServerKey): number[] {
  return [...addressWords(address), port];
}

function compareNumbers(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] - b[i]) | 0;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** qsort(3) of glibc before 2.37: halves of ⌊n/2⌋ and the rest, the left one first when equal. */
function mergeSort<T>(items: readonly T[], compare: Comparison<T>): T[] {
  if (items.length < 2) return [...items];
  const middle = items.length >>> 1;
  const left = mergeSort(items.slice(0, middle), compare);
  const right = mergeSort(items.slice(middle), compare);
  const merged: T[] = [];
  let l = 0;
  let r = 0;
  while (l < left.length && r < right.length) merged.push(compare(left[l], right[r]) <= 0 ? left[l++] : right[r++]);
  return merged.concat(left.slice(l), right.slice(r));
}
