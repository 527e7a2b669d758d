// SPDX-License-Identifier: Apache-2.0
// Reassembly of IPv4 and IPv6 datagrams (RFC 791 §3.2, RFC 815, RFC 8200 §4.5), with Linux's answers to what is wrong with
// fragments (ip_fragment.c, nf_conntrack_reasm.c, inet_frag_queue_insert): a fragment inside of what came before is a
// duplicate and ignored, any other overlap discards the datagram (RFC 5722). Asked by the director for packets of which
// parseFrame says PARSE_FRAGMENT; an atomic fragment is none (RFC 6946). It sends nothing itself.
//
// The fragments of a datagram are a list by offset, in runs: one that comes right behind the highest so far prolongs its
// run, every other one begins a run. A fragment is a duplicate when one run holds all of it. This is the kernel's rule to
// the letter; which of the bytes are equal is not looked at.
//
// deviates: no distance between fragments of one source is held against them (net.ipv4.ipfrag_max_dist), and a datagram
// has at most MAX_FRAGMENTS fragments.
// hot path

import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6, ETH_TYPE } from '../../packet/ethernet.ts';
import { IPV4_DF, IPV4_FRAGMENT, IPV4_HLEN, IPV4_MF, IPV4_OFFSET_MASK, IPV4_TOS } from '../../packet/ipv4.ts';
import { FRAGMENT_HLEN, FRAGMENT_OFFSET, IPV6_HLEN, IPV6_VERSION } from '../../packet/ipv6.ts';
import type { Headers } from '../../packet/parse.ts';
import { TICKS_PER_SECOND } from '../connection/layout.ts';
import type { HashSeed } from '../connection/table.ts';
import type { FrameMemory } from '../frame-memory.ts';
import { copyBytes } from './copy.ts';
import { Datagram, MAX_FRAGMENTS } from './datagram.ts';
import {
  ECN_INVALID,
  ecnOfFragments,
  finishIpv4,
  finishIpv6,
  hasUpperLayerHeader,
  IP6_MF,
  IP6_OFFSET,
} from './fragment-headers.ts';
import {
  BLOCK_SHIFT,
  BLOCK_SIZE,
  CONTINUES,
  END,
  FragmentMemory,
  HEADER,
  HEADROOM,
  NEXT,
  START,
} from './fragment-memory.ts';
import {
  COUNT,
  ECN,
  FAMILY,
  FIRST_IN,
  FLAGS,
  FragmentQueues,
  HEAD,
  LAST_IN,
  LENGTH,
  MAX_DF_SIZE,
  MAX_SIZE,
  MEAT,
  QUEUE_SHIFT,
  TAIL,
} from './fragment-queues.ts';
import {
  COMPLETE,
  DROPPED_BAD_ECN,
  DROPPED_BAD_END,
  DROPPED_BAD_LENGTH,
  DROPPED_DUPLICATE,
  DROPPED_EMPTY,
  DROPPED_EXPIRED,
  DROPPED_INCOMPLETE_HEADERS,
  DROPPED_NO_MEMORY,
  DROPPED_OVERLAP,
  DROPPED_TOO_LONG,
  DROPPED_TOO_MANY,
  HELD,
  REASSEMBLY_NAMES,
} from './reassembly-answers.ts';

/** What {@link Reassembly.expire} ended: nothing, a datagram, or one whose first fragment had come. */
export const NONE_EXPIRED = 0;
export const EXPIRED = 1;
export const EXPIRED_WITH_FIRST = 2;

/** net.ipv4.ipfrag_time and net.netfilter.nf_conntrack_frag6_timeout. */
const LIFE_4_SECONDS = 30;
const LIFE_6_SECONDS = 60;
/** net.ipv4.ipfrag_high_thresh and net.netfilter.nf_conntrack_frag6_high_thresh. */
const HIGH_THRESHOLD = 4 << 20;
/** Where the datagram is put. */
const IP: number = HEADROOM + ETH_HLEN;
/** Longest IPv4 packet and longest IPv6 payload. */
const IP_MAXPLEN = 0xffff;

export interface ReassemblyOptions {
  /** Random words from outside. */
  readonly seed: HashSeed;
  /** Bytes for fragments of IPv4; the kernel's threshold when left out. */
  readonly bytes4?: number;
  readonly bytes6?: number;
  /** How long a datagram may be incomplete. */
  readonly life4Seconds?: number;
  readonly life6Seconds?: number;
}

export class Reassembly {
  /** After COMPLETE the datagram, after EXPIRED_WITH_FIRST its first fragment; until the next call of either kind. */
  readonly datagram: Datagram;
  /** Fragments by answer, and datagrams that expired; indexed as REASSEMBLY_NAMES. */
  readonly counters: Float64Array = new Float64Array(REASSEMBLY_NAMES.length);
  readonly #memory: FragmentMemory;
  readonly #queues: FragmentQueues;
  readonly #life4: number;
  readonly #life6: number;
  /** Of the fragment at hand: its first fragmentable byte, the one behind its last, and that no more follow. */
  #start = 0;
  #end = 0;
  #isLast = false;
  #hasDontFragment = false;
  /** Block behind which it goes, 0 for the front; set when it is no drop. */
  #before = 0;
  #continues = 0;

  constructor({ seed, bytes4, bytes6, life4Seconds, life6Seconds }: ReassemblyOptions) {
    this.#memory = new FragmentMemory(bytes4 ?? HIGH_THRESHOLD, bytes6 ?? HIGH_THRESHOLD);
    this.#queues = new FragmentQueues(this.#memory.capacity, seed);
    this.datagram = new Datagram(this.#memory);
    this.#life4 = (life4Seconds ?? LIFE_4_SECONDS) * TICKS_PER_SECOND;
    this.#life6 = (life6Seconds ?? LIFE_6_SECONDS) * TICKS_PER_SECOND;
  }

  /** Datagrams that wait for fragments. */
  get waiting(): number {
    return this.#queues.count;
  }

  /** Bytes in use for the fragments of a family. */
  bytesInUse(family: number): number {
    return this.#memory.used[family === 4 ? 0 : 1] * BLOCK_SIZE;
  }

  /**
   * Takes in the fragment of which parseFrame has just said PARSE_FRAGMENT; the frame stays the caller's. Let the time
   * pass by {@link expire} before, once per batch.
   */
  add(frames: FrameMemory, headers: Headers, now: number): number {
    const answer = this.#add(frames.view, headers, now);
    this.counters[answer]++;
    return answer;
  }

  /**
   * Ends one datagram whose time has run out; again until NONE_EXPIRED. After EXPIRED_WITH_FIRST the kernel sends the
   * sender an ICMP time exceeded, code 1: `datagram` is the first fragment as it came, with room for that.
   */
  expire(now: number): number {
    const queue = this.#queues.expired(now);
    if (queue === 0) return NONE_EXPIRED;
    this.counters[DROPPED_EXPIRED]++;
    const base = queue << QUEUE_SHIFT;
    const records = this.#queues.records;
    const hasFirst = (records[base | FLAGS] & FIRST_IN) !== 0;
    if (hasFirst) this.#quote(records[base | FAMILY], records[base | HEAD]);
    this.#discard(queue);
    return hasFirst ? EXPIRED_WITH_FIRST : EXPIRED;
  }

  #add(view: DataView, headers: Headers, now: number): number {
    const { family, ip, end, transport } = headers;
    // The kernel refuses what comes over the threshold, and throws nothing out for it (inet_frag_find).
    if (this.#memory.isFull(family)) return DROPPED_NO_MEMORY;
    if (family === 4) this.#readIpv4(view, headers);
    else this.#readIpv6(view, headers);
    if (end - ip > BLOCK_SIZE) return DROPPED_TOO_LONG;
    if (family !== 4) {
      if (this.#end > IP_MAXPLEN) return DROPPED_TOO_LONG;
      if (this.#start === 0 && !hasUpperLayerHeader(view, transport, headers.protocol, end)) {
        return DROPPED_INCOMPLETE_HEADERS;
      }
    } else if (this.#end + IPV4_HLEN > IP_MAXPLEN) {
      return DROPPED_TOO_LONG;
    }

    let queue = this.#queues.find(view, headers);
    const fault = this.#fault(family, queue);
    if (fault !== HELD) {
      if (queue !== 0 && discards(family, fault)) this.#discard(queue);
      return fault;
    }
    if (queue === 0) queue = this.#queues.open(family, (now + (family === 4 ? this.#life4 : this.#life6)) | 0);
    this.#keep(view, headers, queue);
    return this.#isWhole(queue) ? this.#finish(queue) : HELD;
  }

  #readIpv4(view: DataView, { ip, end, transport }: Headers): void {
    const word = view.getUint16(ip + IPV4_FRAGMENT);
    this.#isLast = (word & IPV4_MF) === 0;
    this.#hasDontFragment = (word & IPV4_DF) !== 0;
    this.#start = (word & IPV4_OFFSET_MASK) << 3;
    this.#end = this.#start + end - transport;
    // Linux cuts off what is too much for a multiple of 8, where IPv6 calls it broken.
    if (!this.#isLast) this.#end &= ~7;
  }

  #readIpv6(view: DataView, { end, transport }: Headers): void {
    const word = view.getUint16(transport - FRAGMENT_HLEN + FRAGMENT_OFFSET);
    this.#isLast = (word & IP6_MF) === 0;
    this.#hasDontFragment = false;
    this.#start = word & IP6_OFFSET;
    this.#end = this.#start + end - transport;
  }

  /** Why the fragment cannot be taken in, HELD when it can; finds its place then. */
  #fault(family: number, queue: number): number {
    const start = this.#start;
    const end = this.#end;
    this.#before = 0;
    this.#continues = 0;
    const records = this.#queues.records;
    const base = queue << QUEUE_SHIFT;
    const hasLast = queue !== 0 && (records[base | FLAGS] & LAST_IN) !== 0;
    const length = queue === 0 ? 0 : records[base | LENGTH];
    if (this.#isLast) {
      if (end < length || (hasLast && end !== length)) return DROPPED_BAD_END;
    } else {
      if (family !== 4 && (end & 7) !== 0) return DROPPED_BAD_LENGTH;
      if (end > length && hasLast) return DROPPED_BAD_END;
    }
    if (end <= start) return DROPPED_EMPTY;
    if (queue === 0) return HELD;
    // A duplicate teaches the kernel where the end is, too.
    if (this.#isLast) records[base | FLAGS] |= LAST_IN;
    const place = this.#findPlace(base);
    if (place === HELD && records[base | COUNT] === MAX_FRAGMENTS) return DROPPED_TOO_MANY;
    return place;
  }

  /** HELD, DROPPED_DUPLICATE or DROPPED_OVERLAP; inet_frag_queue_insert. */
  #findPlace(base: number): number {
    const records = this.#queues.records;
    const blocks = this.#memory.blocks;
    const tail = records[base | TAIL];
    const tailEnd = blocks[(tail << BLOCK_SHIFT) | END];
    if (tailEnd < this.#end) {
      if (this.#start < tailEnd) return DROPPED_OVERLAP;
      this.#before = tail;
      this.#continues = this.#start === tailEnd ? 1 : 0;
      return HELD;
    }
    let before = 0;
    let block = records[base | HEAD];
    while (blocks[(block << BLOCK_SHIFT) | END] <= this.#start) {
      before = block;
      block = blocks[(block << BLOCK_SHIFT) | NEXT];
    }
    this.#before = before;
    if (blocks[(block << BLOCK_SHIFT) | START] >= this.#end) return HELD;
    return this.#isInRun(block) ? DROPPED_DUPLICATE : DROPPED_OVERLAP;
  }

  /** Whether the run from `block` on, the first that ends behind the fragment's start, holds all of the fragment. */
  #isInRun(block: number): boolean {
    const blocks = this.#memory.blocks;
    let at = block << BLOCK_SHIFT;
    if (this.#start < blocks[at | START]) return false;
    while (blocks[at | END] < this.#end) {
      at = blocks[at | NEXT] << BLOCK_SHIFT;
      if (at === 0 || blocks[at | CONTINUES] === 0) return false;
    }
    return true;
  }

  #keep(view: DataView, { family, ip, end, transport }: Headers, queue: number): void {
    const records = this.#queues.records;
    const blocks = this.#memory.blocks;
    const base = queue << QUEUE_SHIFT;
    const block = this.#memory.allocate(family);
    const at = block << BLOCK_SHIFT;
    copyBytes(view, ip, this.#memory.view, this.#memory.place(block), end - ip);
    blocks[at | START] = this.#start;
    blocks[at | END] = this.#end;
    blocks[at | HEADER] = transport - ip;
    blocks[at | CONTINUES] = this.#continues;
    const before = this.#before;
    if (before === 0) {
      blocks[at | NEXT] = records[base | HEAD];
      records[base | HEAD] = block;
    } else {
      blocks[at | NEXT] = blocks[(before << BLOCK_SHIFT) | NEXT];
      blocks[(before << BLOCK_SHIFT) | NEXT] = block;
    }
    if (blocks[at | NEXT] === 0) records[base | TAIL] = block;

    const bytes = this.#end - this.#start;
    const size = transport - ip + bytes;
    if (this.#end > records[base | LENGTH]) records[base | LENGTH] = this.#end;
    records[base | MEAT] += bytes;
    records[base | COUNT]++;
    records[base | FLAGS] |= (this.#start === 0 ? FIRST_IN : 0) | (this.#isLast ? LAST_IN : 0);
    records[base | ECN] |= 1 << ecnField(view, family, ip);
    if (size > records[base | MAX_SIZE]) records[base | MAX_SIZE] = size;
    if (this.#hasDontFragment && size > records[base | MAX_DF_SIZE]) records[base | MAX_DF_SIZE] = size;
  }

  #isWhole(queue: number): boolean {
    const records = this.#queues.records;
    const base = queue << QUEUE_SHIFT;
    return records[base | FLAGS] === (FIRST_IN | LAST_IN) && records[base | MEAT] === records[base | LENGTH];
  }

  /** Puts the datagram together and forgets its fragments. */
  #finish(queue: number): number {
    const records = this.#queues.records;
    const base = queue << QUEUE_SHIFT;
    const family = records[base | FAMILY];
    const ecn = ecnOfFragments(records[base | ECN]);
    const first = records[base | HEAD];
    const header = this.#memory.blocks[(first << BLOCK_SHIFT) | HEADER] - (family === 4 ? 0 : FRAGMENT_HLEN);
    const total = header + records[base | LENGTH];
    let answer = COMPLETE;
    if (ecn === ECN_INVALID) answer = DROPPED_BAD_ECN;
    else if (total - (family === 4 ? 0 : IPV6_HLEN) > IP_MAXPLEN) answer = DROPPED_TOO_LONG;
    if (answer === COMPLETE) {
      const { view } = this.#memory;
      this.#place(family, total);
      this.#join(base, header);
      this.datagram.identification = this.#queues.identification(queue);
      this.datagram.largestFragment = records[base | MAX_SIZE];
      if (family === 4) {
        // A datagram may not be fragmented if its largest fragment said so: a small one with DF says nothing (ip_frag_reasm).
        finishIpv4(view, IP, header, total, ecn, records[base | MAX_DF_SIZE] === records[base | MAX_SIZE]);
      } else {
        finishIpv6(view, IP, header, total, ecn, view.getUint8(this.#memory.place(first) + header));
      }
    }
    this.#discard(queue);
    return answer;
  }

  /** Copies the first fragment's headers and everyone's bytes to the datagram's place, and notes the cuts. */
  #join(base: number, header: number): void {
    const { blocks, bytes } = this.#memory;
    const { cuts } = this.datagram;
    const first = this.#memory.place(this.#queues.records[base | HEAD]);
    bytes.copyWithin(IP, first, first + header);
    let count = 0;
    for (let block = this.#queues.records[base | HEAD]; block !== 0; block = blocks[(block << BLOCK_SHIFT) | NEXT]) {
      const at = block << BLOCK_SHIFT;
      const from = this.#memory.place(block) + blocks[at | HEADER];
      bytes.copyWithin(IP + header + blocks[at | START], from, from + blocks[at | END] - blocks[at | START]);
      cuts[count++] = blocks[at | END];
    }
    this.datagram.cutCount = count;
  }

  /** Makes the first fragment, as it came, the datagram. */
  #quote(family: number, block: number): void {
    const blocks = this.#memory.blocks;
    const at = block << BLOCK_SHIFT;
    const length = blocks[at | HEADER] + blocks[at | END] - blocks[at | START];
    const from = this.#memory.place(block);
    this.#memory.bytes.copyWithin(IP, from, from + length);
    this.#place(family, length);
    this.datagram.cutCount = 0;
  }

  #place(family: number, length: number): void {
    this.datagram.setWhole(this.#memory, HEADROOM, ETH_HLEN + length);
    this.#memory.view.setUint16(HEADROOM + ETH_TYPE, family === 4 ? ETH_P_IP : ETH_P_IPV6);
  }

  #discard(queue: number): void {
    const blocks = this.#memory.blocks;
    const base = queue << QUEUE_SHIFT;
    const family = this.#queues.records[base | FAMILY];
    let block = this.#queues.records[base | HEAD];
    while (block !== 0) {
      const next = blocks[(block << BLOCK_SHIFT) | NEXT];
      this.#memory.release(family, block);
      block = next;
    }
    this.#queues.close(queue);
  }
}

/** Whether the datagram of a fragment that is dropped can come to nothing any more, in the kernel's opinion. */
function discards(family: number, fault: number): boolean {
  if (fault === DROPPED_DUPLICATE) return false;
  return family === 4 || (fault !== DROPPED_BAD_END && fault !== DROPPED_EMPTY);
}

function ecnField(view: DataView, family: number, ip: number): number {
  return family === 4 ? view.getUint8(ip + IPV4_TOS) & 3 : (view.getUint16(ip + IPV6_VERSION) >>> 4) & 3;
}
