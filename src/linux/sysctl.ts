// SPDX-License-Identifier: Apache-2.0
// Kernel settings below `net`, as files of /proc/sys. They belong to the namespace of the calling thread: combine
// with `inNamespace` for another one.

import { readFileSync, writeFileSync } from 'node:fs';
import { missingCapabilities } from './capabilities.ts';
import { SysError, UnsupportedError } from './errno.ts';

const FOLDER = '/proc/sys';

/**
 * Value of a setting without the line's end. Names are written `net.ipv4.ip_forward`, or with slashes where a device
 * has dots in its name: `net/ipv4/conf/eth0.100/rp_filter`.
 */
export function readSysctl(name: string): string {
  try {
    return readFileSync(sysctlPath(name), 'latin1').replace(/\n$/, '');
  } catch (error) {
    throw failure(error, 'read', name);
  }
}

/** Sets a setting; the kernel's refusal of a value is EINVAL. */
export function writeSysctl(name: string, value: string | number): void {
  try {
    writeFileSync(sysctlPath(name), `${value}\n`, { flag: 'r+' });
  } catch (error) {
    throw failure(error, 'write', `${name}=${value}`);
  }
}

/** Path of the setting's file. Throws a RangeError for a name outside of `net`. */
export function sysctlPath(name: string): string {
  const parts = name.split(name.includes('/') ? '/' : '.');
  const isInside = parts[0] === 'net' && parts.length > 1 && parts.every((part) => /^[^/\0]+$/.test(part));
  if (!isInside || parts.includes('.') || parts.includes('..')) {
    throw new RangeError(`not a network setting: '${name}'`);
  }
  return `${FOLDER}/${parts.join('/')}`;
}

function failure(error: unknown, syscall: string, setting: string): Error {
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
  const context = `sysctl ${setting}`;
  if (code === 'ENOENT') {
    return new UnsupportedError(context, 'the device or the part of the kernel is not there', { cause: error });
  }
  if (code === 'EROFS') return new SysError(syscall, code, context, 'this container has /proc/sys read-only');
  if (code !== 'EACCES' && code !== 'EPERM') return new SysError(syscall, code, context);
  return new SysError(syscall, code, context, missingCapabilities(['CAP_NET_ADMIN']).remedy || 'run as root');
}
