// SPDX-License-Identifier: Apache-2.0
// The process's own libc through FFI. `koffi.load(null)` resolves the symbols of the running process, so the same code
// serves glibc and musl. Each module of src/linux declares the functions that it calls with `libc.func`.

import koffi, { type LibraryHandle } from 'koffi';
import { SysError } from './errno.ts';

export const libc: LibraryHandle = koffi.load(null);

/** Kernel structures are in the machine's own byte order; every platform that Ballast supports is little-endian. */
export const NATIVE_LE = true;

/** Errno of the last call made through FFI on this thread. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Text of what to do about an errno at a call, or undefined. */
export type Remedy = (errno: number) => string | undefined;

/** Passes on what a call returned; -1 throws a {@link SysError} with the errno, `context` and the remedy. */
export function check(result: number, syscall: string, context: string, remedy?: Remedy): number {
  if (result >= 0) return result;
  const errno = koffi.errno();
  throw new SysError(syscall, errno, context, remedy?.(errno));
}
