// SPDX-License-Identifier: Apache-2.0
// ioctl(2) on network devices: the structure that names a device, and what its refusals mean.

import { constants } from 'node:os';
import koffi from 'koffi';
import { missingCapabilities } from './capabilities.ts';
import { SysError } from './errno.ts';
import { lastErrno, libc, NATIVE_LE } from './libc.ts';

//  0 name(16)  16 data: flags(2) or an address(8)                         struct ifreq, include/uapi/linux/if.h
const IFR_NAME_SIZE = 16;
export const IFR_DATA = 16;
const IFR_SIZE = 40;

const { EPERM, EACCES, ENODEV, EBUSY } = constants.errno;

const $ioctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)');

/** A `struct ifreq` that names the device. Throws a RangeError when no device can have that name. */
export function ifreq(name: string): DataView {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length >= IFR_NAME_SIZE || bytes.includes(0))
    throw new RangeError(`not a name of a network device: '${name}'`);
  const request = new Uint8Array(IFR_SIZE);
  request.set(bytes);
  return new DataView(request.buffer);
}

/** An ifreq whose data is the address of `data`, which the caller keeps until the call is over. */
export function ifreqWith(name: string, data: Uint8Array): DataView {
  const request = ifreq(name);
  request.setBigUint64(IFR_DATA, koffi.address(data), NATIVE_LE);
  return request;
}

/** Name in an ifreq that the kernel has filled in. */
export function ifreqName(request: DataView): string {
  const bytes = Buffer.from(request.buffer, request.byteOffset, IFR_NAME_SIZE);
  return bytes.subarray(0, bytes.indexOf(0)).toString('utf8');
}

export function ioctl(fd: number, request: number, argument: DataView, context: string): void {
  const bytes = new Uint8Array(argument.buffer, argument.byteOffset, argument.byteLength);
  if ($ioctl(fd, request, bytes) >= 0) return;
  const errno = lastErrno();
  throw new SysError('ioctl', errno, context, remedy(errno));
}

function remedy(errno: number): string | undefined {
  if (errno === EPERM || errno === EACCES) return missingCapabilities(['CAP_NET_ADMIN']).remedy || undefined;
  if (errno === ENODEV) return 'no such device in this network namespace';
  if (errno === EBUSY) return 'another program has it open';
  return undefined;
}
