// SPDX-License-Identifier: Apache-2.0
// Draining a server: it gets no new connections, and those that are left at the deadline are reset, both ends told. A
// reset needs sequence numbers that the director does not keep, so it takes them from a packet: at the deadline it asks
// the server of each connection with a bare ACK out of the blue, which TCP answers by its numbers (RFC 9293 §3.10.7.4).
// Who does not answer three times has no connection to reset. Direct routing shows no answers; there the client's next
// packet ends the connection.

import { IPPROTO_TCP } from '../packet/ipv4.ts';
import type { Headers } from '../packet/parse.ts';
import { TCP_ACK_FLAG, TCP_FLAGS, TCP_RST, TCP_SYN } from '../packet/tcp.ts';
import { acknowledgmentOf, makeControlSegment, payloadOf, sequenceOf, turnIntoReset } from '../packet/tcp-control.ts';
import { type Connections, isTemplate, protocolOf } from './connection/connections.ts';
import {
  CLIENT,
  CLIENT_6,
  DESTINATION,
  DESTINATION_6,
  FLAGS,
  IP_VS_CONN_F_FWD_MASK,
  IP_VS_CONN_F_MASQ,
  KIND,
  KIND_EXPECTED,
  LOCAL,
  LOCAL_6,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  REQUEST,
  TICKS_PER_SECOND,
  VIRTUAL,
  VIRTUAL_6,
} from './connection/layout.ts';
import { shiftToServer } from './fullnat/fullnat.ts';
import type { Drain, Server } from './service/server.ts';

/** Records that one call looks at. */
const RECORDS_PER_CALL = 4096;
/** With so many packets waiting to be sent no more questions are asked. */
const MAX_OUTBOX = 1024;

/** How often a server is asked, and how long it has for its answer. */
const QUESTIONS = 3;
const ANSWER_TICKS = TICKS_PER_SECOND;

/** How a packet of a connection that is being reset goes on. */
export const RESET_FORWARD = 0;
export const RESET_DROP = 1;

export class Drains {
  /** Where packets go that the director sends by itself. */
  readonly outbox: Uint8Array[];
  readonly #connections: Connections;
  /** Servers that have a deadline, before them or behind, with the drain that set it. */
  readonly #timed = new Map<Server, Drain>();
  /** Record that is next to be asked whether its server is past its deadline; 0 when nobody asks. */
  #cursor = 0;
  /** Another sweep became due in the midst of one. */
  #isDueAgain = false;

  constructor(connections: Connections, outbox: Uint8Array[]) {
    this.#connections = connections;
    this.outbox = outbox;
  }

  get isBusy(): boolean {
    return this.#cursor > 0 || this.outbox.length > 0;
  }

  /** Drains `server`, whose weight is 0 already, until tick `deadline` or without an end; a drain before is over. */
  start(server: Server, deadline: number | undefined): void {
    const drain = { deadline, sweeps: 0, sweepAt: deadline ?? 0 };
    server.drain = drain;
    server.isResetting = false;
    if (deadline === undefined) this.#timed.delete(server);
    else this.#timed.set(server, drain);
  }

  /** Does a slice of the work. */
  work(now: number): void {
    for (const [server, drain] of this.#timed) {
      if (server.drain !== drain) this.#timed.delete(server);
      else if (((now - drain.sweepAt) | 0) >= 0) this.#due(server, drain, now);
    }
    if (this.#cursor > 0) this.#sweep();
  }

  /**
   * A TCP packet of a connection past its deadline: its sender gets a reset through the outbox, it becomes the reset of
   * its receiver. What is no TCP, or carries no acknowledgment, ends the connection without. The caller ends it.
   */
  reset(view: DataView, headers: Headers, id: number, direction: number): number {
    const flags = headers.protocol === IPPROTO_TCP ? view.getUint8(headers.transport + TCP_FLAGS) : 0;
    if ((flags & TCP_ACK_FLAG) === 0 || (flags & TCP_SYN) !== 0)
      return (flags & TCP_RST) !== 0 ? RESET_FORWARD : RESET_DROP;
    if ((flags & TCP_RST) !== 0) return RESET_FORWARD;
    this.#send(id, direction === REQUEST, acknowledgmentOf(view, headers), TCP_RST);
    // A keep-alive and the probe of a closed window have the number before the one that is expected (RFC 9293 §3.8.4).
    const mayProbe = payloadOf(view, headers) <= 1 && (direction !== REQUEST || this.#isNat(id));
    const shift =
      direction === REQUEST ? shiftToServer(this.#connections.records, this.#connections.extensionOf(id)) : 0;
    if (mayProbe) this.#send(id, direction !== REQUEST, (sequenceOf(view, headers) + 1 + shift) | 0, TCP_RST);
    turnIntoReset(view, headers);
    return RESET_FORWARD;
  }

  #due(server: Server, drain: Drain, now: number): void {
    server.isResetting = true;
    drain.sweepAt = (now + ANSWER_TICKS) | 0;
    if (++drain.sweeps > QUESTIONS) this.#timed.delete(server);
    if (this.#cursor === 0) this.#cursor = 1;
    else this.#isDueAgain = true;
  }

  #sweep(): void {
    const { table, records } = this.#connections;
    const end = Math.min(table.highestId + 1, this.#cursor + RECORDS_PER_CALL);
    let id = this.#cursor;
    for (; id < end && this.outbox.length < MAX_OUTBOX; id++) {
      const base = id << RECORD_SHIFT;
      const kind = records[base + KIND];
      const server = kind === 0 ? undefined : this.#connections.serverOf(id);
      if (server?.isResetting !== true) continue;
      if (isTemplate(kind) || (kind & KIND_EXPECTED) !== 0 || protocolOf(kind) !== IPPROTO_TCP) {
        if (!this.#connections.hasChildren(id)) this.#connections.close(id);
      } else if (this.#isNat(id)) {
        if ((server.drain?.sweeps ?? 0) > QUESTIONS) this.#connections.close(id);
        else this.#send(id, false, 0, TCP_ACK_FLAG);
      }
    }
    this.#cursor = id;
    if (id <= table.highestId) return;
    this.#cursor = this.#isDueAgain ? 1 : 0;
    this.#isDueAgain = false;
  }

  #isNat(id: number): boolean {
    const flags = this.#connections.records[(id << RECORD_SHIFT) + FLAGS];
    return (flags & IP_VS_CONN_F_FWD_MASK) === IP_VS_CONN_F_MASQ;
  }

  /** Puts a segment of connection `id` into the outbox: to its client from the virtual address, or to its server. */
  #send(id: number, isToClient: boolean, sequence: number, flags: number): void {
    const records = this.#connections.records;
    const base = id << RECORD_SHIFT;
    const family = (records[base + KIND] & 0xff) === 4 ? 4 : 6;
    const words = (word: number, rest: number): number[] => [
      records[base + word],
      ...records.subarray(base + rest, base + rest + 3),
    ];
    const request = records[base + PORTS_REQUEST];
    const reply = records[base + PORTS_REPLY];
    const common = { family, sequence, acknowledgment: 0, flags } as const;
    this.outbox.push(
      isToClient
        ? makeControlSegment({
            ...common,
            source: words(VIRTUAL, VIRTUAL_6),
            sourcePort: request & 0xffff,
            destination: words(CLIENT, CLIENT_6),
            destinationPort: request >>> 16,
          })
        : makeControlSegment({
            ...common,
            source: words(LOCAL, LOCAL_6),
            sourcePort: reply & 0xffff,
            destination: words(DESTINATION, DESTINATION_6),
            destinationPort: reply >>> 16,
          }),
    );
  }
}
