// SPDX-License-Identifier: Apache-2.0
// `npm run bench -- schedulers [NAME …] [--json]`: nanoseconds per decision of each scheduler among 2 to 4096 servers, and
// how long it takes to add those 4096 one by one. Each scheduler runs in a thread of its own, as in a director whose
// services all have the same one: V8 then knows what it calls. The cost of asking is measured by itself and taken away.

import '../src/dataplane/engine/inline-limits.ts';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { SCHEDULERS } from '../src/lvs/schedule/schedulers.ts';
import { describeMachine, machineLine } from './machine.ts';
import { SchedulerRig } from './scheduler-rig.ts';
import { type Summary, summarize } from './statistics.ts';

const SIZES = [2, 16, 256, 4096] as const;
const ROUNDS = 7;
/** Least time of one round. */
const ROUND_MS = 20;

interface Row {
  readonly scheduler: string;
  /** Nanoseconds per decision, by number of servers as in SIZES. */
  readonly decisions: readonly Summary[];
  /** Milliseconds for adding the largest number of servers one by one. */
  readonly addingMs: Summary;
}

export async function run(args: readonly string[]): Promise<number> {
  const names = args.filter((arg) => !arg.startsWith('--'));
  const unknown = names.find((name) => !SCHEDULERS.includes(name));
  if (unknown !== undefined) {
    console.error(`no scheduler '${unknown}': there are ${SCHEDULERS.join(', ')}`);
    return 2;
  }
  const chosen = names.length > 0 ? names : SCHEDULERS.filter((name) => name !== 'none');
  const isJson = args.includes('--json');
  const machine = describeMachine();
  if (!isJson) {
    console.log(machineLine(machine));
    console.log(`\nns per decision (median of ${ROUNDS}, least … most), by number of servers`);
    console.log(`${''.padEnd(6)}${SIZES.map((size) => String(size).padEnd(24)).join('')}adding ${SIZES[3]}, ms`);
  }
  const rows: Row[] = [];
  for (const name of chosen) {
    const row = await measureApart(name);
    rows.push(row);
    if (!isJson) console.log(format(row));
  }
  if (isJson) console.log(JSON.stringify({ machine, sizes: SIZES, rounds: ROUNDS, rows }));
  return 0;
}

/** Measures in a thread of its own. */
function measureApart(scheduler: string): Promise<Row> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: scheduler });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function measure(scheduler: string): Row {
  const adding: number[] = [];
  const decisions = SIZES.map((size) => {
    const start = performance.now();
    const rig = new SchedulerRig(scheduler, size);
    adding.push(performance.now() - start);
    let count = 256;
    while (rig.decide(count) < ROUND_MS && count < 2 ** 24) count *= 2;
    rig.ask(count);
    const costs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const idle = rig.ask(count);
      costs.push(Math.max(0, ((rig.decide(count) - idle) * 1e6) / count));
    }
    return summarize(costs);
  });
  const again = Array.from({ length: 2 }, () => {
    const start = performance.now();
    new SchedulerRig(scheduler, SIZES[3]);
    return performance.now() - start;
  });
  return { scheduler, decisions, addingMs: summarize([adding[3], ...again]) };
}

function format({ scheduler, decisions, addingMs }: Row): string {
  const number = (value: number): string => value.toFixed(value < 100 ? 1 : 0);
  const cell = ({ median, least, most }: Summary): string =>
    `${number(median).padStart(6)} (${number(least)} … ${number(most)})`.padEnd(24);
  return `${scheduler.padEnd(6)}${decisions.map(cell).join('')}${number(addingMs.median)}`;
}

if (!isMainThread) parentPort?.postMessage(measure(workerData as string));
