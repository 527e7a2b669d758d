// SPDX-License-Identifier: Apache-2.0
// ICMP errors that the director sends by itself: a packet becomes, where it is, the error to its sender. As many as the
// limit allows. Asked by the director alone.
// hot path

import { ETH_HLEN } from '../packet/ethernet.ts';
import {
  ICMP_PORT_UNREACHABLE,
  ICMP_UNREACHABLE,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  makeIcmpError,
  makeIcmpv6Error,
  setIcmpSource,
} from '../packet/icmp.ts';
import { IPV4_SRC } from '../packet/ipv4.ts';
import { IPV6_SRC } from '../packet/ipv6.ts';
import type { Headers } from '../packet/parse.ts';
import { IcmpLimit, type IcmpRate } from './defence/icmp-limit.ts';
import type { FrameMemory } from './frame-memory.ts';
import type { HostAddresses } from './host-addresses.ts';

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
   * Turns the packet into an error of `type` (ICMP_UNREACHABLE: port unreachable; ICMP_TIME_EXCEEDED) to its sender, from
   * the address that it was sent to. Returns the length of the frame, or 0 when none may be sent.
   */
  toClient(frames: FrameMemory, headers: Headers, type: number, now: number): number {
    if (!this.#limit.allow(now)) return 0;
    const { family, ip, end } = headers;
    const isUnreachable = type === ICMP_UNREACHABLE;
    if (family === 4) {
      this.#id = (this.#id + 1) & 0xffff;
      const code = isUnreachable ? ICMP_PORT_UNREACHABLE : 0;
      return ETH_HLEN + makeIcmpError(frames.view, frames.bytes, ip, end - ip, type, code, this.#id);
    }
    const type6 = isUnreachable ? ICMPV6_UNREACHABLE : ICMPV6_TIME_EXCEEDED;
    const code = isUnreachable ? ICMPV6_PORT_UNREACHABLE : 0;
    return ETH_HLEN + makeIcmpv6Error(frames.view, frames.bytes, ip, end - ip, type6, code);
  }

  /** As {@link toClient}, but from the machine's own address; 0 also when it has none to speak from. */
  toServer(frames: FrameMemory, headers: Headers, type: number, now: number): number {
    const { family, ip } = headers;
    const at = ip + (family === 4 ? IPV4_SRC : IPV6_SRC);
    const sender = this.#sender;
    for (let i = 0; i < 4; i++) sender[i] = family === 4 && i > 0 ? 0 : frames.view.getInt32(at + (i << 2));
    const own = this.#host?.sourceFor(family, sender);
    if (own === undefined) return 0;
    const length = this.toClient(frames, headers, type, now);
    if (length > 0) setIcmpSource(frames.view, family, ip, own);
    return length;
  }
}
