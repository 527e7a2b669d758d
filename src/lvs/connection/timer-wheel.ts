// SPDX-License-Identifier: Apache-2.0
// Timers of all connections: one wheel of slots, each a doubly linked list threaded through the records. A packet that
// prolongs its connection only writes the new expiry; when the old slot comes up the record moves on. Only a timer that
// becomes shorter is moved at once. Expiry is never early and at most one slot (80 ms) late.
// hot path

import {
  type ConnectionMemory,
  EXPIRES,
  RECORD_SHIFT,
  TIMER_NEXT,
  TIMER_PREVIOUS,
  TIMER_SHIFT,
  TIMER_SLOTS,
} from './layout.ts';

const SLOT_TICKS = 1 << TIMER_SHIFT;
const SLOT_MASK = TIMER_SLOTS - 1;
/** The farthest slot, in ticks from the cursor; what expires later waits there and is looked at again. */
const HORIZON = (TIMER_SLOTS - 1) << TIMER_SHIFT;

export class TimerWheel {
  /** Records that {@link due} may still move on. */
  movesLeft = 0;
  readonly #records: Int32Array;
  readonly #slots: Int32Array;
  /** First tick of the slot that is next to be emptied. */
  #cursor: number;

  /** @param now - current tick; ticks wrap at 32 bits and are compared by difference. */
  constructor(memory: ConnectionMemory, now: number) {
    this.#records = memory.records;
    this.#slots = memory.timers;
    this.#cursor = now & ~(SLOT_TICKS - 1);
  }

  /** Arms the timer of an idle record by its EXPIRES word. */
  arm(id: number): void {
    const records = this.#records;
    const base = id << RECORD_SHIFT;
    let ahead = (records[base + EXPIRES] - this.#cursor) | 0;
    if (ahead < 0) ahead = 0;
    else if (ahead > HORIZON) ahead = HORIZON;
    const slot = ((this.#cursor + ahead) >>> TIMER_SHIFT) & SLOT_MASK;
    const head = this.#slots[slot];
    records[base + TIMER_NEXT] = head;
    // A negative "previous" is the slot itself: -1 - slot.
    records[base + TIMER_PREVIOUS] = -1 - slot;
    if (head !== 0) records[(head << RECORD_SHIFT) + TIMER_PREVIOUS] = id;
    this.#slots[slot] = id;
  }

  /** Stops an armed timer. */
  disarm(id: number): void {
    const records = this.#records;
    const base = id << RECORD_SHIFT;
    const next = records[base + TIMER_NEXT];
    const previous = records[base + TIMER_PREVIOUS];
    if (previous < 0) this.#slots[-1 - previous] = next;
    else records[(previous << RECORD_SHIFT) + TIMER_NEXT] = next;
    if (next !== 0) records[(next << RECORD_SHIFT) + TIMER_PREVIOUS] = previous;
  }

  /** Moves an armed timer to a new, possibly nearer, expiry. */
  rearm(id: number): void {
    this.disarm(id);
    this.arm(id);
  }

  /** Whether {@link due} stopped before it had looked at all that is due. */
  lags(now: number): boolean {
    return ((this.#cursor + SLOT_TICKS - now) | 0) <= 0;
  }

  /**
   * One record whose time has come, disarmed, or 0 when none is due at `now` or `movesLeft` records were only moved on;
   * set that anew and call again to go on. Empty slots cost nothing to speak of.
   */
  due(now: number): number {
    const records = this.#records;
    while (this.lags(now)) {
      const slot = (this.#cursor >>> TIMER_SHIFT) & SLOT_MASK;
      const id = this.#slots[slot];
      if (id === 0) {
        this.#cursor = (this.#cursor + SLOT_TICKS) | 0;
        continue;
      }
      if (((records[(id << RECORD_SHIFT) + EXPIRES] - now) | 0) <= 0) {
        this.disarm(id);
        return id;
      }
      if (this.movesLeft === 0) return 0;
      this.movesLeft--;
      this.rearm(id);
    }
    return 0;
  }
}
