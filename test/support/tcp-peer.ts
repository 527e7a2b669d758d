// SPDX-License-Identifier: Apache-2.0
// One end of an established TCP connection, as strict as RFC 9293 and RFC 5961 ask: a reset counts only with exactly the
// number that is expected next, what lies outside of the window is answered with a bare ACK. Written without the code
// under test.

import assert from 'node:assert/strict';
import { addressBytes, checksumFault, tcp } from './frames.ts';

const WINDOW = 0xffff;
const FIN = 1;
const SYN = 2;
const RST = 4;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What a test wants to know of a segment. */
export interface Segment {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

export class TcpPeer {
  /** True after a reset that it had to believe. */
  isReset = false;
  readonly #own: Endpoint;
  readonly #other: Endpoint;
  #sendNext: number;
  #receiveNext: number;

  /** @param other - whom it believes to speak with. */
  constructor(own: Endpoint, other: Endpoint, sendNext: number, receiveNext: number) {
    this.#own = own;
    this.#other = other;
    this.#sendNext = sendNext;
    this.#receiveNext = receiveNext;
  }

  /** A segment with data, or a bare ACK. */
  send(text = ''): Uint8Array {
    const payload = Buffer.from(text);
    const sequence = this.#sendNext;
    this.#sendNext = (this.#sendNext + payload.length) >>> 0;
    return tcp({
      src: this.#own.address,
      sport: this.#own.port,
      dst: this.#other.address,
      dport: this.#other.port,
      flags: payload.length > 0 ? 'PA' : 'A',
      seq: sequence,
      ack: this.#receiveNext,
      payload,
    });
  }

  /** A keep-alive, or the probe of a window that is closed: the number before the next one. */
  probe(text = ''): Uint8Array {
    this.#sendNext = (this.#sendNext - 1) >>> 0;
    const packet = this.send(text);
    if (text === '') this.#sendNext = (this.#sendNext + 1) >>> 0;
    return packet;
  }

  /** Takes an IP packet, which must be whole and of this connection; returns what it answers. */
  receive(packet: Uint8Array): Uint8Array | undefined {
    assert.equal(checksumFault(packet), undefined);
    const { source, destination, sequence, flags, payload } = readSegment(packet);
    assert.deepEqual([source, destination], [bytesOf(this.#other), bytesOf(this.#own)]);
    const ahead = (sequence - this.#receiveNext) >>> 0;
    if ((flags & RST) !== 0) {
      if (ahead === 0) this.isReset = true;
      return ahead > 0 && ahead < WINDOW ? this.send() : undefined;
    }
    assert.equal(flags & (SYN | FIN), 0);
    if (ahead >= WINDOW) return this.send();
    if (ahead > 0 || payload.length === 0) return undefined;
    this.#receiveNext = (this.#receiveNext + payload.length) >>> 0;
    return this.send();
  }
}

/** The TCP segment in an IP packet without options or extension headers; addresses as text of their bytes. */
export function readSegment(packet: Uint8Array): Segment {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const isIpv4 = packet[0] >>> 4 === 4;
  const transport = isIpv4 ? 20 : 40;
  const [from, to, end] = isIpv4 ? [12, 16, 20] : [8, 24, 40];
  assert.equal(packet[isIpv4 ? 9 : 6], 6, 'it is TCP');
  assert.equal(isIpv4 ? view.getUint16(2) : 40 + view.getUint16(4), packet.length, 'its length is that of the packet');
  return {
    source: { address: packet.subarray(from, to).join('.'), port: view.getUint16(transport) },
    destination: { address: packet.subarray(to, end).join('.'), port: view.getUint16(transport + 2) },
    sequence: view.getUint32(transport + 4),
    acknowledgment: view.getUint32(transport + 8),
    flags: packet[transport + 13],
    payload: packet.subarray(transport + (packet[transport + 12] >>> 4) * 4),
  };
}

/** An end in the words of {@link readSegment}. */
export function bytesOf({ address, port }: Endpoint): Endpoint {
  return { address: addressBytes(address).join('.'), port };
}
