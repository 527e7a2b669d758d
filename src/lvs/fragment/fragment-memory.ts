// SPDX-License-Identifier: Apache-2.0
// The memory of reassembly: one buffer with a place for a whole datagram and, behind it, blocks of which each holds one
// fragment. All of it is reserved once; each family may use as many blocks as its threshold says and no more, as
// net.ipv4.ipfrag_high_thresh and net.netfilter.nf_conntrack_frag6_high_thresh bound the kernel's. Used by Reassembly alone.
// hot path

import { ETH_HLEN } from '../../packet/ethernet.ts';
import { IPV6_HLEN } from '../../packet/ipv6.ts';
import type { FrameMemory } from '../frame-memory.ts';

/** Bytes of a block: a fragment came in a frame slot, which is not larger. */
export const BLOCK_SIZE = 2048;

/** Room in front of the datagram, for the headers of a tunnel, and behind it, for those of an ICMP error. */
export const HEADROOM = 256;
const TAILROOM = 64;
/** Longest frame that reassembly makes: IPv6 with a payload of 65535 bytes. */
const LONGEST = ETH_HLEN + IPV6_HLEN + 0xffff;
const AREA = Math.ceil((HEADROOM + LONGEST + TAILROOM) / BLOCK_SIZE) * BLOCK_SIZE;

// Words of a block's description.
/** Block of the next fragment of the datagram, by offset; in the free list the next free one. 0 ends both. */
export const NEXT = 0;
/** First fragmentable byte that it holds, and the one behind its last. */
export const START = 1;
export const END = 2;
/** Bytes of headers in front of the fragmentable ones; IPv6's fragment header included. */
export const HEADER = 3;
/** 1 when it came right behind the one before it and both form a run, else 0: see {@link Reassembly}. */
export const CONTINUES = 4;
export const BLOCK_SHIFT = 3;

export class FragmentMemory implements FrameMemory {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  /** Descriptions of blocks 1 … : word `block << BLOCK_SHIFT | field`. */
  readonly blocks: Int32Array;
  /** Blocks in use by IPv4 and by IPv6. */
  readonly used: Int32Array = new Int32Array(2);
  readonly #limits: Int32Array;
  #free = 0;

  /** @param bytes4, bytes6 - memory for the fragments of each family, rounded down to whole blocks. */
  constructor(bytes4: number, bytes6: number) {
    this.#limits = Int32Array.of(Math.floor(bytes4 / BLOCK_SIZE), Math.floor(bytes6 / BLOCK_SIZE));
    const count = this.capacity;
    const buffer = new ArrayBuffer(AREA + count * BLOCK_SIZE);
    this.view = new DataView(buffer);
    this.bytes = new Uint8Array(buffer);
    this.blocks = new Int32Array((count + 1) << BLOCK_SHIFT);
    for (let block = count; block > 0; block--) {
      this.blocks[(block << BLOCK_SHIFT) | NEXT] = this.#free;
      this.#free = block;
    }
  }

  /** Blocks of both families. */
  get capacity(): number {
    return this.#limits[0] + this.#limits[1];
  }

  /** Whether the family has as many blocks as it may have. */
  isFull(family: number): boolean {
    const index = family === 4 ? 0 : 1;
    return this.used[index] >= this.#limits[index];
  }

  /** A block for a family that is not full. */
  allocate(family: number): number {
    const block = this.#free;
    this.#free = this.blocks[(block << BLOCK_SHIFT) | NEXT];
    this.used[family === 4 ? 0 : 1]++;
    return block;
  }

  release(family: number, block: number): void {
    this.blocks[(block << BLOCK_SHIFT) | NEXT] = this.#free;
    this.#free = block;
    this.used[family === 4 ? 0 : 1]--;
  }

  /** Where the bytes of a block begin. */
  place(block: number): number {
    return AREA + (block - 1) * BLOCK_SIZE;
  }
}
