// SPDX-License-Identifier: Apache-2.0
// `npm run bench -- engine [--json]`: nanoseconds per packet of the engine in one thread, without a kernel: established
// NAT packets at 1k and 1M flows in both directions, new connections, memory per connection, garbage. The cost of
// making the packets is measured by itself and taken away. Packets are counted where they come out.

import '../src/dataplane/engine/inline-limits.ts';
import { readFileSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BATCH } from '../src/dataplane/engine/link.ts';
import { Rig } from './engine-rig.ts';
import { describeMachine, machineLine } from './machine.ts';
import type { Pattern } from './packet-source.ts';
import { type Summary, summarize } from './statistics.ts';

const ROUNDS = 7;
const MILLION = 1_000_000;

interface Row {
  readonly name: string;
  /** Nanoseconds per packet with the making of the packet, the making alone, and the difference. */
  readonly total: Summary;
  readonly source: Summary;
  readonly cost: Summary;
  readonly limit: number;
}

export async function run(args: readonly string[]): Promise<number> {
  const machine = describeMachine();
  const rows = [...established(1000, 120, 4 * MILLION), ...established(MILLION, 350, 2 * MILLION)];
  const opening = openings();
  const garbage = await garbageOf(10 * MILLION);
  if (args.includes('--json')) {
    console.log(JSON.stringify({ machine, rows: [...rows, opening.row], memory: opening.memory, garbage }));
    return 0;
  }
  console.log(machineLine(machine));
  console.log(`\n${'ns per packet (median of 7, least … most)'.padEnd(44)}   cost              asked   source   total`);
  for (const row of [...rows, opening.row]) console.log(format(row));
  const { connections, bytes } = opening.memory;
  console.log(`\nmemory: ${bytes.toFixed(0)} bytes of resident memory per connection at ${connections} (asked: 200)`);
  console.log(
    `garbage: ${garbage.collections} collections and ${garbage.heapBytes} bytes of heap in ${garbage.packets} packets`,
  );
  return 0;
}

function established(flows: number, limit: number, count: number): Row[] {
  const rig = new Rig(MILLION + 1024);
  rig.through('syn', flows, Math.ceil(flows / BATCH) * BATCH);
  rig.through('both', flows, 2 * flows);
  const patterns: readonly Pattern[] = ['request', 'reply', 'both'];
  const rows = patterns.map((pattern) => {
    const name = `established NAT, ${flows.toLocaleString('en')} flows, ${pattern === 'both' ? 'both ways' : pattern}`;
    const total: number[] = [];
    const source: number[] = [];
    rig.through(pattern, flows, count / 4);
    rig.sourceOnly(pattern, flows, count / 4);
    for (let round = 0; round < ROUNDS; round++) {
      source.push(rig.sourceOnly(pattern, flows, count));
      total.push(rig.through(pattern, flows, count));
    }
    return row(name, total, source, limit);
  });
  rig.close();
  return rows;
}

/** A million SYNs of as many flows, into a table that starts empty each time. */
function openings(): { row: Row; memory: { connections: number; bytes: number } } {
  const total: number[] = [];
  const source: number[] = [];
  let perConnection = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const rig = new Rig(MILLION + 1024);
    rig.through('syn', 64, 64);
    source.push(rig.sourceOnly('syn', MILLION, MILLION));
    const before = residentBytes();
    total.push(rig.through('syn', MILLION, MILLION));
    perConnection = Math.max(perConnection, (residentBytes() - before) / MILLION);
    rig.close();
  }
  const opened = row('new connection, table growing to 1 M', total, source, 1200);
  return { row: opened, memory: { connections: MILLION, bytes: perConnection } };
}

/** Heap before and after that many established packets, and collections in between. */
async function garbageOf(packets: number): Promise<{ packets: number; heapBytes: number; collections: number }> {
  const rig = new Rig(2048);
  rig.through('syn', 1024, 1024);
  rig.through('both', 1024, MILLION);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  await new Promise((resolve) => setImmediate(resolve));
  observer.observe({ entryTypes: ['gc'] });
  const before = getHeapStatistics().used_heap_size;
  rig.through('both', 1024, packets);
  const heapBytes = getHeapStatistics().used_heap_size - before;
  await new Promise((resolve) => setImmediate(resolve));
  observer.disconnect();
  rig.close();
  return { packets, heapBytes, collections };
}

function row(name: string, total: readonly number[], source: readonly number[], limit: number): Row {
  const cost = summarize(total.map((value, i) => value - source[i]));
  return { name, total: summarize(total), source: summarize(source), cost, limit };
}

function format({ name, total, source, cost, limit }: Row): string {
  const number = (value: number, width: number): string => value.toFixed(0).padStart(width);
  const spread = `(${cost.least.toFixed(0)} … ${cost.most.toFixed(0)})`.padEnd(13);
  return `${name.padEnd(44)} ${number(cost.median, 6)} ${spread} ${number(limit, 6)} ${number(source.median, 8)} ${number(total.median, 7)}`;
}

function residentBytes(): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}
