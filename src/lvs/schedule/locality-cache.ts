// SPDX-License-Identifier: Apache-2.0
// What lblc and lblcr remember by destination address: bounded, and forgotten in time as in the kernel, which looks at it
// every minute (ip_vs_lblc_check_expire).

import { TICKS_PER_SECOND } from '../connection/layout.ts';

const MAX_ENTRIES = 16384;
/** With so many nothing is added any more until some are forgotten. */
const MOST_ENTRIES: number = MAX_ENTRIES * 1.5;
const PERIOD = 60 * TICKS_PER_SECOND;
/** Every so many periods all entries are looked at. */
const FULL_CHECK = 30;
/** An entry that was idle for less is not forgotten for want of room. */
const KEPT_IDLE = 6 * 60 * TICKS_PER_SECOND;

/** Something remembered; `used` is the tick of its last use. */
export interface Remembered {
  used: number;
  /** It is forgotten: gives up its servers. */
  release(): void;
}

export class LocalityCache<T extends Remembered> {
  readonly #ipv4 = new Map<number, T>();
  readonly #ipv6 = new Map<string, T>();
  #checkAt: number | undefined = undefined;
  #periods = 1;

  get size(): number {
    return this.#ipv4.size + this.#ipv6.size;
  }

  /** What is remembered of an address, used at tick `now`. */
  get(words: Int32Array, now: number): T | undefined {
    const entry = isIpv4(words) ? this.#ipv4.get(words[0]) : this.#ipv6.get(words.join(' '));
    if (entry !== undefined) entry.used = now;
    return entry;
  }

  /** Remembers an entry for an address that has none; one too many is released at once. */
  add(words: Int32Array, entry: T): void {
    if (this.size >= MOST_ENTRIES) entry.release();
    else if (isIpv4(words)) this.#ipv4.set(words[0], entry);
    else this.#ipv6.set(words.join(' '), entry);
  }

  /** Forgets everything. */
  clear(): void {
    for (const entry of [...this.#ipv4.values(), ...this.#ipv6.values()]) entry.release();
    this.#ipv4.clear();
    this.#ipv6.clear();
  }

  /** About a second has passed; entries last `seconds`. */
  tick(now: number, seconds: number): void {
    this.#checkAt ??= (now + PERIOD) | 0;
    if (((now - this.#checkAt) | 0) < 0) return;
    this.#checkAt = (now + PERIOD) | 0;
    if (this.#periods % FULL_CHECK === 0) {
      this.#periods = 1;
      this.#forget(now, seconds * TICKS_PER_SECOND, Number.POSITIVE_INFINITY);
    } else if (this.size <= MAX_ENTRIES) {
      this.#periods++;
    } else {
      const goal = Math.min(Math.floor(((this.size - MAX_ENTRIES) * 4) / 3), MAX_ENTRIES / 2);
      this.#forget(now, KEPT_IDLE, goal);
    }
  }

  /**
   * Forgets up to `goal` entries that were idle for `ticks`, in the order in which they came.
   * deviates: the kernel goes by buckets and looks at the goal after each.
   */
  #forget(now: number, ticks: number, goal: number): void {
    let left = goal;
    for (const map of [this.#ipv4, this.#ipv6] as Map<number | string, T>[]) {
      for (const [key, entry] of map) {
        if (left <= 0) return;
        if ((now - entry.used) >>> 0 < ticks) continue;
        map.delete(key);
        entry.release();
        left--;
      }
    }
  }
}

function isIpv4(words: Int32Array): boolean {
  return (words[1] | words[2] | words[3]) === 0;
}
