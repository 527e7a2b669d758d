// SPDX-License-Identifier: Apache-2.0
// Netlink messages as bytes (include/uapi/linux/netlink.h): headers, attributes and the kernel's answers. Pure; the
// socket is netlink.ts. Headers and integers are in the machine's byte order, addresses in the network's.

import { NATIVE_LE } from './libc.ts';

//  0 length(4)  4 type(2)  6 flags(2)  8 sequence(4)  12 port(4)          struct nlmsghdr
export const NLMSG_HDRLEN = 16;
//  0 length(2)  2 type(2)                                                 struct nlattr
const NLA_HDRLEN = 4;
const NLA_TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_DUMP = 0x300;
/** On an error: the message in it ends after the header. */
const NLM_F_CAPPED = 0x100;
/** On an error or the end of a dump: attributes follow. */
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** Bytes that are not what netlink promises. */
export class NetlinkFormatError extends Error {
  readonly code = 'BALLAST_NETLINK_FORMAT';

  constructor(message: string) {
    super(`malformed netlink message: ${message}`);
    this.name = 'NetlinkFormatError';
  }
}

/** One message; `payload` is what stands behind its header. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly port: number;
  readonly payload: DataView;
}

/** Attributes of one level by type. Of a type that occurs twice the last one counts, as in the kernel. */
export type Attributes = ReadonlyMap<number, DataView>;

/** Cuts what one receive call returned into messages. */
export function parseMessages(bytes: Uint8Array): NetlinkMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < view.byteLength; ) {
    if (view.byteLength - at < NLMSG_HDRLEN) throw new NetlinkFormatError('it ends inside a header');
    const length = view.getUint32(at, NATIVE_LE);
    if (length < NLMSG_HDRLEN || length > view.byteLength - at) {
      throw new NetlinkFormatError(`length ${length}, but ${view.byteLength - at} bytes are left`);
    }
    messages.push({
      type: view.getUint16(at + 4, NATIVE_LE),
      flags: view.getUint16(at + 6, NATIVE_LE),
      sequence: view.getUint32(at + 8, NATIVE_LE),
      port: view.getUint32(at + 12, NATIVE_LE),
      payload: part(view, at + NLMSG_HDRLEN, length - NLMSG_HDRLEN),
    });
    at += align(length);
  }
  return messages;
}

/** Attributes from `offset` of `view` to its end. */
export function parseAttributes(view: DataView, offset = 0): Attributes {
  return new Map(attributeList(view, offset));
}

/** {@link parseAttributes} with every one of a type that occurs more than once, in turn. */
export function attributeList(view: DataView, offset = 0): [number, DataView][] {
  const attributes: [number, DataView][] = [];
  for (let at = offset; view.byteLength - at >= NLA_HDRLEN; ) {
    const length = view.getUint16(at, NATIVE_LE);
    if (length < NLA_HDRLEN || length > view.byteLength - at) {
      throw new NetlinkFormatError(`attribute of length ${length}, but ${view.byteLength - at} bytes are left`);
    }
    const type = view.getUint16(at + 2, NATIVE_LE) & NLA_TYPE_MASK;
    attributes.push([type, part(view, at + NLA_HDRLEN, length - NLA_HDRLEN)]);
    at += align(length);
  }
  return attributes;
}

/** The number in an attribute, or `otherwise` when it is absent. Throws when it is too short. */
export function u32(attributes: Attributes, type: number, otherwise: number): number {
  const view = attributes.get(type);
  return view === undefined ? otherwise : need(view, 4, type).getUint32(0, NATIVE_LE);
}

export function u8(attributes: Attributes, type: number, otherwise: number): number {
  const view = attributes.get(type);
  return view === undefined ? otherwise : need(view, 1, type).getUint8(0);
}

/** Text up to its first NUL, or '' when the attribute is absent. */
export function text(attributes: Attributes, type: number): string {
  const view = attributes.get(type);
  if (view === undefined) return '';
  const bytes = bytesOf(view);
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end === -1 ? bytes.length : end)).toString('utf8');
}

/** Attributes inside an attribute; none when it is absent. */
export function nested(attributes: Attributes, type: number): Attributes {
  const view = attributes.get(type);
  return view === undefined ? NO_ATTRIBUTES : parseAttributes(view);
}

export function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** `view` when it has `length` bytes or more. */
export function need(view: DataView, length: number, what: number | string): DataView {
  if (view.byteLength >= length) return view;
  const name = typeof what === 'number' ? `attribute ${what}` : what;
  throw new NetlinkFormatError(`${name} has ${view.byteLength} bytes instead of ${length}`);
}

/** What an NLMSG_ERROR or NLMSG_DONE says: 0 or an errno, and the kernel's own words where it has some. */
export interface Acknowledgement {
  readonly errno: number;
  readonly text: string;
}

export function parseAcknowledgement(message: NetlinkMessage): Acknowledgement {
  const { payload, flags, type } = message;
  if (type === NLMSG_DONE && payload.byteLength < 4) return { errno: 0, text: '' };
  const errno = -need(payload, 4, 'acknowledgement').getInt32(0, NATIVE_LE) | 0;
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, text: '' };
  let offset = 4;
  if (type === NLMSG_ERROR) {
    need(payload, 4 + NLMSG_HDRLEN, 'acknowledgement');
    offset += (flags & NLM_F_CAPPED) === 0 ? align(payload.getUint32(4, NATIVE_LE)) : NLMSG_HDRLEN;
  }
  return { errno, text: text(parseAttributes(payload, offset), NLMSGERR_ATTR_MSG) };
}

/** Builds one message: fixed header of the family first, then attributes. The socket puts in the sequence number. */
export class MessageBuilder {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = NLMSG_HDRLEN;

  constructor(type: number, flags: number, header: Uint8Array) {
    this.#view.setUint16(4, type, NATIVE_LE);
    this.#view.setUint16(6, flags | NLM_F_REQUEST, NATIVE_LE);
    this.raw(header);
  }

  /** Bytes without an attribute's header, padded to four: a structure inside a nest. */
  raw(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#grow(bytes.length));
    return this;
  }

  bytes(type: number, bytes: Uint8Array): this {
    const at = this.#grow(NLA_HDRLEN + bytes.length);
    this.#view.setUint16(at, NLA_HDRLEN + bytes.length, NATIVE_LE);
    this.#view.setUint16(at + 2, type, NATIVE_LE);
    this.#bytes.set(bytes, at + NLA_HDRLEN);
    return this;
  }

  u8(type: number, value: number): this {
    return this.bytes(type, Uint8Array.of(value));
  }

  u16(type: number, value: number): this {
    return this.bytes(
      type,
      struct(2, (view) => view.setUint16(0, value, NATIVE_LE)),
    );
  }

  u32(type: number, value: number): this {
    return this.bytes(
      type,
      struct(4, (view) => view.setUint32(0, value, NATIVE_LE)),
    );
  }

  /** Text with the NUL that ends it. */
  text(type: number, value: string): this {
    return this.bytes(type, Buffer.from(`${value}\0`, 'utf8'));
  }

  /** An attribute that holds what `fill` adds. */
  nest(type: number, fill: (builder: this) => void): this {
    const at = this.#grow(NLA_HDRLEN);
    fill(this);
    this.#view.setUint16(at, this.#length - at, NATIVE_LE);
    this.#view.setUint16(at + 2, type | NLA_F_NESTED, NATIVE_LE);
    return this;
  }

  /** A structure that begins with its own length in two bytes, which `fill` leaves 0: the ways of a route. */
  sized(fill: (builder: this) => void): this {
    const at = this.#length;
    fill(this);
    this.#view.setUint16(at, this.#length - at, NATIVE_LE);
    return this;
  }

  /** The message; its sequence number and port are still 0. */
  finish(): Uint8Array {
    this.#view.setUint32(0, this.#length, NATIVE_LE);
    return this.#bytes.subarray(0, this.#length);
  }

  /** Room for `length` bytes and their padding; returns where they begin. */
  #grow(length: number): number {
    const at = this.#length;
    this.#length = at + align(length);
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** `length` bytes filled in by `write`: the fixed headers of the message families. */
export function struct(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}

const NO_ATTRIBUTES: Attributes = new Map();

function part(view: DataView, offset: number, length: number): DataView {
  return new DataView(view.buffer, view.byteOffset + offset, length);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
