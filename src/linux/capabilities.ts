// SPDX-License-Identifier: Apache-2.0
// What this process may do, asked before it tries, so that a refusal names everything that is missing at once.

import { readFileSync } from 'node:fs';

/** Capabilities that Ballast asks for, by their bit (include/uapi/linux/capability.h). */
const BITS = {
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_ADMIN: 21,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof BITS;

export interface MissingCapabilities {
  readonly names: readonly Capability[];
  /** What to do about it, for the end of an error message; empty when nothing is missing. */
  readonly remedy: string;
}

/** Which of `wanted` the calling thread lacks. `status` is the text of /proc/thread-self/status. */
export function missingCapabilities(
  wanted: readonly Capability[],
  status: string = readFileSync('/proc/thread-self/status', 'latin1'),
): MissingCapabilities {
  const effective = effectiveCapabilities(status);
  const names = wanted.filter((name) => !has(effective, name));
  return { names, remedy: names.length === 0 ? '' : remedy(names) };
}

/** The effective set as bits. A status without the line is an empty set. */
export function effectiveCapabilities(status: string): bigint {
  const match = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(status);
  return match === null ? 0n : BigInt(`0x${match[1]}`);
}

/** CAP_BPF was split from CAP_SYS_ADMIN in Linux 5.8, which still includes it. */
function has(effective: bigint, name: Capability): boolean {
  const holds = (bit: number): boolean => ((effective >> BigInt(bit)) & 1n) === 1n;
  if (holds(BITS[name])) return true;
  return name === 'CAP_BPF' && holds(BITS.CAP_SYS_ADMIN);
}

function remedy(names: readonly Capability[]): string {
  const list = names.join(' and ');
  return `run as root, or grant ${list} (systemd: AmbientCapabilities=${names.join(' ')})`;
}
