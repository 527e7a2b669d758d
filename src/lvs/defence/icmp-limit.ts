// SPDX-License-Identifier: Apache-2.0
// Limit of the ICMP errors that the director sends, so that it is nobody's amplifier: a token bucket with the kernel's
// defaults (net.ipv4.icmp_msgs_per_sec 1000, icmp_msgs_burst 50; RFC 1812 §4.3.2.8, RFC 4443 §2.4 f).

import { TICKS_PER_SECOND } from '../connection/layout.ts';

/** How many ICMP errors may be sent. */
export interface IcmpRate {
  readonly perSecond: number;
  readonly burst: number;
}

const KERNEL_RATE: IcmpRate = { perSecond: 1000, burst: 50 };

export class IcmpLimit {
  readonly #perTick: number;
  readonly #burst: number;
  #tokens: number;
  #last: number;

  /** @param now - current tick. */
  constructor(now: number, { perSecond, burst }: IcmpRate = KERNEL_RATE) {
    this.#perTick = perSecond / TICKS_PER_SECOND;
    this.#burst = burst;
    this.#tokens = burst;
    this.#last = now;
  }

  /** Whether one more error may be sent now; takes its token. */
  allow(now: number): boolean {
    // Ticks never go back, so that a wrap is a long silence.
    const elapsed = (now - this.#last) >>> 0;
    if (elapsed > 0) {
      this.#tokens = Math.min(this.#burst, this.#tokens + elapsed * this.#perTick);
      this.#last = now;
    }
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
