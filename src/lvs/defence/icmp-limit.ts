// SPDX-License-Identifier: Apache-2.0
// Limit of the ICMP errors that the director sends, so that it is nobody's amplifier: a token bucket with the kernel's
// defaults (net.ipv4.icmp_msgs_per_sec 1000, icmp_msgs_burst 50; RFC 1812 §4.3.2.8, RFC 4443 §2.4 f).

import { TICKS_PER_SECOND } from '../connection/layout.ts';

const PER_TICK = 1000 / TICKS_PER_SECOND;
const BURST = 50;

export class IcmpLimit {
  #tokens = BURST;
  #last: number;

  /** @param now - current tick. */
  constructor(now: number) {
    this.#last = now;
  }

  /** Whether one more error may be sent now; takes its token. */
  allow(now: number): boolean {
    // Ticks never go back, so that a wrap is a long silence.
    const elapsed = (now - this.#last) >>> 0;
    if (elapsed > 0) {
      this.#tokens = Math.min(BURST, this.#tokens + elapsed * PER_TICK);
      this.#last = now;
    }
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
