// SPDX-License-Identifier: Apache-2.0
// Which entries drop_entry ends (ip_vs_random_dropentry and todrop_entry in ip_vs_conn.c): those that have not proved
// real, and of the others some that are idle after few packets.

import { IPPROTO_SCTP, IPPROTO_TCP } from '../../packet/ipv4.ts';
import { type Connections, protocolOf } from '../connection/connections.ts';
import {
  EXPIRES,
  FLAGS,
  IN_PACKETS,
  IP_VS_CONN_F_TEMPLATE,
  KIND,
  RECORD_SHIFT,
  STATE,
  STATE_MASK,
  TEMPLATE_ASSURED,
  TICKS_PER_SECOND,
  TIMEOUT,
} from '../connection/layout.ts';
import { SCTP_ESTABLISHED, SCTP_INIT, SCTP_INIT1 } from '../connection/sctp-state.ts';
import { TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYNACK } from '../connection/tcp-state.ts';

/** An entry that was idle for less is not dropped. */
const IDLE_TICKS = 60 * TICKS_PER_SECOND;
/** Nor is one that has seen more packets. */
const MOST_PACKETS = 8;

export class DropEntry {
  readonly #connections: Connections;
  /** By packets seen: how many more entries are spared. */
  readonly #spared: Int8Array = new Int8Array(MOST_PACKETS + 1);

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Whether to end this entry now. */
  picks(id: number, now: number): boolean {
    const connections = this.#connections;
    const { records } = connections;
    const base = id << RECORD_SHIFT;
    if (connections.hasChildren(id)) return false;
    const state = records[base + STATE] & STATE_MASK;
    if ((records[base + FLAGS] & IP_VS_CONN_F_TEMPLATE) !== 0) {
      if (connections.serverOf(id)?.service.onePacket === true) return this.#isIdle(base, now);
      return (state & TEMPLATE_ASSURED) === 0;
    }
    switch (protocolOf(records[base + KIND])) {
      case IPPROTO_TCP:
        if (state === TCP_SYN_RECV || state === TCP_SYNACK) return true;
        return state === TCP_ESTABLISHED && this.#isIdle(base, now);
      case IPPROTO_SCTP:
        if (state === SCTP_INIT1 || state === SCTP_INIT) return true;
        return state === SCTP_ESTABLISHED && this.#isIdle(base, now);
      default:
        return this.#isIdle(base, now);
    }
  }

  /** Whether an entry is idle and has seen 1 … 8 packets, of which each i-th with i packets is meant. */
  #isIdle(base: number, now: number): boolean {
    const { records } = this.#connections;
    const idle = (now + records[base + TIMEOUT] - records[base + EXPIRES]) | 0;
    if (idle < IDLE_TICKS) return false;
    const packets = records[base + IN_PACKETS];
    if (packets < 1 || packets > MOST_PACKETS) return false;
    if (--this.#spared[packets] > 0) return false;
    this.#spared[packets] = packets;
    return true;
  }
}
