// SPDX-License-Identifier: Apache-2.0
// Named network namespaces, kept where iproute2 keeps them (ip/ipnetns.c), so that `ip netns` and
// `nsenter --net=/run/netns/NAME` see the same ones. A namespace belongs to a thread: these calls move the calling
// thread alone, and only enterNamespace leaves it elsewhere.

import { closeSync, constants, existsSync, mkdirSync, openSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import { constants as os } from 'node:os';
import { missingCapabilities } from './capabilities.ts';
import { SysError } from './errno.ts';
import { type Fd, openFd } from './fd.ts';
import { waitForLock } from './file-lock.ts';
import { check, lastErrno, libc, NATIVE_LE, type Remedy } from './libc.ts';
import { AF_INET, getSocketOption, openSocket, SOCK_DGRAM, SOL_SOCKET } from './socket.ts';

export const NETNS_FOLDER = '/run/netns';
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

const CLONE_NEWNET = 0x40000000;
const SO_NETNS_COOKIE = 71;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SHARED = 0x100000;
const MNT_DETACH = 2;

const { EPERM, EINVAL, ENOSPC } = os.errno;

const $unshare = libc.func('int unshare(int flags)');
const $setns = libc.func('int setns(int fd, int type)');
const $mount = libc.func(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)',
);
const $umount2 = libc.func('int umount2(const char *target, int flags)');

/** Makes a namespace with nothing in it but a loopback device that is down. EEXIST when the name is taken. */
export function createNamespace(name: string): void {
  const path = namespacePath(name);
  const own = openFd(OWN_NAMESPACE, constants.O_RDONLY);
  try {
    prepareFolder();
    createFile(path, name);
    try {
      check($unshare(CLONE_NEWNET), 'unshare', `create namespace '${name}'`, remedy);
      try {
        check($mount(OWN_NAMESPACE, path, 'none', MS_BIND, null), 'mount', `keep namespace '${name}'`, remedy);
      } finally {
        returnTo(own);
      }
    } catch (error) {
      unlinkSync(path);
      throw error;
    }
  } finally {
    own.close();
  }
}

/** Takes the name away; the namespace itself ends with its last process and open descriptor. ENOENT when there is none. */
export function removeNamespace(name: string): void {
  const path = namespacePath(name);
  // EINVAL: a file without a namespace behind it, left by somebody who died in the middle of creating one.
  if ($umount2(path, MNT_DETACH) !== 0 && lastErrno() !== EINVAL) {
    throw new SysError('umount2', lastErrno(), `remove namespace '${name}'`, remedy(lastErrno()));
  }
  try {
    unlinkSync(path);
  } catch (error) {
    throw fileError(error, 'unlink', `remove namespace '${name}'`);
  }
}

/** Names in alphabetical order. */
export function listNamespaces(): readonly string[] {
  return existsSync(NETNS_FOLDER) ? readdirSync(NETNS_FOLDER).sort() : [];
}

export function namespaceExists(name: string): boolean {
  return existsSync(namespacePath(name));
}

/** A descriptor of the namespace, for messages that move devices into it. The caller closes it. */
export function openNamespace(name: string): Fd {
  return openFd(namespacePath(name), constants.O_RDONLY);
}

/** Moves the calling thread into the namespace for good. For a process that has just started and has no threads yet. */
export function enterNamespace(name: string): void {
  const namespace = openNamespace(name);
  try {
    check($setns(namespace.number, CLONE_NEWNET), 'setns', `enter namespace '${name}'`, remedy);
  } finally {
    namespace.close();
  }
}

/**
 * Runs `body` inside the namespace and comes back, also when it throws. What it opens stays in the namespace: sockets,
 * child processes, new threads. It must be synchronous; work that it leaves to a later tick runs outside, and so do
 * look-ups of host names.
 */
export function inNamespace<T>(name: string, body: () => T): T {
  const own = openFd(OWN_NAMESPACE, constants.O_RDONLY);
  try {
    enterNamespace(name);
    try {
      return body();
    } finally {
      returnTo(own);
    }
  } finally {
    own.close();
  }
}

/** What tells the calling thread's namespace from all others since the machine started: a number, or the inode's before 5.14. */
export function namespaceId(): string {
  const socket = openSocket(AF_INET, SOCK_DGRAM, 0, 'identify the network namespace');
  try {
    const cookie = new Uint8Array(new ArrayBuffer(8));
    getSocketOption(socket.number, SOL_SOCKET, SO_NETNS_COOKIE, cookie, 'identify the network namespace');
    return String(new DataView(cookie.buffer).getBigUint64(0, NATIVE_LE));
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== 'ENOPROTOOPT') throw error;
    return `inode-${statSync(OWN_NAMESPACE).ino}`;
  } finally {
    socket.close();
  }
}

/** Path of the namespace's file. Throws a RangeError for a name that would leave the folder. */
export function namespacePath(name: string): string {
  if (!/^[^/\0]{1,255}$/.test(name) || name === '.' || name === '..') {
    throw new RangeError(`not a name of a network namespace: '${name}'`);
  }
  return `${NETNS_FOLDER}/${name}`;
}

function returnTo(own: Fd): void {
  check($setns(own.number, CLONE_NEWNET), 'setns', 'return to the own network namespace', remedy);
}

/** The folder is a shared mount, so that namespaces made here appear in every mount namespace, as iproute2's do. */
function prepareFolder(): void {
  try {
    mkdirSync(NETNS_FOLDER, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw fileError(error, 'mkdir', NETNS_FOLDER);
  }
  const folder = openFd(NETNS_FOLDER, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    waitForLock(folder.number, NETNS_FOLDER);
    if ($mount('', NETNS_FOLDER, 'none', MS_SHARED | MS_REC, null) === 0) return;
    const errno = lastErrno();
    if (errno !== EINVAL) throw new SysError('mount', errno, `share ${NETNS_FOLDER}`, remedy(errno));
    check(
      $mount(NETNS_FOLDER, NETNS_FOLDER, 'none', MS_BIND | MS_REC, null),
      'mount',
      `${NETNS_FOLDER} on itself`,
      remedy,
    );
    check($mount('', NETNS_FOLDER, 'none', MS_SHARED | MS_REC, null), 'mount', `share ${NETNS_FOLDER}`, remedy);
  } finally {
    folder.close();
  }
}

function createFile(path: string, name: string): void {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_CREAT | constants.O_EXCL, 0));
  } catch (error) {
    throw fileError(error, 'open', `create namespace '${name}'`);
  }
}

function fileError(error: unknown, syscall: string, context: string): SysError {
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
  const mayNot = code === 'EACCES' || code === 'EPERM';
  return new SysError(syscall, code, context, mayNot ? 'run as root' : undefined);
}

const remedy: Remedy = (errno) => {
  if (errno === EPERM) return missingCapabilities(['CAP_SYS_ADMIN']).remedy || 'this container may not do it';
  if (errno === ENOSPC) return 'raise user.max_net_namespaces';
  if (errno === EINVAL) return 'the file is not a namespace: remove it';
  return undefined;
};
