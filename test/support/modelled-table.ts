// SPDX-License-Identifier: Apache-2.0
// A connection table and, beside it, a plain Map of what should be in it: for tests of the table.

import assert from 'node:assert/strict';
import {
  CLIENT,
  CLIENT_6,
  CONN_F_REPLY_KEY,
  connectionMemoryBytes,
  DESTINATION,
  DESTINATION_6,
  FLAGS,
  KIND,
  KIND_TEMPLATE,
  LOCAL,
  LOCAL_6,
  layConnectionMemory,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  RECORD_WORDS,
  REPLY,
  REQUEST,
  VIRTUAL,
  VIRTUAL_6,
} from '../../src/lvs/connection/layout.ts';
import { ConnectionTable } from '../../src/lvs/connection/table.ts';
import type { Random } from './random.ts';

export interface Key {
  readonly kind: number;
  readonly source: readonly number[];
  readonly destination: readonly number[];
  readonly ports: number;
}

export interface Keys {
  readonly request: Key;
  readonly reply: Key;
}

interface Connection {
  readonly id: number;
  readonly request: Key;
  /** Absent when the connection is not found by its replies. */
  readonly reply: Key | undefined;
}

const nameOf = ({ kind, source, destination, ports }: Key): string => `${kind} ${source} ${destination} ${ports}`;

/** A table and, beside it, what should be in it. */
export class ModelledTable {
  readonly table: ConnectionTable;
  readonly live: Connection[] = [];
  readonly #buckets: Int32Array;
  /** Entries (id << 1 | direction) by key, newest last. */
  readonly #entries = new Map<string, Set<number>>();
  readonly #view = new DataView(new ArrayBuffer(32));

  constructor(maxConnections: number, seed: number) {
    const memory = layConnectionMemory(new ArrayBuffer(connectionMemoryBytes(maxConnections)), maxConnections);
    this.#buckets = memory.buckets;
    this.table = new ConnectionTable(memory, { k0: seed, k1: ~seed });
  }

  insert({ request, reply }: Keys, isRepliedTo: boolean): void {
    const id = this.table.allocate();
    assert.ok(id > 0 && id <= this.table.maxConnections);
    const { records } = this.table;
    const base = id << RECORD_SHIFT;
    assert.ok(
      records.subarray(base, base + RECORD_WORDS).every((word) => word === 0),
      'record is not zeroed',
    );
    const write = (word: number, rest: number, address: readonly number[]): void => {
      records[base + word] = address[0];
      for (let i = 1; i < address.length; i++) records[base + rest + i - 1] = address[i];
    };
    records[base + KIND] = request.kind;
    records[base + PORTS_REQUEST] = request.ports;
    records[base + PORTS_REPLY] = reply.ports;
    write(CLIENT, CLIENT_6, request.source);
    write(VIRTUAL, VIRTUAL_6, request.destination);
    write(DESTINATION, DESTINATION_6, reply.source);
    write(LOCAL, LOCAL_6, reply.destination);
    records[base + FLAGS] = isRepliedTo ? CONN_F_REPLY_KEY : 0;
    this.table.insert(id);
    this.live.push({ id, request, reply: isRepliedTo ? reply : undefined });
    this.#note(request, (id << 1) | REQUEST);
    if (isRepliedTo) this.#note(reply, (id << 1) | REPLY);
  }

  remove(index: number): void {
    const { id, request, reply } = this.live[index];
    this.live[index] = this.live[this.live.length - 1];
    this.live.pop();
    this.table.remove(id);
    this.#entries.get(nameOf(request))?.delete((id << 1) | REQUEST);
    if (reply !== undefined) this.#entries.get(nameOf(reply))?.delete((id << 1) | REPLY);
  }

  lookup(key: Key): number {
    const { kind, source, destination, ports } = key;
    if (source.length === 1) {
      const hash = this.table.hashIpv4(kind, source[0], destination[0], ports);
      return this.table.lookupIpv4(kind, source[0], destination[0], ports, hash);
    }
    for (const [i, word] of [...source, ...destination].entries()) this.#view.setInt32(i * 4, word);
    return this.table.lookupIpv6(kind, this.#view, 0, ports);
  }

  /** The table finds the newest of the entries of a key, or none where there is none; nobody asks for port 0. */
  check(key: Key): void {
    if (key.ports >>> 16 === 0 && (key.kind & KIND_TEMPLATE) === 0) return;
    const newest = [...(this.#entries.get(nameOf(key)) ?? [])].at(-1) ?? 0;
    assert.equal(this.lookup(key), newest, nameOf(key));
  }

  /** Makes a connection without reply key a template of other ports, which is the newest of its new key. */
  rekey(index: number, ports: number): void {
    const connection = this.live[index];
    const { id, request, reply } = connection;
    if (reply !== undefined) return;
    const other = { ...request, kind: request.kind | KIND_TEMPLATE, ports };
    this.table.rekey(id, other.kind, ports);
    this.#entries.get(nameOf(request))?.delete((id << 1) | REQUEST);
    this.#note(other, (id << 1) | REQUEST);
    this.live[index] = { ...connection, request: other };
  }

  /** Keys that several entries have. */
  get shared(): number {
    return [...this.#entries.values()].filter((entries) => entries.size > 1).length;
  }

  checkAll(): void {
    assert.equal(this.table.count, this.live.length);
    assert.equal(new Set(this.live.map(({ id }) => id)).size, this.live.length);
    for (const { request, reply } of this.live) {
      this.check(request);
      if (reply !== undefined) this.check(reply);
    }
    assert.ok(this.#buckets.subarray(this.table.bucketCount).every((head) => head === 0));
    const { records, highestId } = this.table;
    let used = 0;
    for (let id = 1; id <= highestId; id++) if (records[(id << RECORD_SHIFT) + KIND] !== 0) used++;
    assert.equal(used, this.live.length);
  }

  #note(key: Key, entry: number): void {
    const name = nameOf(key);
    const entries = this.#entries.get(name);
    if (entries === undefined) this.#entries.set(name, new Set([entry]));
    else entries.add(entry);
  }
}

/** Keys of a connection among few clients, of which each has `ports` ports and now and then 0, services and servers. */
export function randomKeys(random: Random, ports = 400, portless = 0.1): Keys {
  const isIpv6 = random.chance(0.4);
  const kind = (random.pick([6, 17]) << 8) | (isIpv6 ? 6 : 4);
  const address = (net: number, count: number): number[] => {
    const host = random.below(count);
    return isIpv6 ? [0x20010db8, net, random.below(2), host] : [((net << 24) | host) >> 0];
  };
  const client = address(10, 64);
  const clientPort = random.chance(portless) ? 0 : 1024 + random.below(ports);
  const [virtual, server] = [address(172, 3), address(192, 8)];
  const [virtualPort, serverPort] = [random.pick([80, 443]), random.pick([8080, 80])];
  return {
    request: { kind, source: client, destination: virtual, ports: (clientPort << 16) | virtualPort },
    reply: { kind, source: server, destination: client, ports: (serverPort << 16) | clientPort },
  };
}
