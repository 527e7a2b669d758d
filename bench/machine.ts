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
  };
}

export function machineLine(machine: Machine): string {
  const { cpu, cores, memoryGib, kernel, system, node, load } = machine;
  return `${cores} × ${cpu}, ${memoryGib} GiB, ${system}, kernel ${kernel}, Node ${node}, load before ${load}`;
}
