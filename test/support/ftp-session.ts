// SPDX-License-Identifier: Apache-2.0
// An FTP client and its server, of which only TCP is strict: each takes just what continues the stream that it has, and
// acknowledges; each wants its own numbers acknowledged. What lies between is a director. Written without the code under
// test.

import assert from 'node:assert/strict';
import { checksumFault, tcp } from './frames.ts';
import { bytesOf, type Endpoint, readSegment } from './tcp-peer.ts';
import type { TestDirector } from './test-director.ts';

export interface SessionEnds {
  readonly client: Endpoint;
  readonly virtual: Endpoint;
  readonly server: Endpoint;
  /** First sequence numbers. */
  readonly clientNumber?: number;
  readonly serverNumber?: number;
}

/** One side: whom it takes itself for, whom the other, and how far it is. */
class Side {
  readonly own: Endpoint;
  readonly other: Endpoint;
  next: number;
  expected = 0;

  constructor(own: Endpoint, other: Endpoint, first: number) {
    this.own = own;
    this.other = other;
    this.next = first >>> 0;
  }

  segment(flags: string, text = ''): Uint8Array {
    const packet = tcp({
      src: this.own.address,
      sport: this.own.port,
      dst: this.other.address,
      dport: this.other.port,
      flags,
      seq: this.next,
      ack: flags.includes('A') ? this.expected : 0,
      payload: Buffer.from(text, 'latin1'),
    });
    const length = /[SF]/.test(flags) ? 1 : text.length;
    this.next = (this.next + length) >>> 0;
    return packet;
  }

  /** Takes a whole segment of this connection that continues what it has, and returns its text. */
  take(packet: Uint8Array | undefined): string {
    assert.ok(packet !== undefined, 'a packet arrives');
    assert.equal(checksumFault(packet), undefined);
    const { source, destination, sequence, acknowledgment, flags, payload } = readSegment(packet);
    assert.deepEqual([source, destination], [bytesOf(this.other), bytesOf(this.own)]);
    if ((flags & 2) !== 0) this.expected = sequence;
    assert.equal(sequence, this.expected, 'it continues the stream');
    if ((flags & 16) !== 0) assert.equal(acknowledgment, this.next, 'all that was sent is acknowledged');
    this.expected = (sequence + payload.length + ((flags & 3) !== 0 ? 1 : 0)) >>> 0;
    return Buffer.from(payload).toString('latin1');
  }
}

/** A TCP connection from client to server through a director. */
export class Session {
  readonly client: Side;
  readonly server: Side;
  readonly #lab: TestDirector;

  constructor(lab: TestDirector, { client, virtual, server, clientNumber, serverNumber }: SessionEnds) {
    this.#lab = lab;
    this.client = new Side(client, virtual, clientNumber ?? 1000);
    this.server = new Side(server, client, serverNumber ?? 5000);
  }

  /** The handshake, opened by the client, or by the server. */
  open(from: Side = this.client): this {
    const other = from === this.client ? this.server : this.client;
    other.take(this.#carry(from.segment('S')));
    from.take(this.#carry(other.segment('SA')));
    other.take(this.#carry(from.segment('A')));
    return this;
  }

  /** The client sends; what the server reads. Its acknowledgment goes back. */
  ask(text: string): string {
    return this.#say(this.client, this.server, text);
  }

  /** The server sends; what the client reads. */
  reply(text: string): string {
    return this.#say(this.server, this.client, text);
  }

  /** The client's FIN, the server's, and the last ACK. */
  close(): void {
    this.server.take(this.#carry(this.client.segment('FA')));
    this.client.take(this.#carry(this.server.segment('FA')));
    this.server.take(this.#carry(this.client.segment('A')));
  }

  #say(from: Side, to: Side, text: string): string {
    const read = to.take(this.#carry(from.segment('PA', text)));
    from.take(this.#carry(to.segment('A')));
    return read;
  }

  #carry(packet: Uint8Array): Uint8Array | undefined {
    return this.#lab.packet(packet).packet;
  }
}

/** `a,b,c,d,p,q` of an address and port. */
export function numbers(address: string, port: number): string {
  return [...address.split('.'), port >>> 8, port & 255].join();
}
