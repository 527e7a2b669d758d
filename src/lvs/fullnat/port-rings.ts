// SPDX-License-Identifier: Apache-2.0
// Ports that are free, as queues: a port that comes back goes to the end, so that it rests for as long as there are others
// and late segments of its last connection meet nobody (TIME-WAIT, RFC 9293 §3.4.2). A ring begins as its whole range, from
// some port on, without a word being written for it. Taking and putting are a few steps whatever the range. All memory is
// reserved once, and the kernel commits the pages of it that are touched. Used by LocalAddresses alone.
// hot path

const RING_SHIFT = 16;
/** Words of one ring's bits for the ports in use. */
const LIVE_SHIFT = 11;

// Words of a ring's description.
const LOW = 0;
const COUNT = 1;
/** Distance of the first port from the lowest. */
const FIRST = 2;
/** Place of the next port, and how many are free from there on. */
const HEAD = 3;
const FREE = 4;
/** Free ports that were never taken and so are not written: all of the head's next ones. */
const UNWRITTEN = 5;
const SHIFT = 3;

export class PortRings {
  readonly #state: Int32Array;
  /** Ports by ring << RING_SHIFT | place. */
  readonly #ports: Uint16Array;
  readonly #live: Int32Array;

  /** Rings 0 … `count` - 1. */
  constructor(count: number) {
    this.#state = new Int32Array(count << SHIFT);
    this.#ports = new Uint16Array(count << RING_SHIFT);
    this.#live = new Int32Array(count << LIVE_SHIFT);
  }

  /** Makes all of `low` … `high` free, `first` (below their number) ports from the lowest being the first in turn. */
  open(ring: number, low: number, high: number, first: number): void {
    const state = this.#state;
    const base = ring << SHIFT;
    const count = high - low + 1;
    state[base | LOW] = low;
    state[base | COUNT] = count;
    state[base | FIRST] = first;
    state[base | HEAD] = 0;
    state[base | FREE] = count;
    state[base | UNWRITTEN] = count;
  }

  /** Free ports. */
  free(ring: number): number {
    return this.#state[(ring << SHIFT) | FREE];
  }

  /** Ports in use. */
  live(ring: number): number {
    const base = ring << SHIFT;
    return this.#state[base | COUNT] - this.#state[base | FREE];
  }

  /** The free port that has rested longest, or 0. */
  take(ring: number): number {
    const state = this.#state;
    const base = ring << SHIFT;
    if (state[base | FREE] === 0) return 0;
    const count = state[base | COUNT];
    const place = state[base | HEAD];
    let port = this.#ports[(ring << RING_SHIFT) | place];
    if (state[base | UNWRITTEN] > 0) {
      state[base | UNWRITTEN]--;
      const distance = state[base | FIRST] + place;
      port = state[base | LOW] + (distance < count ? distance : distance - count);
    }
    state[base | HEAD] = place + 1 === count ? 0 : place + 1;
    state[base | FREE]--;
    this.#live[(ring << LIVE_SHIFT) | (port >>> 5)] |= 1 << (port & 31);
    return port;
  }

  /** Takes a port back. False, and nothing done, for one that is not in use. */
  put(ring: number, port: number): boolean {
    const word = (ring << LIVE_SHIFT) | (port >>> 5);
    const bit = 1 << (port & 31);
    if ((this.#live[word] & bit) === 0) return false;
    this.#live[word] &= ~bit;
    const state = this.#state;
    const base = ring << SHIFT;
    const count = state[base | COUNT];
    const place = state[base | HEAD] + state[base | FREE];
    this.#ports[(ring << RING_SHIFT) | (place < count ? place : place - count)] = port;
    state[base | FREE]++;
    return true;
  }
}
