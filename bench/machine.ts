// SPDX-License-Identifier: Apache-2.0
// What a benchmark ran on, for the head of its report.

import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly system: string;
  readonly node: string;
  readonly load: string;
  /** Nanoseconds of a 32-bit multiplication that waits for the one before: three cycles of most processors. */
  readonly multiplyNs: number;
}

export function describeMachine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown',
    node: process.version,
    load: readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' '),
    multiplyNs: multiplyNs(),
  };
}

/**
 * How fast the processor is at this moment. A guest gets what its neighbours leave: the same code was seen to take from
 * one to three times as long within minutes, and a figure means little without this one.
 */
export function multiplyNs(): number {
  const count = 20_000_000;
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    let value = round | 1;
    for (let i = 0; i < count; i++) value = Math.imul(value, 0x9e3779b1);
    const elapsed = performance.now() - start;
    if (value !== 0) best = Math.min(best, (elapsed * 1e6) / count);
  }
  return best;
}

export function machineLine(machine: Machine): string {
  const { cpu, cores, memoryGib, kernel, system, node, load, multiplyNs } = machine;
  const speed = `a multiplication ${multiplyNs.toFixed(2)} ns`;
  return `${cores} × ${cpu}, ${memoryGib} GiB, ${system}, kernel ${kernel}, Node ${node}, load before ${load}, ${speed}`;
}
