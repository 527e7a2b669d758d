// SPDX-License-Identifier: Apache-2.0
// Which real server a server id of connection-id.ts means: a hash table with open addressing, made anew when a service's
// servers change and only read by packets. Ids are given for each server (the draft, Katran) or follow from its
// address and port (DPVS). Servers are numbers of the caller's.

import { DPVS_PORT, MAX_SERVER_ID, type ServerId } from './connection-id.ts';

const MIN_CAPACITY = 16;

/** The servers of one service by id. */
export class QuicServers {
  #capacity = MIN_CAPACITY;
  #count = 0;
  #ids = new Uint8Array(MIN_CAPACITY * MAX_SERVER_ID);
  /** 0: the place is free. */
  #lengths = new Uint8Array(MIN_CAPACITY);
  #servers = new Int32Array(MIN_CAPACITY);

  /** Ids known. */
  get size(): number {
    return this.#count;
  }

  /**
   * Makes `id` (1 … 16 bytes) mean `server`. False when it means a server already, which then stays: with DPVS, where
   * a few low bytes of an address may be those of two servers, the first counts.
   */
  add(id: Uint8Array, server: number): boolean {
    if (id.length === 0 || id.length > MAX_SERVER_ID) throw new RangeError(`server id of ${id.length} bytes`);
    if (this.#count * 2 >= this.#capacity) this.#grow();
    const place = this.#place(id, id.length);
    if (this.#lengths[place] !== 0) return false;
    this.#ids.set(id, place * MAX_SERVER_ID);
    this.#lengths[place] = id.length;
    this.#servers[place] = server;
    this.#count++;
    return true;
  }

  /** The server that the id means, or -1. */
  // hot path
  find($id: ServerId): number {
    const place = this.#place($id.bytes, $id.length);
    return this.#lengths[place] === 0 ? -1 : this.#servers[place];
  }

  /** Where the id is, or the free place where it would be. At least half of the places are free. */
  #place(bytes: Uint8Array, length: number): number {
    const mask = this.#capacity - 1;
    let place = hash(bytes, length) & mask;
    while (this.#lengths[place] !== 0 && !this.#isAt(place, bytes, length)) place = (place + 1) & mask;
    return place;
  }

  #isAt(place: number, bytes: Uint8Array, length: number): boolean {
    if (this.#lengths[place] !== length) return false;
    const at = place * MAX_SERVER_ID;
    for (let i = 0; i < length; i++) if (this.#ids[at + i] !== bytes[i]) return false;
    return true;
  }

  #grow(): void {
    const [ids, lengths, servers] = [this.#ids, this.#lengths, this.#servers];
    this.#capacity *= 2;
    this.#count = 0;
    this.#ids = new Uint8Array(this.#capacity * MAX_SERVER_ID);
    this.#lengths = new Uint8Array(this.#capacity);
    this.#servers = new Int32Array(this.#capacity);
    for (let i = 0; i < lengths.length; i++) {
      if (lengths[i] === 0) continue;
      this.add(ids.subarray(i * MAX_SERVER_ID, i * MAX_SERVER_ID + lengths[i]), servers[i]);
    }
  }
}

/** FNV-1a. Who sends ids cannot add any, so that a bad choice of them costs no more than a full run of the table's. */
function hash(bytes: Uint8Array, length: number): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < length; i++) value = Math.imul(value ^ bytes[i], 0x01000193);
  return (value ^ (value >>> 15)) >>> 0;
}

/** An id of the draft from hexadecimal text, or undefined when it is none of 1 … 15 bytes. */
export function quicLbServerId(text: string): Uint8Array | undefined {
  if (!/^([0-9a-fA-F]{2}){1,15}$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(i * 2, i * 2 + 2), 16));
}

/** Katran's id of a number below 2^32; which version of connection IDs can say it depends on its size. */
export function katranServerId(number: number): Uint8Array {
  return Uint8Array.of((number >>> 24) & 255, (number >>> 16) & 255, (number >>> 8) & 255, number & 255);
}

/**
 * All ids by which a connection ID of DPVS may name a server: its address's lowest byte, the lowest two, and so on up to
 * 8, each with and without the port. Address words as read off the wire, one for IPv4, four for IPv6.
 */
export function dpvsServerIds(family: 4 | 6, address: ArrayLike<number>, port: number): Uint8Array[] {
  const size = family === 4 ? 4 : 16;
  const bytes = Array.from({ length: size }, (_, i) => (address[i >>> 2] >>> (24 - (i & 3) * 8)) & 255);
  const ids: Uint8Array[] = [];
  for (let length = 1; length <= Math.min(8, size); length++) {
    const low = bytes.slice(size - length);
    ids.push(Uint8Array.of(length, ...low));
    ids.push(Uint8Array.of(length | DPVS_PORT, ...low, port >>> 8, port & 255));
  }
  return ids;
}
