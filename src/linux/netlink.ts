// SPDX-License-Identifier: Apache-2.0
// Netlink sockets: one request, its answer; dumps; and events of multicast groups. Requests are synchronous, because the kernel
// answers before the send returns. A socket belongs to the namespace in which it was opened, wherever its thread goes
// later.

import { constants } from 'node:os';
import { missingCapabilities } from './capabilities.ts';
import { SysError } from './errno.ts';
import type { Fd } from './fd.ts';
import { NATIVE_LE } from './libc.ts';
import {
  type Acknowledgement,
  type MessageBuilder,
  NetlinkFormatError,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  parseAcknowledgement,
  parseMessages,
  struct,
} from './netlink-message.ts';
import {
  AF_NETLINK,
  bindSocket,
  MSG_PEEK,
  MSG_TRUNC,
  openSocket,
  receiveMessage,
  SOCK_NONBLOCK,
  SOCK_RAW,
  sendMessage,
  setReceiveBuffer,
  setSocketOption,
} from './socket.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_GENERIC = 16;

const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
/** Has the kernel heed the filters of a dump request instead of ignoring them (Linux 4.20). */
const NETLINK_GET_STRICT_CHK = 12;

/** A dump that keeps being changed under our hands is taken as it is after so many attempts. */
const DUMP_ATTEMPTS = 8;
const EVENT_BUFFER_BYTES = 4 << 20;

const { EPERM, EACCES } = constants.errno;

/** Asks and is answered. Not for events: those have {@link NetlinkEvents}. */
export class NetlinkSocket {
  readonly #socket: Fd;
  readonly #name: string;
  #buffer = new Uint8Array(64 << 10);
  #sequence = 0;

  /** `name` stands in error messages: `rtnetlink`. */
  constructor(protocol: number, name: string) {
    this.#name = name;
    this.#socket = openNetlink(protocol, SOCK_RAW, name);
    bindSocket(this.#socket.number, EMPTY_ADDRESS, name);
    setOptionIfKnown(this.#socket, NETLINK_GET_STRICT_CHK, name);
  }

  /** Has the kernel do something. Throws a SysError with the kernel's own words when it refuses. */
  request(builder: MessageBuilder, context: string): void {
    this.#exchange(builder, NLM_F_ACK, context, () => {});
  }

  /** Asks for one object, which `parse` makes of the answer. The message is valid only during the call. */
  get<T>(builder: MessageBuilder, context: string, parse: (message: NetlinkMessage) => T): T {
    const answers: T[] = [];
    this.#exchange(builder, NLM_F_ACK, context, (message) => answers.push(parse(message)));
    if (answers.length === 0) throw new NetlinkFormatError(`no answer (${context})`);
    return answers[0];
  }

  /**
   * Asks for all objects; `parse` turns a message into one, or into undefined for those that do not count.
   */
  dump<T>(builder: MessageBuilder, context: string, parse: (message: NetlinkMessage) => T | undefined): T[] {
    for (let attempt = 1; ; attempt++) {
      const objects: T[] = [];
      const interrupted = this.#exchange(builder, NLM_F_DUMP, context, (message) => {
        const object = parse(message);
        if (object !== undefined) objects.push(object);
      });
      if (!interrupted || attempt === DUMP_ATTEMPTS) return objects;
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** True when the kernel says that the objects changed during the dump. */
  #exchange(
    builder: MessageBuilder,
    flags: number,
    context: string,
    handle: (message: NetlinkMessage) => unknown,
  ): boolean {
    this.#sequence = (this.#sequence + 1) >>> 0;
    sendMessage(this.#socket.number, addressed(builder.finish(), flags, this.#sequence), context);
    let interrupted = false;
    for (;;) {
      for (const message of parseMessages(this.#receive(context))) {
        // What an earlier request left behind when its handler threw.
        if (message.sequence !== this.#sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const answer = parseAcknowledgement(message);
          if (answer.errno !== 0) throw refusal(this.#name, answer, context);
          return interrupted;
        }
        if (message.type !== NLMSG_NOOP) handle(message);
      }
    }
  }

  #receive(context: string): Uint8Array {
    const length = receiveMessage(this.#socket.number, NOTHING, MSG_PEEK | MSG_TRUNC, context);
    if (length > this.#buffer.length) this.#buffer = new Uint8Array(2 * length);
    const count = receiveMessage(this.#socket.number, this.#buffer, 0, context);
    return this.#buffer.subarray(0, count);
  }
}

/** What the kernel announces to multicast groups, read without waiting. */
export class NetlinkEvents {
  readonly #socket: Fd;
  readonly #name: string;
  #buffer = new Uint8Array(64 << 10);

  constructor(protocol: number, groups: readonly number[], name: string, bufferBytes = EVENT_BUFFER_BYTES) {
    this.#name = name;
    this.#socket = openNetlink(protocol, SOCK_RAW | SOCK_NONBLOCK, name);
    setReceiveBuffer(this.#socket.number, bufferBytes, name);
    bindSocket(this.#socket.number, EMPTY_ADDRESS, name);
    for (const group of groups) {
      setSocketOption(this.#socket.number, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, `${name}: join group ${group}`);
    }
  }

  /** Readable when events wait. */
  get number(): number {
    return this.#socket.number;
  }

  /**
   * Hands over every message that waits; one is valid only during the call. `overrun` means that the kernel had to drop some, so that only a new dump
   * tells the state; messages received after it are good again.
   */
  drain(handle: (message: NetlinkMessage | 'overrun') => void): void {
    for (;;) {
      let bytes: Uint8Array | undefined;
      try {
        bytes = this.#receive();
      } catch (error) {
        if (!(error instanceof SysError) || error.errno !== 'ENOBUFS') throw error;
        handle('overrun');
        continue;
      }
      if (bytes === undefined) return;
      for (const message of parseMessages(bytes)) {
        if (message.type === NLMSG_OVERRUN) handle('overrun');
        else if (message.type > NLMSG_OVERRUN) handle(message);
      }
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #receive(): Uint8Array | undefined {
    const length = receiveMessage(this.#socket.number, NOTHING, MSG_PEEK | MSG_TRUNC, this.#name);
    if (length === -1) return undefined;
    if (length > this.#buffer.length) this.#buffer = new Uint8Array(2 * length);
    return this.#buffer.subarray(0, Math.max(0, receiveMessage(this.#socket.number, this.#buffer, 0, this.#name)));
  }
}

const NOTHING = new Uint8Array(0);

//  0 family(2)  2 zero(2)  4 port(4)  8 groups(4)                         struct sockaddr_nl
const EMPTY_ADDRESS = struct(12, (view) => view.setUint16(0, AF_NETLINK, NATIVE_LE));

function openNetlink(protocol: number, type: number, name: string): Fd {
  const socket = openSocket(AF_NETLINK, type, protocol, name);
  setOptionIfKnown(socket, NETLINK_EXT_ACK, name);
  setOptionIfKnown(socket, NETLINK_CAP_ACK, name);
  return socket;
}

/** Older kernels answer with fewer words or ignore filters; callers filter again. */
function setOptionIfKnown(socket: Fd, option: number, name: string): void {
  try {
    setSocketOption(socket.number, SOL_NETLINK, option, 1, name);
  } catch (error) {
    if (error instanceof SysError && error.errno === 'ENOPROTOOPT') return;
    socket.close();
    throw error;
  }
}

function addressed(message: Uint8Array, flags: number, sequence: number): Uint8Array {
  const view = new DataView(message.buffer, message.byteOffset);
  view.setUint16(6, view.getUint16(6, NATIVE_LE) | flags, NATIVE_LE);
  view.setUint32(8, sequence, NATIVE_LE);
  return message;
}

function refusal(name: string, answer: Acknowledgement, context: string): SysError {
  const what = answer.text === '' ? context : `${context}: ${answer.text}`;
  const mayNot = answer.errno === EPERM || answer.errno === EACCES;
  const remedy = mayNot ? missingCapabilities(['CAP_NET_ADMIN']).remedy : '';
  return new SysError(name, answer.errno, what, remedy === '' ? undefined : remedy);
}
