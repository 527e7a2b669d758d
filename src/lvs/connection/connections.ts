// SPDX-License-Identifier: Apache-2.0
// Life of connections and persistence templates: made for a server, moved from state to state by packets, counted on
// their server, ended by their timer (net/netfilter/ipvs/ip_vs_conn.c). The only writer of records; the director asks
// it, nobody else does.
// hot path

import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';
import type { Headers } from '../../packet/parse.ts';
import { TCP_ACK_FLAG, TCP_FLAGS, TCP_SYN } from '../../packet/tcp.ts';
import type { Timeouts } from '../model.ts';
import type { SchedulingRequest } from '../schedule/scheduler.ts';
import type { Server } from '../service/server.ts';
import { CONNECTIONS } from '../service/traffic.ts';
import {
  CHILDREN,
  CLIENT,
  CLIENT_6,
  CONN_F_CONTROLLED,
  CONN_F_FULLNAT,
  CONN_F_REPLY_KEY,
  CONN_F_TIMED,
  CONTROL,
  type ConnectionMemory,
  DESTINATION,
  DESTINATION_6,
  EXPIRES,
  EXTENSION_SHIFT,
  FLAGS,
  IN_PACKETS,
  IP_VS_CONN_F_BYPASS,
  IP_VS_CONN_F_DROUTE,
  IP_VS_CONN_F_INACTIVE,
  IP_VS_CONN_F_MASQ,
  IP_VS_CONN_F_NOOUTPUT,
  IP_VS_CONN_F_ONE_PACKET,
  IP_VS_CONN_F_TEMPLATE,
  IP_VS_CONN_F_TUNNEL,
  KIND,
  KIND_ENGINE,
  KIND_EXPECTED,
  KIND_TEMPLATE,
  LEASE,
  LOCAL,
  LOCAL_6,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  REQUEST,
  SERVER,
  STATE,
  STATE_MASK,
  TEMPLATE_ASSURED,
  TICKS_PER_SECOND,
  TIMEOUT,
  VIRTUAL,
  VIRTUAL_6,
} from './layout.ts';
import { isActiveSctpState, nextSctpState, SCTP_CLOSED, SCTP_ESTABLISHED, sctpEvent } from './sctp-state.ts';
import { StateTimes } from './state-times.ts';
import { ConnectionTable, type HashSeed } from './table.ts';
import {
  isActiveTcpState,
  nextTcpState,
  SECURE_INPUT,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_INPUT,
  TCP_INPUT_ONLY,
  TCP_LISTEN,
  TCP_OUTPUT,
  TCP_TIME_WAIT,
} from './tcp-state.ts';
import { TimerWheel } from './timer-wheel.ts';

/** How long a template that still has connections is put off, and lives from then on. */
const POSTPONED = 60 * TICKS_PER_SECOND;
/** Port of a template that is not valid any more. */
const INVALID_PORT = 0xffff;

/** The end that the server of a connection with FULLNAT sees. */
export interface LocalEnd {
  readonly address: { readonly words: Int32Array } | undefined;
  readonly port: number;
}

export class Connections {
  readonly table: ConnectionTable;
  readonly records: Int32Array;
  /** The director's own times, where a service has none. */
  readonly times: StateTimes = new StateTimes();
  /** The tables of secure_tcp are in force. */
  isSecure = false;
  /** Connections that are expected from any port of their client. */
  expected = 0;
  /** Microseconds of a clock that only goes forward, wrapping; set by whoever has one, for response times. */
  microseconds = 0;
  /** Told of templates of a persistence engine that are not found any more, and then of their end. */
  onEngineTemplateInvalid: (id: number) => void = () => {};
  onEngineTemplateEnd: (id: number) => void = () => {};
  /** Takes back the local end of a connection that is over. */
  onLeaseEnd: (lease: number) => void = () => {};
  /** Rows of servers by index; the director's own list. Row 0 is none. */
  readonly #servers: readonly (Server | undefined)[];
  readonly #wheel: TimerWheel;

  constructor(memory: ConnectionMemory, seed: HashSeed, servers: readonly (Server | undefined)[], now: number) {
    this.table = new ConnectionTable(memory, seed);
    this.records = memory.records;
    this.#servers = servers;
    this.#wheel = new TimerWheel(memory, now);
  }

  get timeouts(): Timeouts {
    return this.times.timeouts;
  }

  /** Changes what is not 0, in seconds; connections follow with their next packet. */
  set timeouts(timeouts: Timeouts) {
    this.times.timeouts = timeouts;
  }

  /** The server of a record, also one that is out of its service; undefined for one that has none (bypass). */
  serverOf(id: number): Server | undefined {
    return this.#servers[this.records[(id << RECORD_SHIFT) + SERVER]];
  }

  /**
   * A new connection of the packet in `request` to `server` at `port`, counted as inactive there until its state says
   * otherwise; without a server it goes where it is addressed to (bypass). Its timer is armed by the packet's
   * {@link advance}, which must follow. A one-packet connection is found by nobody; {@link release} it. With a `lease` the
   * server sees `local`, and the connection has an extension and holds the lease. Returns the record, or 0.
   */
  open(
    request: SchedulingRequest,
    kind: number,
    ports: number,
    server: Server | undefined,
    port: number,
    flags: number,
    lease = 0,
    local: LocalEnd | undefined = undefined,
  ): number {
    const id = this.table.allocate();
    if (id === 0) return 0;
    const records = this.records;
    const base = id << RECORD_SHIFT;
    if (lease !== 0) {
      const extension = this.extend(id);
      if (extension === 0) {
        this.table.discard(id);
        return 0;
      }
      records[extension + LEASE] = lease;
    }
    const isIpv4 = (kind & 0xff) === 4;
    records[base + KIND] = kind;
    records[base + PORTS_REQUEST] = ports;
    records[base + PORTS_REPLY] = (port << 16) | (ports >>> 16);
    records[base + CLIENT] = request.source[0];
    records[base + LOCAL] = request.source[0];
    records[base + VIRTUAL] = request.destination[0];
    if (!isIpv4) {
      for (let i = 0; i < 3; i++) {
        records[base + CLIENT_6 + i] = request.source[1 + i];
        records[base + LOCAL_6 + i] = request.source[1 + i];
        records[base + VIRTUAL_6 + i] = request.destination[1 + i];
      }
    }
    if (local?.address !== undefined) {
      const { words } = local.address;
      records[base + PORTS_REPLY] = (port << 16) | local.port;
      records[base + LOCAL] = words[0];
      for (let i = 0; i < 3; i++) records[base + LOCAL_6 + i] = words[1 + i];
    }
    records[base + FLAGS] = flags;
    if (server === undefined) {
      records[base + FLAGS] |= IP_VS_CONN_F_BYPASS;
    } else {
      this.#bind(base, server);
      server.bind(false);
      server.counters[CONNECTIONS]++;
    }
    if ((flags & IP_VS_CONN_F_ONE_PACKET) === 0) this.table.insert(id);
    return id;
  }

  /**
   * A template of `server` for the masked `client` and a virtual address or mark; `kind` has KIND_TEMPLATE. It lives for
   * `timeout` ticks from its {@link renew} on, which must follow.
   */
  openTemplate(
    kind: number,
    client: Int32Array,
    virtual: Int32Array,
    ports: number,
    server: Server,
    port: number,
    timeout: number,
    now: number,
  ): number {
    const id = this.table.allocate();
    if (id === 0) return 0;
    const records = this.records;
    const base = id << RECORD_SHIFT;
    records[base + KIND] = kind;
    records[base + PORTS_REQUEST] = ports;
    records[base + PORTS_REPLY] = port << 16;
    records[base + CLIENT] = client[0];
    records[base + VIRTUAL] = virtual[0];
    if ((kind & 0xff) === 6) {
      for (let i = 0; i < 3; i++) {
        records[base + CLIENT_6 + i] = client[1 + i];
        records[base + VIRTUAL_6 + i] = virtual[1 + i];
      }
    }
    records[base + FLAGS] = IP_VS_CONN_F_TEMPLATE;
    this.#bind(base, server);
    records[base + FLAGS] &= ~CONN_F_REPLY_KEY;
    server.persistent++;
    this.table.insert(id);
    records[base + TIMEOUT] = timeout;
    records[base + EXPIRES] = (now + timeout) | 0;
    this.#wheel.arm(id);
    return id;
  }

  /** The template of that key, or 0. */
  findTemplate(kind: number, client: Int32Array, virtual: Int32Array, ports: number): number {
    return this.table.lookupWords(kind, client, virtual, ports) >> 1;
  }

  /** Hangs a connection on its template, which starts its life anew. */
  control(id: number, template: number, now: number): void {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    records[base + CONTROL] = template;
    records[base + FLAGS] |= CONN_F_CONTROLLED;
    records[(template << RECORD_SHIFT) + CHILDREN]++;
    this.#renew(template, now);
  }

  /**
   * A connection that another one, `control`, has announced (ip_vs_control_add): to the server of that at `port`, of
   * `client`, `ports` being the client's and the virtual one; with client port 0 of any port, until it is {@link claim}ed. In
   * LISTEN until its first packet. Returns the record, or 0.
   */
  expect(control: number, client: Int32Array, ports: number, port: number, now: number): number {
    const id = this.table.allocate();
    if (id === 0) return 0;
    const records = this.records;
    const base = id << RECORD_SHIFT;
    const above = control << RECORD_SHIFT;
    const server = this.serverOf(control) as Server;
    records[base + KIND] = records[above + KIND];
    records[base + PORTS_REQUEST] = ports;
    records[base + PORTS_REPLY] = (port << 16) | (ports >>> 16);
    records[base + CLIENT] = client[0];
    records[base + LOCAL] = client[0];
    records[base + VIRTUAL] = records[above + VIRTUAL];
    for (let i = 0; i < 3; i++) {
      records[base + CLIENT_6 + i] = client[1 + i];
      records[base + LOCAL_6 + i] = client[1 + i];
      records[base + VIRTUAL_6 + i] = records[above + VIRTUAL_6 + i];
    }
    this.#bind(base, server);
    server.bind(false);
    if (ports >>> 16 === 0) {
      records[base + KIND] |= KIND_EXPECTED;
      records[base + FLAGS] &= ~CONN_F_REPLY_KEY;
      this.expected++;
    }
    this.table.insert(id);
    records[base + CONTROL] = control;
    records[base + FLAGS] |= CONN_F_CONTROLLED;
    if ((records[above + FLAGS] & CONN_F_TIMED) !== 0) {
      records[above + FLAGS] &= ~CONN_F_TIMED;
      records[above + CHILDREN] = 0;
    }
    records[above + CHILDREN]++;
    records[base + STATE] = TCP_LISTEN;
    records[base + TIMEOUT] = server.service.times.tcp[TCP_LISTEN];
    records[base + EXPIRES] = (now + records[base + TIMEOUT]) | 0;
    this.#wheel.arm(id);
    return id;
  }

  /** An inactive connection is announced once more (ip_vs_tcp_conn_listen). */
  listen(id: number, now: number): void {
    const base = id << RECORD_SHIFT;
    const times = this.serverOf(id)?.service.times ?? this.times;
    this.records[base + STATE] = (this.records[base + STATE] & ~STATE_MASK) | TCP_LISTEN;
    this.records[base + TIMEOUT] = times.tcp[TCP_LISTEN];
    this.#renew(id, now);
  }

  /** The first packet of a connection with KIND_EXPECTED comes from `clientPort` (ip_vs_conn_fill_cport). */
  claim(id: number, clientPort: number): void {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    records[base + PORTS_REPLY] |= clientPort;
    const ports = (clientPort << 16) | records[base + PORTS_REQUEST];
    this.table.rekey(id, records[base + KIND] & ~KIND_EXPECTED, ports);
    this.table.addReplyKey(id);
    this.expected--;
  }

  /** Takes a template out of use without ending it: its connections go on, no new one finds it. */
  invalidate(template: number): void {
    const base = template << RECORD_SHIFT;
    if ((this.records[base + PORTS_REQUEST] & INVALID_PORT) === INVALID_PORT) return;
    this.records[base + PORTS_REPLY] = INVALID_PORT << 16;
    if ((this.records[base + KIND] & KIND_ENGINE) !== 0) this.onEngineTemplateInvalid(template);
    this.table.rekey(template, this.records[base + KIND], INVALID_PORT);
  }

  /** A packet of the connection passes: state, counts of the server, timer. */
  advance(
    id: number,
    direction: number,
    server: Server | undefined,
    view: DataView,
    headers: Headers,
    now: number,
  ): void {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    const times = server === undefined ? this.times : server.service.times;
    const flags = records[base + FLAGS];
    let timeout: number;
    if (headers.protocol === IPPROTO_TCP) {
      const state = records[base + STATE] & STATE_MASK;
      const bits = view.getUint8(headers.transport + TCP_FLAGS);
      let table = TCP_OUTPUT;
      if (direction === REQUEST) table = (flags & IP_VS_CONN_F_NOOUTPUT) === 0 ? TCP_INPUT : TCP_INPUT_ONLY;
      if (this.isSecure) table += SECURE_INPUT;
      const next = nextTcpState(table, bits, state);
      if ((flags & CONN_F_TIMED) !== 0 && (bits & (TCP_SYN | TCP_ACK_FLAG)) === (TCP_SYN | TCP_ACK_FLAG)) {
        this.#measure(base, direction, server, now);
      }
      if (next !== state) {
        records[base + STATE] += next - state;
        this.#count(base, server, isActiveTcpState(next));
        if (next === TCP_ESTABLISHED) this.#assure(base);
      }
      timeout = times.tcp[next];
    } else if (headers.protocol === IPPROTO_UDP) {
      if (direction !== REQUEST && (flags & CONN_F_CONTROLLED) !== 0) this.#assure(base);
      timeout = times.udp;
    } else if (headers.protocol !== IPPROTO_SCTP) {
      timeout = records[base + TIMEOUT];
    } else {
      timeout = this.#advanceSctp(base, direction, server, view, headers, times);
    }
    if (direction === REQUEST) records[base + IN_PACKETS] = (records[base + IN_PACKETS] + 1) | 0;
    records[base + EXPIRES] = (now + timeout) | 0;
    const before = records[base + TIMEOUT];
    if (timeout !== before) {
      records[base + TIMEOUT] = timeout;
      if ((flags & IP_VS_CONN_F_ONE_PACKET) !== 0) return;
      // Only a timer that became shorter has to move now; a longer one is found out when its slot comes up.
      if (before === 0) this.#wheel.arm(id);
      else if (timeout < before) this.#wheel.rearm(id);
    }
  }

  /** Whether the first packet of a connection on this one means a new one, under conn_reuse_mode `mode`. */
  isOver(id: number, mode: number): boolean {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    const flags = records[base + FLAGS];
    if (mode === 0 || (flags & CONN_F_CONTROLLED) !== 0) return false;
    const state = records[base + STATE] & STATE_MASK;
    if (protocolOf(records[base + KIND]) === IPPROTO_SCTP) return state === SCTP_CLOSED;
    if (state === TCP_TIME_WAIT || state === TCP_CLOSE) return true;
    return (mode & 2) !== 0 && state === TCP_FIN_WAIT && (flags & IP_VS_CONN_F_NOOUTPUT) !== 0;
  }

  /** Whether a connection is on its way to its end, whatever took it there. */
  isClosing(id: number): boolean {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    const state = records[base + STATE] & STATE_MASK;
    if (protocolOf(records[base + KIND]) === IPPROTO_SCTP) return !isActiveSctpState(state) && state > SCTP_ESTABLISHED;
    return !isActiveTcpState(state);
  }

  /** Starts the clock for the answer to the connection's first packet, where answers pass here. */
  time(id: number, server: Server, now: number): void {
    const base = id << RECORD_SHIFT;
    if ((this.records[base + FLAGS] & IP_VS_CONN_F_NOOUTPUT) !== 0) return;
    this.records[base + FLAGS] |= CONN_F_TIMED;
    this.records[base + CHILDREN] = this.microseconds | 0;
    server.response.asked(now);
  }

  /** Ends a connection at once; an unproven template whose last connection it was stays, and so does what has children. */
  close(id: number): void {
    if (this.hasChildren(id)) return;
    this.#wheel.disarm(id);
    this.#forget(id, false);
  }

  /** Ends a connection by force: an unproven template whose last connection it was goes with it. */
  drop(id: number): void {
    if (this.hasChildren(id)) return;
    this.#wheel.disarm(id);
    this.#forget(id, true);
  }

  /** Ends a one-packet connection, whose packet went in `direction`. */
  release(id: number, direction: number): void {
    const base = id << RECORD_SHIFT;
    if ((this.records[base + FLAGS] & CONN_F_CONTROLLED) !== 0) {
      const template = this.records[base + CONTROL] << RECORD_SHIFT;
      this.records[template + CHILDREN]--;
      if (direction === REQUEST) this.records[template + IN_PACKETS] = (this.records[template + IN_PACKETS] + 1) | 0;
    }
    this.serverOf(id)?.unbind(false);
    this.#dropExtension(base);
    this.table.discard(id);
  }

  /** Index of the words of a connection's extension; 0 when it has none. */
  extensionOf(id: number): number {
    return (this.records[(id << RECORD_SHIFT) + STATE] >>> EXTENSION_SHIFT) << RECORD_SHIFT;
  }

  /** As {@link extensionOf}, made when it is not there; 0 when the table is full. */
  extend(id: number): number {
    const known = this.extensionOf(id);
    if (known !== 0) return known;
    const extension = this.table.allocate();
    this.records[(id << RECORD_SHIFT) + STATE] |= extension << EXTENSION_SHIFT;
    return extension << RECORD_SHIFT;
  }

  /** Ends what has run out, at most `budget` of it and as many moved timers; returns how many. */
  expire(now: number, budget: number): number {
    let ended = 0;
    this.#wheel.movesLeft = budget;
    while (ended < budget) {
      const id = this.#wheel.due(now);
      if (id === 0) break;
      ended++;
      if (this.hasChildren(id)) this.#postpone(id, now);
      else this.#forget(id, false);
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

  /** Writes what a record takes from its server. */
  #bind(base: number, server: Server): void {
    const records = this.records;
    const { method } = server.options;
    const isNat = method === 'nat' || method === 'fullnat';
    records[base + FLAGS] |= isNat
      ? (method === 'fullnat' ? CONN_F_FULLNAT : IP_VS_CONN_F_MASQ) | IP_VS_CONN_F_INACTIVE
      : (method === 'tun' ? IP_VS_CONN_F_TUNNEL : IP_VS_CONN_F_DROUTE) | IP_VS_CONN_F_INACTIVE | IP_VS_CONN_F_NOOUTPUT;
    if (isNat && (records[base + FLAGS] & IP_VS_CONN_F_ONE_PACKET) === 0) records[base + FLAGS] |= CONN_F_REPLY_KEY;
    records[base + SERVER] = server.index;
    records[base + DESTINATION] = server.words[0];
    for (let i = 0; i < 3; i++) records[base + DESTINATION_6 + i] = server.words[1 + i];
  }

  #advanceSctp(
    base: number,
    direction: number,
    server: Server | undefined,
    view: DataView,
    headers: Headers,
    times: StateTimes,
  ): number {
    const records = this.records;
    let table = TCP_OUTPUT;
    if (direction === REQUEST)
      table = (records[base + FLAGS] & IP_VS_CONN_F_NOOUTPUT) === 0 ? TCP_INPUT : TCP_INPUT_ONLY;
    const state = records[base + STATE] & STATE_MASK;
    const event = sctpEvent(view, headers.transport, headers.end);
    // Without a chunk there is no event: the timer goes on with what it had, 3 s at first.
    if (event < 0) return records[base + TIMEOUT] !== 0 ? records[base + TIMEOUT] : 3 * TICKS_PER_SECOND;
    const next = nextSctpState(table, event, state);
    if (next !== state) {
      records[base + STATE] += next - state;
      this.#count(base, server, isActiveSctpState(next));
      if (next === SCTP_ESTABLISHED) this.#assure(base);
    }
    return times.sctp[next];
  }

  #measure(base: number, direction: number, server: Server | undefined, now: number): void {
    if (direction === REQUEST || server === undefined) return;
    const records = this.records;
    const elapsed = (this.microseconds - records[base + CHILDREN]) | 0;
    records[base + FLAGS] &= ~CONN_F_TIMED;
    records[base + CHILDREN] = 0;
    if (elapsed >= 0) server.response.answered(elapsed, now);
  }

  /** The connection has proved real: its template outlives it. */
  #assure(base: number): void {
    if ((this.records[base + FLAGS] & CONN_F_CONTROLLED) === 0) return;
    const above = this.records[base + CONTROL] << RECORD_SHIFT;
    if ((this.records[above + FLAGS] & IP_VS_CONN_F_TEMPLATE) !== 0) this.records[above + STATE] |= TEMPLATE_ASSURED;
  }

  /** Whether other connections hang on this entry. */
  hasChildren(id: number): boolean {
    const base = id << RECORD_SHIFT;
    return this.records[base + CHILDREN] !== 0 && (this.records[base + FLAGS] & CONN_F_TIMED) === 0;
  }

  #postpone(id: number, now: number): void {
    const base = id << RECORD_SHIFT;
    this.records[base + TIMEOUT] = POSTPONED;
    this.records[base + EXPIRES] = (now + POSTPONED) | 0;
    this.#wheel.arm(id);
  }

  #renew(id: number, now: number): void {
    const base = id << RECORD_SHIFT;
    this.records[base + EXPIRES] = (now + this.records[base + TIMEOUT]) | 0;
    this.#wheel.rearm(id);
  }

  /** Ends a disarmed entry. `isForced` takes along a control connection or unproven template whose last one this was. */
  #forget(id: number, isForced: boolean): void {
    const records = this.records;
    const base = id << RECORD_SHIFT;
    const flags = records[base + FLAGS];
    const server = this.#servers[records[base + SERVER]];
    const control = (flags & CONN_F_CONTROLLED) !== 0 ? records[base + CONTROL] : 0;
    if ((records[base + KIND] & KIND_EXPECTED) !== 0) this.expected--;
    if ((flags & IP_VS_CONN_F_TEMPLATE) !== 0) {
      if (server !== undefined) server.persistent--;
      if ((records[base + KIND] & KIND_ENGINE) !== 0) this.onEngineTemplateEnd(id);
    } else {
      server?.unbind((flags & IP_VS_CONN_F_INACTIVE) === 0);
    }
    this.#dropExtension(base);
    this.table.remove(id);
    if (control === 0) return;
    const above = control << RECORD_SHIFT;
    records[above + CHILDREN]--;
    if (!isForced || records[above + CHILDREN] !== 0) return;
    const isProven = isTemplate(records[above + KIND]) && (records[above + STATE] & TEMPLATE_ASSURED) !== 0;
    if (!isProven) this.drop(control);
  }

  #dropExtension(base: number): void {
    const extension = this.records[base + STATE] >>> EXTENSION_SHIFT;
    if (extension === 0) return;
    const lease = this.records[(extension << RECORD_SHIFT) + LEASE];
    if (lease !== 0) this.onLeaseEnd(lease);
    this.table.discard(extension);
  }

  /** Moves the connection between its server's active and inactive ones, §"counting" of ip_vs_proto_tcp.c. */
  #count(base: number, server: Server | undefined, isActive: boolean): void {
    const flags = this.records[base + FLAGS];
    const wasActive = (flags & IP_VS_CONN_F_INACTIVE) === 0;
    if (isActive === wasActive || server === undefined) return;
    this.records[base + FLAGS] = flags ^ IP_VS_CONN_F_INACTIVE;
    server.active += isActive ? 1 : -1;
  }
}

/** Protocol number of a record's KIND. */
export function protocolOf(kind: number): number {
  return (kind >>> 8) & 0xff;
}

/** Whether a record's KIND is a template's. */
export function isTemplate(kind: number): boolean {
  return (kind & KIND_TEMPLATE) !== 0;
}

/** Whether connections of a protocol number are tracked. */
export function isTracked(protocol: number): boolean {
  return protocol === IPPROTO_TCP || protocol === IPPROTO_UDP || protocol === IPPROTO_SCTP;
}
