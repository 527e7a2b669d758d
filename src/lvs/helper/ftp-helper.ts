// SPDX-License-Identifier: Apache-2.0
// FTP through NAT (ip_vs_ftp.c): reads along in control connections, lets the data connections that they announce through,
// and has the client read the virtual address where the server wrote its own. What that does to the length of a text,
// the numbers of all later segments are shifted by. Asked by the director for packets of connections that it `helps`, and
// for what belongs to no connection while some are expected. What it remembers of a control connection stands in the
// connection's extension, which only a client that asks for a data connection gets.
// hot path: helps()
//
//   0 … 5 sequence numbers      6 mode, and whether a reply was rewritten      7 sequence number of the last such reply
//   8 next slot                 9 … 16 slots: the connections announced last

import { IPPROTO_TCP, IPV4_DST, IPV4_SRC } from '../../packet/ipv4.ts';
import { IPV6_SRC } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import { splice } from '../../packet/splice.ts';
import { TCP_ACK_FLAG, TCP_FLAGS, TCP_RST, TCP_SEQ, TCP_SYN } from '../../packet/tcp.ts';
import { tcpDataStart } from '../../packet/tcp-options.ts';
import { isTransportIntact } from '../../packet/transport-checksum.ts';
import type { Connections } from '../connection/connections.ts';
import {
  CLIENT,
  CLIENT_6,
  CONN_F_CONTROLLED,
  CONN_F_FULLNAT,
  CONTROL,
  DESTINATION,
  DESTINATION_6,
  FLAGS,
  HELPER_WORDS,
  IP_VS_CONN_F_FWD_MASK,
  IP_VS_CONN_F_MASQ,
  KIND,
  KIND_EXPECTED,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  REPLY,
  REQUEST,
  SERVER,
  STATE,
  STATE_MASK,
  VIRTUAL,
  VIRTUAL_6,
} from '../connection/layout.ts';
import { TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_RECV } from '../connection/tcp-state.ts';
import type { Departure } from '../forward/departure.ts';
import type { FrameMemory } from '../frame-memory.ts';
import { FTP_PORT } from '../service/service-table.ts';
import { DROP_TABLE_FULL, FORWARD } from '../verdict.ts';
import {
  FTP_EPSV,
  FTP_MAX_TEXT,
  FTP_NONE,
  FTP_PASSIVE_REPLY,
  FTP_PASV,
  FtpText,
  parseFtpReply,
  parseFtpRequest,
  writeFtpNumbers,
  writeFtpPort,
} from './ftp.ts';
import { adjustSegment, clearSequence, isSequenceShifted, noteResize, SEQUENCE_WORDS } from './sequence.ts';

const MODE: number = SEQUENCE_WORDS;
const LAST_REPLY: number = MODE + 1;
const NEXT_SLOT: number = MODE + 2;
const SLOTS: number = MODE + 3;

/** Of the word at MODE: the mode itself, and that LAST_REPLY is a number. */
const MODE_MASK = 0xff;
const HAS_REPLIED = 0x100;

/**
 * Announced connections of one control connection that may wait for their first packet; one more ends the oldest.
 * deviates: the kernel has no limit.
 */
export const MOST_AWAITED = 8;

/** Servers offer no well-known port for data: a text that names one was not written by them, or not for this. */
const FIRST_DATA_PORT = 1024;
/** Most bytes that a text grows by: `1,1,1,1` to `255,255,255,255` is 8. A frame's slot has more room. */
const MOST_GROWTH = 48;

export class FtpHelper {
  /** Announced connections that ended unused since their client asked for more than may wait. */
  surplus = 0;
  readonly #connections: Connections;
  readonly #departure: Departure;
  readonly #text = new FtpText();
  readonly #written = new Uint8Array(FTP_MAX_TEXT);
  readonly #client = new Int32Array(4);
  readonly #virtual = new Int32Array(4);

  constructor(connections: Connections, departure: Departure) {
    this.#connections = connections;
    this.#departure = departure;
  }

  /** Whether a connection is a control connection through NAT; data connections of FULLNAT would need local ends. */
  helps(id: number, headers: Headers): boolean {
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    return (
      (records[base + PORTS_REQUEST] & 0xffff) === FTP_PORT &&
      headers.protocol === IPPROTO_TCP &&
      (records[base + FLAGS] & (IP_VS_CONN_F_FWD_MASK | CONN_F_FULLNAT)) === IP_VS_CONN_F_MASQ
    );
  }

  /**
   * The connection, expected from any port of its client, that the packet in `headers` begins; or 0. It is a connection like
   * any other from then on. deviates: only a SYN begins it, where the kernel takes any segment.
   */
  claim(view: DataView, headers: Headers): number {
    const { family, ip, transport, protocol } = headers;
    if (protocol !== IPPROTO_TCP) return 0;
    const bits = view.getUint8(transport + TCP_FLAGS) & (TCP_SYN | TCP_ACK_FLAG | TCP_RST);
    const clientPort = view.getUint16(transport);
    if (bits !== TCP_SYN || clientPort === 0) return 0;
    const { table } = this.#connections;
    const kind = (IPPROTO_TCP << 8) | family | KIND_EXPECTED;
    const ports = view.getUint16(transport + 2);
    let entry: number;
    if (family === 4) {
      const source = view.getInt32(ip + IPV4_SRC);
      const destination = view.getInt32(ip + IPV4_DST);
      entry = table.lookupIpv4(kind, source, destination, ports, table.hashIpv4(kind, source, destination, ports));
    } else {
      entry = table.lookupIpv6(kind, view, ip + IPV6_SRC, ports);
    }
    if (entry === 0) return 0;
    this.#connections.claim(entry >> 1, clientPort);
    return entry >> 1;
  }

  /** A client's packet of a control connection, after its state was taken note of. */
  request(view: DataView, headers: Headers, id: number, now: number): void {
    const { records } = this.#connections;
    const isSyn = (view.getUint8(headers.transport + TCP_FLAGS) & TCP_SYN) !== 0;
    const state = records[(id << RECORD_SHIFT) + STATE] & STATE_MASK;
    if (isSyn && state === TCP_SYN_RECV) {
      const extension = this.#connections.extensionOf(id);
      if (extension !== 0) forget(records, extension + HELPER_WORDS);
      return;
    }
    const start = this.#dataStart(view, headers, id);
    if (start !== 0) this.#readRequest(view, headers, start, id, now);
    this.#adjust(view, headers, id, REQUEST);
  }

  /** A server's packet of a control connection, not yet rewritten and its state not yet taken note of. FORWARD, or a reason. */
  reply(frames: FrameMemory, headers: Headers, id: number, now: number): number {
    const { view } = frames;
    const { records } = this.#connections;
    const extension = this.#connections.extensionOf(id);
    if (extension === 0) return FORWARD;
    const mode = records[extension + HELPER_WORDS + MODE] & MODE_MASK;
    const start = mode === FTP_NONE ? 0 : this.#dataStart(view, headers, id);
    if (start !== 0) {
      const found = parseFtpReply(view, start, headers.end, headers.family, mode, this.#text);
      if (found !== FTP_NONE && isTransportIntact(view, headers)) {
        const verdict = this.#answer(frames, headers, id, found, now);
        if (verdict !== FORWARD) return verdict;
      }
    }
    this.#adjust(view, headers, id, REPLY);
    return FORWARD;
  }

  /** Where a segment has data that counts; 0 when it has none, or its connection is not established. */
  #dataStart(view: DataView, headers: Headers, id: number): number {
    const state = this.#connections.records[(id << RECORD_SHIFT) + STATE] & STATE_MASK;
    const start = state === TCP_ESTABLISHED ? tcpDataStart(view, headers) : -1;
    return start === -1 || start >= headers.end ? 0 : start;
  }

  #adjust(view: DataView, headers: Headers, id: number, direction: number): void {
    const extension = this.#connections.extensionOf(id);
    if (extension === 0) return;
    const { records } = this.#connections;
    const at = extension + HELPER_WORDS;
    if (isSequenceShifted(records, at)) adjustSegment(view, headers, records, at, direction);
  }

  #readRequest(view: DataView, headers: Headers, start: number, id: number, now: number): void {
    const asked = parseFtpRequest(view, start, headers.end, headers.family, this.#text);
    if (asked === FTP_NONE || !isTransportIntact(view, headers)) return;
    const extension = this.#connections.extend(id);
    if (extension === 0) return;
    const { records } = this.#connections;
    const mode = extension + HELPER_WORDS + MODE;
    const isPassive = asked === FTP_PASV || asked === FTP_EPSV;
    records[mode] = (records[mode] & ~MODE_MASK) | (isPassive ? asked : FTP_NONE);
    if (!isPassive) this.#expectActive(headers, id, extension, now);
  }

  /**
   * PORT, EPRT: the server will connect to the client from the port below its own. deviates: an address that is not the
   * client's own announces nothing (the FTP bounce); the kernel lets servers connect to anybody.
   */
  #expectActive(headers: Headers, id: number, extension: number, now: number): void {
    const connections = this.#connections;
    const { records, table } = connections;
    const base = id << RECORD_SHIFT;
    const { address, port } = this.#text;
    if (!isSame(records, base, CLIENT, CLIENT_6, address, headers.family)) return;
    this.#readEnds(base);
    const serverPort = ((records[base + PORTS_REPLY] >>> 16) - 1) & 0xffff;
    const ports = (port << 16) | ((records[base + PORTS_REQUEST] & 0xffff) - 1);
    const entry = table.lookupWords(records[base + KIND], this.#client, this.#virtual, ports);
    if (entry !== 0) {
      const found = entry >> 1;
      if ((entry & 1) !== REQUEST || !connections.isClosing(found)) return;
      if (records[(found << RECORD_SHIFT) + SERVER] === records[base + SERVER]) {
        connections.listen(found, now);
        return;
      }
      connections.close(found);
    }
    this.#expect(id, extension, ports, serverPort, now);
  }

  /** The reply to PASV or EPSV in `#text`. */
  #answer(frames: FrameMemory, headers: Headers, id: number, found: number, now: number): number {
    const { view, bytes } = frames;
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    const { address, port, hasAddress, start, end } = this.#text;
    const { family } = headers;
    // A server that was told to name the virtual address means its own port all the same. deviates: one that names another
    // host is left alone; the kernel opens the way there.
    if (
      port < FIRST_DATA_PORT ||
      (hasAddress &&
        !isSame(records, base, DESTINATION, DESTINATION_6, address, family) &&
        !isSame(records, base, VIRTUAL, VIRTUAL_6, address, family))
    ) {
      return FORWARD;
    }
    const at = this.#connections.extensionOf(id) + HELPER_WORDS;
    const sequence = view.getInt32(headers.transport + TCP_SEQ);
    if (!this.#expectPassive(id, at, port, sequence, now)) return DROP_TABLE_FULL;
    const written = this.#written;
    const length =
      found === FTP_PASSIVE_REPLY
        ? writeFtpNumbers(written, records[base + VIRTUAL], port)
        : writeFtpPort(written, port);
    if (!splice(view, bytes, headers, start, end - start, written, length, headers.end + MOST_GROWTH)) return FORWARD;
    this.#departure.length = headers.end - this.#departure.frame;
    noteResize(records, at, REPLY, sequence, length - (end - start));
    records[at + MODE] |= HAS_REPLIED;
    records[at + LAST_REPLY] = sequence;
    return FORWARD;
  }

  /** False when the table is full. */
  #expectPassive(id: number, at: number, port: number, sequence: number, now: number): boolean {
    const connections = this.#connections;
    const { records, table } = connections;
    const base = id << RECORD_SHIFT;
    this.#readEnds(base);
    const kind = records[base + KIND] | KIND_EXPECTED;
    const found = table.lookupWords(kind, this.#client, this.#virtual, port) >> 1;
    const other = found << RECORD_SHIFT;
    const isThis = records[other + SERVER] === records[base + SERVER] && records[other + PORTS_REPLY] >>> 16 === port;
    if (found !== 0 && isThis) {
      connections.listen(found, now);
      return true;
    }
    // The client may have come already when a reply comes again.
    if ((records[at + MODE] & HAS_REPLIED) !== 0 && records[at + LAST_REPLY] === sequence) return true;
    return this.#expect(id, at - HELPER_WORDS, port, port, now);
  }

  #expect(id: number, extension: number, ports: number, serverPort: number, now: number): boolean {
    const connections = this.#connections;
    const { records } = connections;
    const next = extension + HELPER_WORDS + NEXT_SLOT;
    const slot = extension + HELPER_WORDS + SLOTS + records[next];
    if (this.#isAwaited(records[slot], id)) {
      connections.close(records[slot]);
      this.surplus++;
    }
    const made = connections.expect(id, this.#client, ports, serverPort, now);
    records[slot] = made;
    if (made === 0) return false;
    records[next] = (records[next] + 1) % MOST_AWAITED;
    return true;
  }

  /** Whether a record still is a connection that `control` announced and that has not begun. */
  #isAwaited(id: number, control: number): boolean {
    const { records } = this.#connections;
    const base = id << RECORD_SHIFT;
    return (
      records[base + KIND] !== 0 &&
      (records[base + FLAGS] & CONN_F_CONTROLLED) !== 0 &&
      records[base + CONTROL] === control &&
      (records[base + STATE] & STATE_MASK) === TCP_LISTEN
    );
  }

  /** Client and virtual address of a connection, for a lookup. */
  #readEnds(base: number): void {
    const { records } = this.#connections;
    this.#client[0] = records[base + CLIENT];
    this.#virtual[0] = records[base + VIRTUAL];
    for (let i = 0; i < 3; i++) {
      this.#client[1 + i] = records[base + CLIENT_6 + i];
      this.#virtual[1 + i] = records[base + VIRTUAL_6 + i];
    }
  }
}

/** The connection begins anew on the same record; what it announced before may still come. */
function forget(records: Int32Array, at: number): void {
  clearSequence(records, at);
  records[at + MODE] = FTP_NONE;
}

/** Whether an address of a record is the one in a text. */
function isSame(
  records: Int32Array,
  base: number,
  word: number,
  rest: number,
  address: Int32Array,
  family: number,
): boolean {
  if (records[base + word] !== address[0]) return false;
  if (family === 4) return true;
  for (let i = 0; i < 3; i++) if (records[base + rest + i] !== address[1 + i]) return false;
  return true;
}
