// SPDX-License-Identifier: Apache-2.0
// Cuts a datagram into fragments for an MTU, one frame at a time (RFC 791 §3.2, RFC 8200 §4.5; ip_do_fragment and
// ip6_fragment). What came in fragments leaves in the same ones if they fit, as the kernel's do, which still has them as a
// list; else in pieces no larger than the largest that came. For datagrams of reassembly and for packets that tunnels made.
//
//     for (let count = fragmentation.begin(datagram, mtu); count > 0; count--) {
//       const length = fragmentation.next(frames, frame);   // a frame that the caller has allocated
//     }
// hot path

import { checksum } from '../../packet/checksum.ts';
import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6, ETH_TYPE } from '../../packet/ethernet.ts';
import {
  IPV4_CHECKSUM,
  IPV4_DF,
  IPV4_FRAGMENT,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_TOTAL,
  IPV4_VIHL,
} from '../../packet/ipv4.ts';
import { FRAGMENT_HLEN, FRAGMENT_OFFSET, IPV6_HLEN, IPV6_PAYLOAD, NEXT_FRAGMENT } from '../../packet/ipv6.ts';
import type { FrameMemory } from '../frame-memory.ts';
import { copyBytes } from './copy.ts';
import { Datagram } from './datagram.ts';
import { FRAGMENT_ID, IP6_MF, keepCopiedOptions, nextHeaderField, unfragmentableLength } from './fragment-headers.ts';

/** It must not be fragmented, or not by us: the sender has to hear of the MTU (ICMP 3/4, ICMPv6 2/0). */
export const TOO_BIG = -1;
/** Every way in IPv6 takes as much (RFC 8200 §5). */
const IPV6_MIN_MTU = 1280;
/** The MTU has no room for the headers and 8 bytes. */
export const NO_ROOM = -2;

export class Fragmentation {
  #datagram: Datagram;
  #isIpv4 = false;
  /** Offset of the IP header. */
  #ip = 0;
  /** Bytes of headers that each fragment repeats, and fragmentable bytes behind them. */
  #header = 0;
  #payload = 0;
  /** Fragmentable bytes that fit one fragment, whether the last or not. */
  #room = 0;
  #usesCuts = false;
  /** One fragment is enough: it leaves as it is. */
  #isWhole = false;
  /** IPv4: the datagram's own offset and flags, for it may be a fragment itself. */
  #word = 0;
  /** Fragmentable bytes that have left, and fragments. */
  #done = 0;
  #count = 0;

  constructor() {
    const nothing = new ArrayBuffer(0);
    this.#datagram = new Datagram({ view: new DataView(nothing), bytes: new Uint8Array(nothing) });
  }

  /**
   * Begins with a datagram of which parseFrame said PARSE_OK, and which has to stay as it is until its last fragment is
   * made. Returns the number of frames that it takes for `mtu`, or TOO_BIG or NO_ROOM.
   */
  begin(datagram: Datagram, mtu: number): number {
    const { view } = datagram.memory;
    const ip = datagram.frame + ETH_HLEN;
    const total = datagram.length - ETH_HLEN;
    this.#datagram = datagram;
    this.#ip = ip;
    this.#done = 0;
    this.#count = 0;
    this.#isIpv4 = view.getUint8(ip + IPV4_VIHL) >>> 4 === 4;
    this.#word = this.#isIpv4 ? view.getUint16(ip + IPV4_FRAGMENT) : 0;
    const { largestFragment } = datagram;
    // Headers of a tunnel in IPv6 may leave no room in fragments as small as those that came.
    const least = datagram.isOwn && !this.#isIpv4 ? IPV6_MIN_MTU : 0;
    const size = largestFragment > 0 ? Math.min(Math.max(largestFragment, least), mtu) : mtu;
    this.#isWhole = total <= size;
    if (this.#isWhole) return 1;
    if (this.#mustStayWhole() && (largestFragment === 0 || largestFragment > mtu)) return TOO_BIG;

    const header = this.#isIpv4
      ? (view.getUint8(ip + IPV4_VIHL) & 15) << 2
      : unfragmentableLength(view, ip, ip + total);
    this.#header = header;
    this.#payload = total - header;
    this.#room = size - header - (this.#isIpv4 ? 0 : FRAGMENT_HLEN);
    const step = this.#room & ~7;
    if (step <= 0) return NO_ROOM;
    this.#usesCuts = this.#cutsFit();
    if (this.#usesCuts) return datagram.cutCount;
    return this.#payload <= this.#room ? 1 : Math.ceil((this.#payload - this.#room) / step) + 1;
  }

  /**
   * Writes the next fragment to the frame at `frame`, for which there must be room for the MTU and an Ethernet header; of
   * that the type is written. Returns the bytes of the frame, 0 when nothing is left.
   */
  next(frames: FrameMemory, frame: number): number {
    if (this.#isWhole) return this.#nextWhole(frames, frame);
    const { cuts } = this.#datagram;
    const left = this.#payload - this.#done;
    if (left <= 0) return 0;
    let bytes = left <= this.#room ? left : this.#room & ~7;
    if (this.#usesCuts) bytes = cuts[this.#count] - this.#done;
    const length = this.#isIpv4 ? this.#writeIpv4(frames, frame, bytes) : this.#writeIpv6(frames, frame, bytes);
    this.#done += bytes;
    this.#count++;
    return length;
  }

  /** IPv4 with DF, and IPv6 that others made, may be fragmented only as they were. */
  #mustStayWhole(): boolean {
    return this.#isIpv4 ? (this.#word & IPV4_DF) !== 0 : !this.#datagram.isOwn;
  }

  /** Whether the fragments that came fit, and are all of the datagram still. */
  #cutsFit(): boolean {
    const { cuts, cutCount } = this.#datagram;
    if (cutCount === 0 || cuts[cutCount - 1] !== this.#payload) return false;
    let before = 0;
    for (let i = 0; i < cutCount; i++) {
      if (cuts[i] - before > this.#room) return false;
      before = cuts[i];
    }
    return true;
  }

  #nextWhole(frames: FrameMemory, frame: number): number {
    if (this.#count > 0) return 0;
    this.#count = 1;
    const { memory, length } = this.#datagram;
    copyBytes(memory.view, this.#ip, frames.view, frame + ETH_HLEN, length - ETH_HLEN);
    frames.view.setUint16(frame + ETH_TYPE, this.#isIpv4 ? ETH_P_IP : ETH_P_IPV6);
    return length;
  }

  #writeIpv4({ view }: FrameMemory, frame: number, bytes: number): number {
    const header = this.#header;
    const ip = frame + ETH_HLEN;
    const from = this.#datagram.memory.view;
    copyBytes(from, this.#ip, view, ip, header);
    copyBytes(from, this.#ip + header + this.#done, view, ip + header, bytes);
    if (this.#done > 0) keepCopiedOptions(view, ip, header);
    const offset = (this.#word & IPV4_OFFSET_MASK) + (this.#done >> 3);
    const isLast = this.#done + bytes === this.#payload && (this.#word & IPV4_MF) === 0;
    view.setUint16(frame + ETH_TYPE, ETH_P_IP);
    view.setUint16(ip + IPV4_TOTAL, header + bytes);
    view.setUint16(ip + IPV4_FRAGMENT, (this.#word & IPV4_DF) | (isLast ? 0 : IPV4_MF) | offset);
    view.setUint16(ip + IPV4_CHECKSUM, 0);
    view.setUint16(ip + IPV4_CHECKSUM, checksum(view, ip, header, 0));
    return ETH_HLEN + header + bytes;
  }

  #writeIpv6({ view }: FrameMemory, frame: number, bytes: number): number {
    const header = this.#header;
    const ip = frame + ETH_HLEN;
    const fragment = ip + header;
    const { memory, identification } = this.#datagram;
    copyBytes(memory.view, this.#ip, view, ip, header);
    copyBytes(memory.view, this.#ip + header + this.#done, view, fragment + FRAGMENT_HLEN, bytes);
    const field = nextHeaderField(view, ip, header);
    view.setUint16(fragment, view.getUint8(field) << 8);
    view.setUint8(field, NEXT_FRAGMENT);
    const isLast = this.#done + bytes === this.#payload;
    view.setUint16(fragment + FRAGMENT_OFFSET, this.#done | (isLast ? 0 : IP6_MF));
    view.setInt32(fragment + FRAGMENT_ID, identification);
    view.setUint16(frame + ETH_TYPE, ETH_P_IPV6);
    view.setUint16(ip + IPV6_PAYLOAD, header - IPV6_HLEN + FRAGMENT_HLEN + bytes);
    return ETH_HLEN + header + FRAGMENT_HLEN + bytes;
  }
}
