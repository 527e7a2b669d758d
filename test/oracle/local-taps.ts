// SPDX-License-Identifier: Apache-2.0
// What a namespace's own network stack is given: raw sockets of the protocols that matter, which get a copy of every packet
// that is delivered locally, behind all hooks. For the kernel's side of the oracle.

import type { Fd } from '../../src/linux/fd.ts';
import {
  AF_INET,
  AF_INET6,
  openSocket,
  receiveMessage,
  SOCK_NONBLOCK,
  SOCK_RAW,
  setReceiveBuffer,
  setSocketOption,
} from '../../src/linux/socket.ts';
import { deliveredIpv6Of, deliveredOf, type Emission } from './outcome.ts';

const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_INTERFACE = 4;
const IPPROTO_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const IPV6_PMTUDISC_INTERFACE = 4;
const IPPROTO_ICMPV6 = 58;
const PROTOCOLS = [1, 6, 17, 132];
const PROTOCOLS_6 = [6, 17, 58, 132];
const CONTEXT = 'what is delivered locally';

export class LocalTaps {
  readonly #taps: readonly { readonly fd: Fd; readonly protocol: number; readonly family: number }[];
  readonly #buffer = new Uint8Array(65536);

  /** In the calling thread's namespace. */
  constructor() {
    this.#taps = [
      ...PROTOCOLS.map((protocol) => ({ fd: open(AF_INET, protocol), protocol, family: 4 })),
      ...PROTOCOLS_6.map((protocol) => ({ fd: open(AF_INET6, protocol), protocol, family: 6 })),
    ];
  }

  /** What has been delivered since the last call. */
  take(): Emission[] {
    const emissions: Emission[] = [];
    for (const { fd, protocol, family } of this.#taps) {
      for (;;) {
        const length = receiveMessage(fd.number, this.#buffer, 0, CONTEXT);
        if (length === -1) break;
        const bytes = this.#buffer.subarray(0, length);
        // Neighbour discovery and the like.
        if (protocol === IPPROTO_ICMPV6 && bytes[0] > 129) continue;
        emissions.push(family === 4 ? deliveredOf(bytes) : deliveredIpv6Of(protocol, bytes));
      }
    }
    return emissions;
  }

  close(): void {
    for (const { fd } of this.#taps) fd.close();
  }
}

function open(family: number, protocol: number): Fd {
  const fd = openSocket(family, SOCK_RAW | SOCK_NONBLOCK, protocol, CONTEXT);
  setReceiveBuffer(fd.number, 4 << 20, CONTEXT);
  // Or it would learn path MTUs from errors, for everybody.
  if (family === AF_INET) setSocketOption(fd.number, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE, CONTEXT);
  else setSocketOption(fd.number, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_INTERFACE, CONTEXT);
  return fd;
}
