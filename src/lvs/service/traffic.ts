// SPDX-License-Identifier: Apache-2.0
// Statistics of a server, a service or the whole director: totals with a zero mark, and the kernel's rate estimator
// (net/netfilter/ipvs/ip_vs_est.c). Packets are counted once, at their server; sums are made when somebody looks.

import type { Counters, Rates } from '../model.ts';

/** Columns of a counter array. */
export const CONNECTIONS = 0;
export const IN_PACKETS = 1;
export const OUT_PACKETS = 2;
export const IN_BYTES = 3;
export const OUT_BYTES = 4;
export const COLUMNS = 5;

/** The estimator runs this often, in ticks: every 2 s. */
export const ESTIMATION_TICKS = 200;

/** Zeroed totals; a double counts exactly up to 2^53. */
export function newCounters(): Float64Array {
  return new Float64Array(COLUMNS);
}

/** Adds `counters` to `sum`, column by column; `sign` -1 takes them away. */
export function addCounters(sum: Float64Array, counters: Float64Array, sign = 1): void {
  for (let i = 0; i < COLUMNS; i++) sum[i] += sign * counters[i];
}

/** Zero mark and smoothed rates that belong to one counter array. */
export class Traffic {
  readonly #zero = newCounters();
  readonly #last = newCounters();
  /** Per second, scaled by 2^10 for connections and packets and by 2^5 for bytes. */
  readonly #average = newCounters();

  /** Totals since the last zeroing. */
  shown(counters: Float64Array): Counters {
    return {
      connections: counters[CONNECTIONS] - this.#zero[CONNECTIONS],
      inPackets: counters[IN_PACKETS] - this.#zero[IN_PACKETS],
      outPackets: counters[OUT_PACKETS] - this.#zero[OUT_PACKETS],
      inBytes: counters[IN_BYTES] - this.#zero[IN_BYTES],
      outBytes: counters[OUT_BYTES] - this.#zero[OUT_BYTES],
    };
  }

  /** Makes the totals of now the new zero; the counters themselves go on. */
  zero(counters: Float64Array): void {
    this.#zero.set(counters);
    this.#average.fill(0);
  }

  /** One step of the estimator over the 2 s since the last: average += (rate - average) / 4, rounded down. */
  estimate(counters: Float64Array): void {
    for (let i = 0; i < COLUMNS; i++) {
      const delta = counters[i] - this.#last[i];
      this.#last[i] = counters[i];
      const rate = i >= IN_BYTES ? delta * 16 : delta * 512;
      this.#average[i] += Math.floor((rate - this.#average[i]) / 4);
    }
  }

  rates(): Rates {
    const count = (column: number): number => Math.floor((this.#average[column] + 0x1ff) / 1024);
    const bytes = (column: number): number => Math.floor((this.#average[column] + 0xf) / 32);
    return {
      connections: count(CONNECTIONS),
      inPackets: count(IN_PACKETS),
      outPackets: count(OUT_PACKETS),
      inBytes: bytes(IN_BYTES),
      outBytes: bytes(OUT_BYTES),
    };
  }
}
