// SPDX-License-Identifier: Apache-2.0
// Ends connections by force, a slice at a time so that packets never wait for it: random ones under pressure
// (ip_vs_random_dropentry) and all of servers that are gone (ip_vs_expire_nodest_conn_flush).

import type { Connections } from '../connection/connections.ts';
import { CONN_F_CONTROLLED, CONTROL, FLAGS, KIND, RECORD_SHIFT } from '../connection/layout.ts';
import { DropEntry } from './drop-entry.ts';

/** Of all buckets one in so many is looked at in a second. */
const SAMPLE_SHIFT = 5;
/** Buckets and records that one call looks at. */
const BUCKETS_PER_CALL = 512;
const RECORDS_PER_CALL = 4096;
/** Longest chain that is looked at whole. */
const CHAIN_LENGTH = 64;

export class Culling {
  readonly #connections: Connections;
  readonly #random: () => number;
  readonly #dropEntry: DropEntry;
  readonly #chain = new Int32Array(CHAIN_LENGTH);
  /** Buckets that are left to look at in this second. */
  #buckets = 0;
  /** Record that is next to be asked whether its server is gone; 0 when nobody asks. */
  #cursor = 0;

  constructor(connections: Connections, random: () => number) {
    this.#connections = connections;
    this.#random = random;
    this.#dropEntry = new DropEntry(connections);
  }

  /** More is to be done than one call may do. */
  get isBusy(): boolean {
    return this.#buckets > 0 || this.#cursor > 0;
  }

  /** Drops some entries in the calls to come; once a second while the defence says so. */
  sample(): void {
    this.#buckets = this.#connections.table.bucketCount >>> SAMPLE_SHIFT;
  }

  /** Ends the connections of all servers that are out of their service, in the calls to come. */
  flushLost(): void {
    this.#cursor = 1;
  }

  /** Does a slice of the work. */
  work(now: number): void {
    if (this.#buckets > 0) this.#dropSome(now);
    if (this.#cursor > 0) this.#flushSome();
  }

  #dropSome(now: number): void {
    const connections = this.#connections;
    const { table, records } = connections;
    const count = Math.min(this.#buckets, BUCKETS_PER_CALL);
    this.#buckets -= count;
    for (let i = 0; i < count; i++) {
      const length = table.collect(this.#random() % table.bucketCount, this.#chain);
      for (let at = 0; at < length; at++) {
        const id = this.#chain[at];
        // An entry before may have taken this one along.
        if (records[(id << RECORD_SHIFT) + KIND] !== 0 && this.#dropEntry.picks(id, now)) connections.drop(id);
      }
    }
  }

  #flushSome(): void {
    const { table } = this.#connections;
    const end = Math.min(table.highestId + 1, this.#cursor + RECORDS_PER_CALL);
    for (let id = this.#cursor; id < end; id++) this.#flush(id);
    this.#cursor = end > table.highestId ? 0 : end;
  }

  /** Ends an entry whose server is gone, and the one that controls it when it has no other. */
  #flush(id: number): void {
    const connections = this.#connections;
    const { records } = connections;
    const base = id << RECORD_SHIFT;
    if (records[base + KIND] === 0 || connections.hasChildren(id)) return;
    const server = connections.serverOf(id);
    if (server === undefined || server.available) return;
    const template = (records[base + FLAGS] & CONN_F_CONTROLLED) !== 0 ? records[base + CONTROL] : 0;
    connections.drop(id);
    if (template === 0 || records[(template << RECORD_SHIFT) + KIND] === 0) return;
    if (!connections.hasChildren(template)) connections.drop(template);
  }
}
