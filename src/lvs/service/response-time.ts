// SPDX-License-Identifier: Apache-2.0
// How fast a server answers SYNs, for lrt: smoothed over its answers. A server that leaves a SYN without an answer for a
// second counts as slow as that wait, so that a dead one is avoided; what nobody asked about for a while fades, so that
// one that was slow, or dead, is tried again.
// hot path: asked(), answered()

import { MS_PER_TICK, TICKS_PER_SECOND } from '../connection/layout.ts';

/** Share of a new measurement in the smoothed one. */
const SHARE = 1 / 8;
const US_PER_TICK: number = MS_PER_TICK * 1000;
/** A SYN that waited for less says nothing yet. */
const LATE: number = TICKS_PER_SECOND;
/** What is older counts less every second, and not at all beside a new measurement. */
const SILENCE: number = 10 * TICKS_PER_SECOND;

export class ResponseTime {
  /** Microseconds, 0 before anything is known. */
  value = 0;
  /** A SYN was sent and nothing was heard since, that one from {@link #waitingSince} on. */
  #isWaiting = false;
  #waitingSince = 0;
  /** Tick of the last SYN, and of the last answer. */
  #askedAt = 0;
  #heardAt = 0;

  /** A SYN goes to the server. */
  asked(now: number): void {
    if (!this.#isWaiting) this.#waitingSince = now;
    this.#isWaiting = true;
    this.#askedAt = now;
  }

  /** A SYN was answered after so many microseconds. */
  answered(microseconds: number, now: number): void {
    const isOld = this.value === 0 || (now - this.#heardAt) >>> 0 >= SILENCE;
    // 0 is for those who never answered.
    this.value = isOld ? microseconds + 1 : this.value + (microseconds - this.value) * SHARE;
    this.#isWaiting = false;
    this.#heardAt = now;
  }

  /** About a second has passed. */
  tick(now: number): void {
    const sinceAsked = (now - this.#askedAt) >>> 0;
    const sinceHeard = (now - this.#heardAt) >>> 0;
    if (Math.min(sinceAsked, sinceHeard) >= SILENCE) {
      this.#isWaiting = false;
      this.value /= 2;
    } else if (this.#isWaiting) {
      const waited = (now - this.#waitingSince) >>> 0;
      if (waited >= LATE) this.value = Math.max(this.value, waited * US_PER_TICK);
    }
  }
}
