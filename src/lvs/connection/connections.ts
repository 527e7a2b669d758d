// SPDX-License-Identifier: Apache-2.0
// Life of connections: made for a server, moved from state to state by packets, counted on their server, ended by their
// timer. The only writer of records; the director asks it, nobody else does.
// hot path

import { IPPROTO_TCP, IPPROTO_UDP, IPV4_DST, IPV4_SRC } from '../../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import { TCP_FLAGS } from '../../packet/tcp.ts';
import type { Timeouts } from '../model.ts';
import type { Server } from '../service/server.ts';
import { CONNECTIONS } from '../service/traffic.ts';
import {
  CLIENT,
  CLIENT_6,
  CONN_F_REPLY_KEY,
  type ConnectionMemory,
  DESTINATION,
  DESTINATION_6,
  EXPIRES,
  FLAGS,
  IN_PACKETS,
  IP_VS_CONN_F_INACTIVE,
  IP_VS_CONN_F_MASQ,
  KIND,
  LOCAL,
  LOCAL_6,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  REQUEST,
  SERVER,
  STATE,
  TICKS_PER_SECOND,
  TIMEOUT,
  VIRTUAL,
  VIRTUAL_6,
} from './layout.ts';
import { ConnectionTable, type HashSeed } from './table.ts';
import {
  defaultTcpTimeouts,
  isActiveTcpState,
  nextTcpState,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_INPUT,
  TCP_OUTPUT,
  TCP_TIME_WAIT,
} from './tcp-state.ts';
import { TimerWheel } from './timer-wheel.ts';

const UDP_TIMEOUT = 300 * TICKS_PER_SECOND;

export class Connections {
  readonly table: ConnectionTable;
  readonly records: Int32Array;
  /** Rows of servers by index; the director's own list. */
  readonly #servers: readonly (Server | undefined)[];
  readonly #wheel: TimerWheel;
  readonly #tcpTimeouts: Int32Array = defaultTcpTimeouts();
  #udpTimeout = UDP_TIMEOUT;

  constructor(memory: ConnectionMemory, seed: HashSeed, servers: readonly (Server | undefined)[], now: number) {
    this.table = new ConnectionTable(memory, seed);
    this.records = memory.records;
    this.#servers = servers;
    this.#wheel = new TimerWheel(memory, now);
  }

  get timeouts(): Timeouts {
    return {
      tcp: this.#tcpTimeouts[TCP_ESTABLISHED] / TICKS_PER_SECOND,
      tcpFin: this.#tcpTimeouts[TCP_FIN_WAIT] / TICKS_PER_SECOND,
      udp: this.#udpTimeout / TICKS_PER_SECOND,
    };
  }

  /** Changes what is not 0, in seconds; connections follow with their next packet. */
  set timeouts(timeouts: Timeouts) {
    if (timeouts.tcp > 0) this.#tcpTimeouts[TCP_ESTABLISHED] = timeouts.tcp * TICKS_PER_SECOND;
    if (timeouts.tcpFin > 0) this.#tcpTimeouts[TCP_FIN_WAIT] = timeouts.tcpFin * TICKS_PER_SECOND;
    if (timeouts.udp > 0) this.#udpTimeout = timeouts.udp * TICKS_PER_SECOND;
  }

  /**
   * A new NAT connection of the request in `headers` to `server`, counted as inactive there until its state says
   * otherwise. Its timer is armed by the packet's {@link advance}, which must follow. Returns the record, or 0.
   */
  open(view: DataView, headers: Headers, server: Server): number {
    const id = this.table.allocate();
    if (id === 0) return 0;
    const records = this.records;
    const base = id << RECORD_SHIFT;
    const ports = view.getInt32(headers.transport);
    records[base + KIND] = (headers.protocol << 8) | headers.family;
    records[base + PORTS_REQUEST] = ports;
    records[base + PORTS_REPLY] = (server.port << 16) | (ports >>> 16);
    if (headers.family === 4) {
      const client = view.getInt32(headers.ip + IPV4_SRC);
      records[base + CLIENT] = client;
      records[base + LOCAL] = client;
      records[base + VIRTUAL] = view.getInt32(headers.ip + IPV4_DST);
      records[base + DESTINATION] = server.words[0];
    } else {
      this.#writeIpv6(view, headers.ip, base, server);
    }
    records[base + FLAGS] = IP_VS_CONN_F_MASQ | IP_VS_CONN_F_INACTIVE | CONN_F_REPLY_KEY;
    records[base + SERVER] = server.index;
    server.inactive++;
    server.counters[CONNECTIONS]++;
    this.table.insert(id);
    return id;
  }

  /** A packet of the connection passes: state, counts of the server, timer. */
  advance(id: number, direction: number, view: DataView, headers: Headers, now: number): void {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    let timeout: number;
    if (headers.protocol === IPPROTO_TCP) {
      const state = records[base + STATE];
      const table = direction === REQUEST ? TCP_INPUT : TCP_OUTPUT;
      const next = nextTcpState(table, view.getUint8(headers.transport + TCP_FLAGS), state);
      if (next !== state) {
        records[base + STATE] = next;
        this.#count(base, isActiveTcpState(next));
      }
      timeout = this.#tcpTimeouts[next];
    } else {
      timeout = this.#udpTimeout;
    }
    if (direction === REQUEST) records[base + IN_PACKETS] = (records[base + IN_PACKETS] + 1) | 0;
    records[base + EXPIRES] = (now + timeout) | 0;
    const before = records[base + TIMEOUT];
    if (timeout !== before) {
      records[base + TIMEOUT] = timeout;
      // Only a timer that became shorter has to move now; a longer one is found out when its slot comes up.
      if (before === 0) this.#wheel.arm(id);
      else if (timeout < before) this.#wheel.rearm(id);
    }
  }

  /** Whether a SYN on this connection means a new one (conn_reuse_mode 1): the old one is as good as over. */
  isOver(id: number): boolean {
    const base = id << RECORD_SHIFT;
    const state = this.records[base + STATE];
    return this.records[base + KIND] >>> 8 === IPPROTO_TCP && (state === TCP_TIME_WAIT || state === TCP_CLOSE);
  }

  /** Ends a connection at once. */
  close(id: number): void {
    this.#wheel.disarm(id);
    this.#forget(id);
  }

  /** Ends connections whose time has come, at most `budget` of them and as many moved timers; returns how many. */
  expire(now: number, budget: number): number {
    let ended = 0;
    this.#wheel.movesLeft = budget;
    while (ended < budget) {
      const id = this.#wheel.due(now);
      if (id === 0) break;
      this.#forget(id);
      ended++;
    }
    return ended;
  }

  /** Whether {@link expire} left some for the next call. */
  lags(now: number): boolean {
    return this.#wheel.lags(now);
  }

  /** Whole seconds until record `id` expires, as listings show it. */
  secondsLeft(id: number, now: number): number {
    const ticks = (this.records[(id << RECORD_SHIFT) + EXPIRES] - now) | 0;
    return Math.max(0, Math.floor(ticks / TICKS_PER_SECOND));
  }

  #forget(id: number): void {
    const base = id << RECORD_SHIFT;
    const server = this.#servers[this.records[base + SERVER]];
    if (server !== undefined) {
      if ((this.records[base + FLAGS] & IP_VS_CONN_F_INACTIVE) !== 0) server.inactive--;
      else server.active--;
    }
    this.table.remove(id);
  }

  /** Moves the connection between its server's active and inactive ones, §"counting" of ip_vs_proto_tcp.c. */
  #count(base: number, isActive: boolean): void {
    const flags = this.records[base + FLAGS];
    const wasActive = (flags & IP_VS_CONN_F_INACTIVE) === 0;
    if (isActive === wasActive) return;
    this.records[base + FLAGS] = flags ^ IP_VS_CONN_F_INACTIVE;
    const server = this.#servers[this.records[base + SERVER]];
    if (server === undefined) return;
    if (isActive) {
      server.active++;
      server.inactive--;
    } else {
      server.active--;
      server.inactive++;
    }
  }

  #writeIpv6(view: DataView, ip: number, base: number, server: Server): void {
    const records = this.records;
    records[base + CLIENT] = view.getInt32(ip + IPV6_SRC);
    records[base + LOCAL] = records[base + CLIENT];
    records[base + VIRTUAL] = view.getInt32(ip + IPV6_DST);
    records[base + DESTINATION] = server.words[0];
    for (let i = 0; i < 3; i++) {
      const client = view.getInt32(ip + IPV6_SRC + 4 + (i << 2));
      records[base + CLIENT_6 + i] = client;
      records[base + LOCAL_6 + i] = client;
      records[base + VIRTUAL_6 + i] = view.getInt32(ip + IPV6_DST + 4 + (i << 2));
    }
    records[base + DESTINATION_6] = server.words[1];
    records[base + DESTINATION_6 + 1] = server.words[2];
    records[base + DESTINATION_6 + 2] = server.words[3];
  }
}

/** Whether connections of a protocol number are tracked. */
export function isTracked(protocol: number): boolean {
  return protocol === IPPROTO_TCP || protocol === IPPROTO_UDP;
}
