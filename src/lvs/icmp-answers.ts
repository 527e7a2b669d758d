// SPDX-License-Identifier: Apache-2.0
// ICMP errors that the director sends by itself: a packet becomes, where it is, the error to its sender. As many as the
// limit allows. Asked by the director alone.
// hot path

import { ETH_HLEN } from '../packet/ethernet.ts';
import {
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HOST_UNREACHABLE,
  ICMP_PORT_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_ADDRESS_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  makeIcmpError,
  makeIcmpv6Error,
  setIcmpSource,
} from '../packet/icmp.ts';
import { IPV4_DST, IPV4_SRC } from '../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC } from '../packet/ipv6.ts';
import type { Headers } from '../packet/parse.ts';
import { IcmpLimit, type IcmpRate } from './defence/icmp-limit.ts';
import type { FrameMemory } from './frame-memory.ts';
import type { HostAddresses } from './host-addresses.ts';

/** What the sender of a packet is told. */
export const PORT_UNREACHABLE = 0;
export const HOST_UNREACHABLE = 1;
export const TIME_EXCEEDED = 2;
/** IPv4: fragmentation needed. IPv6: packet too big. */
export const TOO_BIG = 3;
/** Fragments of a datagram are missing. */
export const REASSEMBLY_EXCEEDED = 4;

const TYPES = [ICMP_UNREACHABLE, ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED, ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED];
const CODES = [ICMP_PORT_UNREACHABLE, ICMP_HOST_UNREACHABLE, 0, ICMP_FRAGMENTATION_NEEDED, 1];
const TYPES_6 = [
  ICMPV6_UNREACHABLE,
  ICMPV6_UNREACHABLE,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_TIME_EXCEEDED,
];
const CODES_6 = [ICMPV6_PORT_UNREACHABLE, ICMPV6_ADDRESS_UNREACHABLE, 0, 0, 1];

/** Whether an ICMP message of this family tells of a path's MTU. */
export function isTooBig(family: number, type: number, code: number): boolean {
  return family === 4
    ? type === ICMP_UNREACHABLE && code === ICMP_FRAGMENTATION_NEEDED
    : type === ICMPV6_PACKET_TOO_BIG;
}

export interface IcmpAnswersOptions {
  /** Current tick. */
  readonly now: number;
  /** The kernel's own limit when left out. */
  readonly rate: IcmpRate | undefined;
  /** Where identifications begin. */
  readonly id: number;
  readonly host: HostAddresses | undefined;
}

export class IcmpAnswers {
  readonly #host: HostAddresses | undefined;
  readonly #limit: IcmpLimit;
  readonly #sender: Int32Array = new Int32Array(4);
  #id: number;

  constructor({ now, rate, id, host }: IcmpAnswersOptions) {
    this.#host = host;
    this.#limit = new IcmpLimit(now, rate);
    this.#id = id & 0xffff;
  }

  /**
   * Turns the packet into an error (PORT_UNREACHABLE … TOO_BIG, with its `mtu`) to its sender, from the address that it
   * was sent to. Returns the length of the frame, or 0 when none may be sent.
   */
  toClient(frames: FrameMemory, headers: Headers, error: number, mtu: number, now: number): number {
    const isIpv4 = headers.family === 4;
    const type = (isIpv4 ? TYPES : TYPES_6)[error];
    const code = (isIpv4 ? CODES : CODES_6)[error];
    return this.relay(frames, headers, type, code, mtu, now);
  }

  /** As {@link toClient} for an error of any type and code; `rest` is the second word of its header. */
  relay(frames: FrameMemory, headers: Headers, type: number, code: number, rest: number, now: number): number {
    const { family, ip, end } = headers;
    const { view, bytes } = frames;
    // The kernel's limit leaves path MTU discovery alone (icmpv4_mask_allow, icmpv6_mask_allow).
    if (!isTooBig(family, type, code) && !this.#limit.allow(now)) return 0;
    if (family !== 4) return ETH_HLEN + makeIcmpv6Error(view, bytes, ip, end - ip, type, code, rest);
    this.#id = (this.#id + 1) & 0xffff;
    return ETH_HLEN + makeIcmpError(view, bytes, ip, end - ip, type, code, rest, this.#id);
  }

  /** As {@link toClient} when the packet was for this machine, else {@link toServer}. */
  toSender(frames: FrameMemory, headers: Headers, error: number, mtu: number, now: number): number {
    const { family, ip } = headers;
    const at = ip + (family === 4 ? IPV4_DST : IPV6_DST);
    const words = this.#sender;
    for (let i = 0; i < 4; i++) words[i] = family === 4 && i > 0 ? 0 : frames.view.getInt32(at + (i << 2));
    return this.#host === undefined || this.#host.isLocal(family, words)
      ? this.toClient(frames, headers, error, mtu, now)
      : this.toServer(frames, headers, error, mtu, now);
  }

  /** As {@link toClient}, but from the machine's own address; 0 also when it has none to speak from. */
  toServer(frames: FrameMemory, headers: Headers, error: number, mtu: number, now: number): number {
    const { family, ip } = headers;
    const at = ip + (family === 4 ? IPV4_SRC : IPV6_SRC);
    const sender = this.#sender;
    for (let i = 0; i < 4; i++) sender[i] = family === 4 && i > 0 ? 0 : frames.view.getInt32(at + (i << 2));
    const own = this.#host?.sourceFor(family, sender);
    if (own === undefined) return 0;
    const length = this.toClient(frames, headers, error, mtu, now);
    if (length > 0) setIcmpSource(frames.view, family, ip, own);
    return length;
  }
}
