// SPDX-License-Identifier: Apache-2.0
// The way back to the kernel for packets that reached the engine and are not the director's: a TUN device, from which
// the kernel receives them as from any other. So a late segment to the VIP is answered by the kernel's own TCP, and a
// server's other traffic is forwarded by the kernel's own rules.

import { changeLink } from '../../linux/route/link.ts';
import { openRouteSocket } from '../../linux/route/route-socket.ts';
import { readSysctl, writeSysctl } from '../../linux/sysctl.ts';
import { TunDevice } from '../../linux/tun.ts';
import type { Logger } from '../logger.ts';
import type { KernelPort } from './engine.ts';

export class TunPort implements KernelPort {
  readonly #tun: TunDevice;
  readonly #bytes: Uint8Array;

  /** Makes the device and switches it on. `bytes` is the frame memory. */
  constructor(bytes: Uint8Array, log: Logger) {
    this.#bytes = bytes;
    this.#tun = new TunDevice('ballast%d');
    try {
      const name = this.#tun.name;
      // Packets come in here that left their sender on another device: the reverse-path filter would drop them.
      writeSysctl(`net.ipv4.conf.${name}.rp_filter`, '0');
      if (readSysctl('net.ipv4.conf.all.rp_filter') === '1') {
        log.warn(
          'net.ipv4.conf.all.rp_filter is 1: packets that the director gives back to the kernel are lost there',
          {
            remedy: 'set it to 0 or 2',
          },
        );
      }
      const socket = openRouteSocket();
      try {
        changeLink(socket, name, { up: true });
      } finally {
        socket.close();
      }
    } catch (error) {
      this.#tun.close();
      throw error;
    }
  }

  inject(offset: number, length: number): boolean {
    try {
      return this.#tun.write(this.#bytes.subarray(offset, offset + length));
    } catch {
      // EINVAL for what is no IP packet, EIO while somebody has switched the device off: the caller counts it.
      return false;
    }
  }

  close(): void {
    this.#tun.close();
  }
}
