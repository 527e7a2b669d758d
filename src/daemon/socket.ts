// SPDX-License-Identifier: Apache-2.0
// The daemon's Unix socket: its folder, its mode, and who may take its place. A socket that a dead daemon left is
// replaced; one that answers, or a file that is no socket, is an error that names it. Knows nothing of HTTP.

import { chmodSync, closeSync, constants, lstatSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { createConnection, type Server } from 'node:net';
import { dirname } from 'node:path';
import { tryLock } from '../linux/file-lock.ts';

/** Longest path that fits a sockaddr_un with its terminating zero (unix(7)). */
const PATH_MAX_BYTES = 107;

/** The socket cannot be taken; the message says why and what to do. */
export class SocketError extends Error {
  readonly code = 'BALLAST_SOCKET';
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SocketError';
    this.path = path;
  }
}

/** Makes `server` listen at `path` with mode 0600, in a folder that is made with 0755 when it is missing. */
export async function listenAt(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > PATH_MAX_BYTES) {
    throw new SocketError(path, `socket path '${path}' is longer than ${PATH_MAX_BYTES} bytes: choose a shorter one`);
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    await exclusively(path, async () => {
      await removeStale(path);
      await listen(server, path);
    });
  } catch (error) {
    throw error instanceof SocketError ? error : explain(path, error as NodeJS.ErrnoException);
  }
}

/** Whether something accepts connections at `path`. */
export function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const connection = createConnection(path);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

/**
 * Runs `work` while no other process replaces or makes a socket in the folder of `path`: between asking whether the old
 * one answers and having removed it, nobody may put a live one in its place. The lock is held for a few milliseconds.
 */
async function exclusively(path: string, work: () => Promise<void>): Promise<void> {
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    if (!tryLock(folder, `'${path}'`)) {
      throw new SocketError(path, `another Ballast daemon is starting at ${path}: try again`);
    }
    await work();
  } finally {
    closeSync(folder);
  }
}

/** Removes the socket of a dead daemon. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new SocketError(path, `'${path}' exists and is not a socket: remove it`);
  if (await isAnswering(path)) throw inUse(path);
  unlinkSync(path);
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // bind(2) happens inside this call, so nobody can connect before the mode is set.
    const umask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        chmodSync(path, 0o600);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

function inUse(path: string): SocketError {
  return new SocketError(path, `a Ballast daemon already answers at ${path}: stop it, or choose another --socket`);
}

function explain(path: string, error: NodeJS.ErrnoException): SocketError {
  if (error.code === 'EADDRINUSE') return inUse(path);
  const isDenied = error.code === 'EACCES' || error.code === 'EPERM';
  const remedy = isDenied ? 'run as root' : 'choose another --socket';
  return new SocketError(path, `cannot listen at ${path} (${error.code ?? error.message}): ${remedy}`, {
    cause: error,
  });
}
