// SPDX-License-Identifier: Apache-2.0
// Defence against floods as IPVS has it (update_defense_level in ip_vs_ctl.c): drop_entry, drop_packet and secure_tcp,
// each off (0), automatic (1 armed, 2 acting; the director flips between them) or always on (3). Where the kernel looks
// at the machine's free memory, this looks at what is left of the connection table, in pages of 4 KiB.

import type { Sysctls } from '../sysctl.ts';

const PAGE_BYTES = 4096;
const RECORD_BYTES = 128;
/** Of a small table no more than this share is kept free: amemthresh is made for machines. */
const LARGEST_RESERVE = 1 / 8;

export class Defence {
  /** Entries are dropped now. */
  dropsEntries = false;
  /** The secure state tables are in force. */
  isSecure = false;
  readonly #sysctls: Sysctls;
  readonly #maxConnections: number;
  /** Of packets that would open a connection every so-manieth is dropped; 0 for none. */
  #dropRate = 0;
  #dropCounter = 0;

  constructor(sysctls: Sysctls, maxConnections: number) {
    this.#sysctls = sysctls;
    this.#maxConnections = maxConnections;
  }

  /** Looks at the table's `connections`: every second, and when a setting changes. */
  update(connections: number): void {
    const { values } = this.#sysctls;
    const pages = (records: number): number => (records * RECORD_BYTES) / PAGE_BYTES;
    const reserve = Math.min(values.amemthresh, pages(this.#maxConnections) * LARGEST_RESERVE);
    const free = pages(this.#maxConnections - connections);
    const isShort = free < reserve;

    values.dropEntry = automatic(values.dropEntry, isShort);
    values.dropPacket = automatic(values.dropPacket, isShort);
    values.secureTcp = automatic(values.secureTcp, isShort);

    this.dropsEntries = values.dropEntry >= 2;
    this.isSecure = values.secureTcp >= 2;
    if (values.dropPacket === 3) {
      this.#dropRate = values.amDroprate;
    } else if (values.dropPacket === 2) {
      this.#dropRate = Math.max(1, Math.floor(reserve / (reserve - free)));
      this.#dropCounter = this.#dropRate;
    } else {
      this.#dropRate = 0;
    }
  }

  /** Whether this packet, which would open a connection, is to be dropped (ip_vs_todrop). */
  dropsPacket(): boolean {
    if (this.#dropRate === 0) return false;
    if (--this.#dropCounter > 0) return false;
    this.#dropCounter = this.#dropRate;
    return true;
  }
}

/** An automatic mode after a look at the table; the others stay. */
function automatic(mode: number, isShort: boolean): number {
  if (mode === 1 && isShort) return 2;
  if (mode === 2 && !isShort) return 1;
  return mode;
}
