// SPDX-License-Identifier: Apache-2.0
// Tells that nftables' rules have changed in the namespace in which it was opened; what changed is for a new reading to
// find out. Looked at now and then by whoever follows the rules.

import type { NetlinkEvents } from '../netlink.ts';
import { openNftEvents } from './nfnetlink.ts';

export class NftMonitor {
  readonly #events: NetlinkEvents;

  constructor() {
    this.#events = openNftEvents();
  }

  /** Whether something happened since the last call. Does not wait. */
  hasChanged(): boolean {
    let changed = false;
    this.#events.drain(() => {
      changed = true;
    });
    return changed;
  }

  close(): void {
    this.#events.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
