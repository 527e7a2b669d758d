// SPDX-License-Identifier: Apache-2.0
// Sockets of kinds that Node has not: netlink and packet sockets, and the handle that ioctl wants. TCP, UDP and Unix
// sockets belong to `node:net` and `node:dgram`.

import { constants } from 'node:os';
import { missingCapabilities } from './capabilities.ts';
import { SysError } from './errno.ts';
import { Fd } from './fd.ts';
import { check, lastErrno, libc } from './libc.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;

export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;

export const MSG_PEEK = 0x2;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

export const SOL_SOCKET = 1;
export const SO_RCVBUF = 8;
export const SO_RCVBUFFORCE = 33;

const { EAGAIN, EINTR, EPERM, EACCES } = constants.errno;

const $socket = libc.func('int socket(int family, int type, int protocol)');
const $bind = libc.func('int bind(int fd, const void *address, unsigned int length)');
const $setsockopt = libc.func('int setsockopt(int fd, int level, int option, const void *value, unsigned int length)');
const $getsockopt = libc.func('int getsockopt(int fd, int level, int option, void *value, unsigned int *length)');
const $send = libc.func('intptr_t send(int fd, const void *buffer, size_t length, int flags)');
const $recv = libc.func('intptr_t recv(int fd, void *buffer, size_t length, int flags)');

/** Opens a socket that no child process inherits. `type` may carry SOCK_NONBLOCK. */
export function openSocket(family: number, type: number, protocol: number, context: string): Fd {
  return new Fd(check($socket(family, type | SOCK_CLOEXEC, protocol), 'socket', context, remedy));
}

/** Binds to a `struct sockaddr_*` as bytes. */
export function bindSocket(fd: number, address: Uint8Array, context: string): void {
  check($bind(fd, address, address.byteLength), 'bind', context, remedy);
}

export function setSocketOption(fd: number, level: number, option: number, value: number, context: string): void {
  check($setsockopt(fd, level, option, Int32Array.of(value), 4), 'setsockopt', context, remedy);
}

/** Asks for an option whose value is bytes: `value` is the question, and holds the answer, which is returned. */
export function getSocketOption(
  fd: number,
  level: number,
  option: number,
  value: Uint8Array<ArrayBuffer>,
  context: string,
): Uint8Array<ArrayBuffer> {
  check($getsockopt(fd, level, option, value, Uint32Array.of(value.byteLength)), 'getsockopt', context, remedy);
  return value;
}

/** Room for what arrives while nobody reads. Past the system's limit only with CAP_NET_ADMIN, else up to it. */
export function setReceiveBuffer(fd: number, bytes: number, context: string): void {
  if ($setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, Int32Array.of(bytes), 4) === 0) return;
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, bytes, context);
}

/** Sends one message whole. */
export function sendMessage(fd: number, bytes: Uint8Array, context: string): void {
  while (Number($send(fd, bytes, bytes.byteLength, 0)) < 0) {
    const errno = lastErrno();
    if (errno !== EINTR) throw new SysError('send', errno, context, remedy(errno));
  }
}

/** Bytes received, -1 when nothing waits. With MSG_TRUNC the whole length of the message, even past the buffer. */
export function receiveMessage(fd: number, buffer: Uint8Array, flags: number, context: string): number {
  for (;;) {
    const count = Number($recv(fd, buffer, buffer.byteLength, flags));
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EAGAIN) return -1;
    if (errno !== EINTR) throw new SysError('recv', errno, context, remedy(errno));
  }
}

function remedy(errno: number): string | undefined {
  if (errno !== EPERM && errno !== EACCES) return undefined;
  return missingCapabilities(['CAP_NET_ADMIN', 'CAP_NET_RAW']).remedy || undefined;
}
