// SPDX-License-Identifier: Apache-2.0
// Says in the log that pools of local addresses refuse connections: at once when that begins, then once a minute with the
// count since. Called once a second by the engine's host; holds no clock, and knows a pool by its name alone.

import type { LocalPoolSnapshot } from '../../lvs/model.ts';
import type { Logger } from '../logger.ts';

const PERIOD_S = 60;

type Counted = Pick<LocalPoolSnapshot, 'name' | 'exhausted' | 'refused'>;

interface Told {
  readonly exhausted: number;
  readonly refused: number;
  /** Seconds until more may be said. */
  rest: number;
}

export class PoolWarnings {
  readonly #log: Logger;
  /** By pool, as far as anything was said. */
  #told = new Map<string, Told>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** A second has passed, and these are the pools. */
  second(pools: readonly Counted[]): void {
    if (pools.length === 0 && this.#told.size === 0) return;
    const told = new Map<string, Told>();
    for (const pool of pools) {
      const before = this.#told.get(pool.name);
      // A pool that was removed and made again counts from 0.
      const known = before !== undefined && before.exhausted <= pool.exhausted && before.refused <= pool.refused;
      const last = known ? before : { exhausted: 0, refused: 0, rest: 0 };
      if (last.rest > 0) last.rest--;
      told.set(pool.name, last.rest === 0 ? this.#tell(pool, last) : last);
    }
    this.#told = told;
  }

  #tell({ name, exhausted, refused }: Counted, last: Told): Told {
    const withoutPort = exhausted - last.exhausted;
    const withoutMemory = refused - last.refused;
    if (withoutPort === 0 && withoutMemory === 0) return last;
    if (withoutPort > 0) {
      this.#log.warn('connections dropped: no local port is left for their server; add addresses to the pool', {
        pool: name,
        connections: withoutPort,
      });
    }
    if (withoutMemory > 0) {
      this.#log.warn('connections dropped: no memory is left for the ports to one server more', {
        pool: name,
        connections: withoutMemory,
      });
    }
    return { exhausted, refused, rest: PERIOD_S };
  }
}
