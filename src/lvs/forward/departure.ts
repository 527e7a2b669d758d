// SPDX-License-Identifier: Apache-2.0
// How the packet of the last verdict leaves. One long-lived object: the director and what decides for it write it, the
// engine reads it after FORWARD, ANSWER, LOCAL and PASS.

import type { Datagram } from '../fragment/datagram.ts';
import type { FrameMemory } from '../frame-memory.ts';
import type { Server } from '../service/server.ts';

export class Departure {
  /** Where the frame is: the memory that it came in by, or that of reassembly. */
  memory: FrameMemory;
  /** Where it begins: where it came in, or before that when a tunnel's header was put in front. */
  frame = 0;
  /** Bytes of the frame, Ethernet header included. */
  length = 0;
  /**
   * Index into the connections' records of the word in which the data plane may keep how packets to a client get there,
   * else 0.
   */
  egressWord = 0;
  /** The server to which the packet goes; else its destination address says. */
  nextHop: Server | undefined = undefined;
  /** Longest IP packet that the way takes, when this one is longer and has to be cut into fragments; else 0. */
  fragmentMtu = 0;
  /** The packet is the director's own: around another one, or made longer. It may be cut whatever its sender said. */
  isOwn = false;
  /** A packet that goes before this one, in the room before it: where its frame begins, and its bytes; 0 for none. */
  before = 0;
  beforeLength = 0;
  /** What it looked like when it came in fragments; it is in {@link memory} and has to be cut again. */
  datagram: Datagram | undefined = undefined;

  constructor() {
    const nothing = new ArrayBuffer(0);
    this.memory = { view: new DataView(nothing), bytes: new Uint8Array(nothing) };
  }

  /** A packet of `length` bytes at `frame` that has no way yet. */
  reset(memory: FrameMemory, frame: number, length: number): void {
    this.memory = memory;
    this.frame = frame;
    this.length = length;
    this.egressWord = 0;
    this.nextHop = undefined;
    this.fragmentMtu = 0;
    this.isOwn = false;
    this.beforeLength = 0;
    this.datagram = undefined;
  }
}
