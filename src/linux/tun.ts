// SPDX-License-Identifier: Apache-2.0
// Devices whose other end is this process (Documentation/networking/tuntap.rst): what the kernel sends to the device
// is read here, what is written here arrives from it. The device lives in the namespace of the thread that makes it,
// and goes when it is closed.

import { constants } from 'node:fs';
import { SysError, UnsupportedError } from './errno.ts';
import { type Fd, openFd, readFd, writeFd } from './fd.ts';
import { IFR_DATA, ifreq, ifreqName, ioctl } from './ioctl.ts';
import { NATIVE_LE } from './libc.ts';

const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x1;
const IFF_TAP = 0x2;
const IFF_NO_PI = 0x1000;

const MODES = { tun: IFF_TUN, tap: IFF_TAP } as const;

/** One packet per read and write: an IP packet for `tun`, an Ethernet frame for `tap`. Nothing here waits. */
export class TunDevice {
  readonly name: string;
  readonly #fd: Fd;

  /** Makes the device, down and without addresses. A `%d` in the name becomes the first free number. */
  constructor(name: string, mode: 'tun' | 'tap' = 'tun') {
    this.#fd = openTunFile();
    const request = ifreq(name);
    request.setUint16(IFR_DATA, MODES[mode] | IFF_NO_PI, NATIVE_LE);
    try {
      ioctl(this.#fd.number, TUNSETIFF, request, `create ${mode} device '${name}'`);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
    this.name = ifreqName(request);
  }

  /** Readable when a packet waits. */
  get number(): number {
    return this.#fd.number;
  }

  /** Length of the packet put into `buffer`, -1 when none waits. What does not fit is lost. */
  read(buffer: Uint8Array): number {
    return readFd(this.#fd.number, buffer, `device '${this.name}'`);
  }

  /** Hands one packet to the kernel; false when it takes none now. EIO while the device is down. */
  write(packet: Uint8Array): boolean {
    return writeFd(this.#fd.number, packet, `device '${this.name}'`) !== -1;
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function openTunFile(): Fd {
  try {
    return openFd('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    if (!(error instanceof SysError) || (error.errno !== 'ENOENT' && error.errno !== 'ENODEV')) throw error;
    throw new UnsupportedError('TUN devices', "load the module 'tun', or give the container /dev/net/tun", {
      cause: error,
    });
  }
}
