// SPDX-License-Identifier: Apache-2.0
// The server's id in the destination connection ID of a client's QUIC packet, so that a connection finds its server again
// when the client's address changes (RFC 9000 §9, RFC 8999). Called for packets of UDP services that belong to no
// connection. Three ways in which servers write their id: the clear-text form of draft-ietf-quic-load-balancers, Katran's
// and DPVS's. The draft's encrypted forms are not read: they need AES-128, which this pure folder does not have.
// Which server an id means is quic-servers.ts's business. Whatever the bytes are, nothing throws.
// hot path

/** What {@link ConnectionIdReader.read} found. */
export const QUIC_FOUND = 0;
/** The client chose the ID by itself: an Initial or 0-RTT packet, or a version that we do not know. Schedule it. */
export const QUIC_CLIENT_CHOSEN = 1;
/** No ID of this encoding: too short, another configuration's. Treat it like any UDP packet. */
export const QUIC_UNROUTABLE = 2;
/** Not a QUIC packet. */
export const QUIC_MALFORMED = 3;

//  0 form(1 bit), fixed(1), type(2), …   1 version(4)   5 length(1)   6 destination connection ID      RFC 8999 §5.1
//  0 form(1 bit), …                      1 destination connection ID                                   RFC 8999 §5.2
const LONG_FORM = 0x80;
const LONG_VERSION = 1;
const LONG_LENGTH = 5;
const LONG_ID = 6;
const SHORT_ID = 1;

/** Longest connection ID of QUIC versions 1 and 2. */
const MAX_ID = 20;

const VERSION_1 = 1;
/** RFC 9369, where the packet types have other numbers. */
const VERSION_2 = 0x6b3343cf;
/** 0xff0000NN: the drafts of version 1. */
const DRAFTS = 0xff0000;

/** Configuration 7 of the draft says of itself that it is none. */
const CONFIGS = 8;
const UNROUTABLE_CONFIG = 7;

/** Longest id: 15 bytes of the draft; DPVS's has 11 with what is known of it. */
export const MAX_SERVER_ID = 16;

/** One configuration of the draft: how long the id and the nonce behind it are. */
export interface QuicLbConfig {
  /** 0 … 6, in the first three bits. */
  readonly configId: number;
  /** 1 … 15 bytes. */
  readonly serverIdLength: number;
  /** 4 bytes and more; with the id at most 19. */
  readonly nonceLength: number;
}

/** How the servers of a service write their id. */
export type ConnectionIdEncoding =
  | {
      readonly kind: 'quic-lb';
      readonly configs: readonly QuicLbConfig[];
      /** All servers write the ID's length into the first byte, which is then checked. */
      readonly hasLength: boolean;
    }
  | { readonly kind: 'katran' }
  | { readonly kind: 'dpvs' };

/** An id found; one long-lived object. For the draft its bytes, for Katran and DPVS what quic-servers.ts makes of them. */
export class ServerId {
  readonly bytes: Uint8Array = new Uint8Array(MAX_SERVER_ID);
  length = 0;
}

const QUIC_LB = 0;
const KATRAN = 1;
const DPVS = 2;

/** Katran ignores shorter IDs. */
const KATRAN_MIN = 8;
/** An ID of DPVS: one free byte, and half a byte, the id, a nonce of 4 bytes and half a byte. */
const DPVS_REST = 6;

/** Set in the first byte of a DPVS id that has a port. */
export const DPVS_PORT = 0x80;

/** Reads IDs of one encoding. */
export class ConnectionIdReader {
  readonly #kind: number;
  readonly #hasLength: boolean;
  /** By configuration: bytes of the id, 0 for none, and of id and nonce. */
  readonly #idLengths = new Uint8Array(CONFIGS);
  readonly #lengths = new Uint8Array(CONFIGS);

  /** Throws a RangeError for a configuration that the draft does not allow. */
  constructor(encoding: ConnectionIdEncoding) {
    this.#kind = encoding.kind === 'quic-lb' ? QUIC_LB : encoding.kind === 'katran' ? KATRAN : DPVS;
    this.#hasLength = encoding.kind === 'quic-lb' && encoding.hasLength;
    if (encoding.kind !== 'quic-lb') return;
    for (const { configId, serverIdLength, nonceLength } of encoding.configs) {
      const length = serverIdLength + nonceLength;
      if (!(Number.isInteger(configId) && configId >= 0 && configId < UNROUTABLE_CONFIG)) {
        throw new RangeError(`QUIC-LB configuration ${configId}: 0 … 6 can be had`);
      }
      if (!(Number.isInteger(length) && serverIdLength >= 1 && nonceLength >= 4 && length < MAX_ID)) {
        throw new RangeError(
          `QUIC-LB configuration ${configId}: a server id of ${serverIdLength} and a nonce of ${nonceLength} bytes; ` +
            'at least 1 and 4, and 19 together, can be had',
        );
      }
      if (this.#lengths[configId] !== 0) throw new RangeError(`QUIC-LB configuration ${configId} is there twice`);
      this.#idLengths[configId] = serverIdLength;
      this.#lengths[configId] = length;
    }
  }

  /** Looks at the UDP data from `start` to `end`; QUIC_FOUND sets `$id`. */
  read(view: DataView, start: number, end: number, $id: ServerId): number {
    if (end <= start) return QUIC_MALFORMED;
    const first = view.getUint8(start);
    // The fixed bit says nothing: clients may set it as they like (RFC 9287).
    if ((first & LONG_FORM) === 0) return this.#decode(view, start + SHORT_ID, end - start - SHORT_ID, false, $id);
    if (start + LONG_ID > end) return QUIC_MALFORMED;
    const version = view.getUint32(start + LONG_VERSION);
    const isVersion1 = version === VERSION_1 || version >>> 8 === DRAFTS;
    const length = view.getUint8(start + LONG_LENGTH);
    if (start + LONG_ID + length > end) return QUIC_MALFORMED;
    if (!isVersion1 && version !== VERSION_2) return QUIC_CLIENT_CHOSEN;
    if (length > MAX_ID) return QUIC_MALFORMED;
    // Initial and 0-RTT are 0 and 1 in version 1, 1 and 2 in version 2.
    const type = ((first >>> 4) - (isVersion1 ? 0 : 1)) & 3;
    if (type < 2) return QUIC_CLIENT_CHOSEN;
    return this.#decode(view, start + LONG_ID, length, true, $id);
  }

  /** The id in the connection ID at `at`: of `length` bytes if that is known, else of at most so many. */
  #decode(view: DataView, at: number, length: number, isKnown: boolean, $id: ServerId): number {
    if (this.#kind === QUIC_LB) return this.#decodeQuicLb(view, at, length, isKnown, $id);
    return this.#kind === KATRAN ? decodeKatran(view, at, length, $id) : decodeDpvs(view, at, length, $id);
  }

  /** Configuration (3 bits), length or anything (5 bits), id, nonce: draft-ietf-quic-load-balancers §3, §5.2. */
  #decodeQuicLb(view: DataView, at: number, length: number, isKnown: boolean, $id: ServerId): number {
    if (length < 1) return QUIC_UNROUTABLE;
    const first = view.getUint8(at);
    const needed = this.#lengths[first >>> 5];
    if (needed === 0 || length < 1 + needed) return QUIC_UNROUTABLE;
    if (this.#hasLength) {
      const stated = first & 31;
      if (stated < needed || (isKnown ? stated !== length - 1 : stated >= Math.min(length, MAX_ID))) {
        return QUIC_UNROUTABLE;
      }
    }
    $id.length = this.#idLengths[first >>> 5];
    for (let i = 0; i < $id.length; i++) $id.bytes[i] = view.getUint8(at + 1 + i);
    return QUIC_FOUND;
  }
}

/** Version (2 bits); in version 1 the id is the next 16 bits, in 2 and 3 the second byte and two or three more. */
function decodeKatran(view: DataView, at: number, length: number, $id: ServerId): number {
  if (length < KATRAN_MIN) return QUIC_UNROUTABLE;
  const word = view.getUint32(at);
  const version = word >>> 30;
  if (version === 0) return QUIC_UNROUTABLE;
  const id = version === 1 ? (word >>> 14) & 0xffff : version === 2 ? word & 0xffffff : view.getUint32(at + 1);
  $id.length = 4;
  for (let i = 0; i < 4; i++) $id.bytes[i] = (id >>> (24 - i * 8)) & 255;
  return QUIC_FOUND;
}

/**
 * A free byte, then from the next half byte on: bytes of the address less one (3 bits), whether there is a port (1 bit),
 * the address's low bytes, the port, a nonce of at least 4 bytes.
 */
function decodeDpvs(view: DataView, at: number, length: number, $id: ServerId): number {
  if (length < 2) return QUIC_UNROUTABLE;
  const head = view.getUint8(at + 1);
  const address = (head >>> 5) + 1;
  const port = (head & 0x10) === 0 ? 0 : 2;
  const size = address + port;
  if (length < DPVS_REST + size) return QUIC_UNROUTABLE;
  $id.length = 1 + size;
  $id.bytes[0] = address | (port === 0 ? 0 : DPVS_PORT);
  for (let i = 0; i < size; i++) {
    $id.bytes[1 + i] = ((view.getUint8(at + 1 + i) & 15) << 4) | (view.getUint8(at + 2 + i) >>> 4);
  }
  return QUIC_FOUND;
}
