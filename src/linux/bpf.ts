// SPDX-License-Identifier: Apache-2.0
// The bpf(2) system call, by number, with nothing of libbpf. bpf-map.ts and bpf-program.ts fill the attributes and call
// it; nobody else does. Structure: union bpf_attr of include/uapi/linux/bpf.h.

import { constants } from 'node:os';
import koffi from 'koffi';
import { UnsupportedError } from './errno.ts';
import { check, lastErrno, libc, NATIVE_LE } from './libc.ts';

export const BPF_MAP_CREATE = 0;
export const BPF_MAP_LOOKUP_ELEM = 1;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_MAP_DELETE_ELEM = 3;
export const BPF_MAP_GET_NEXT_KEY = 4;
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_TEST_RUN = 10;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_LINK_CREATE = 28;

/** Number of bpf(2) by architecture: x86_64 has its own table, the others share asm-generic/unistd.h. */
const SYS_BPF = process.arch === 'x64' ? 321 : 280;

const { EPERM, ENOSYS, EINVAL, EBUSY, EEXIST, E2BIG, ENOMEM, EOPNOTSUPP } = constants.errno;

const $syscall = libc.func('long syscall(long number, int command, void *attr, unsigned int size)');

/** One `union bpf_attr`. Keeps what its pointers point to alive as long as itself. */
export class BpfAttr {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #kept: Uint8Array[] = [];

  constructor(size: number) {
    const buffer = new ArrayBuffer(size);
    this.bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  u32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, NATIVE_LE);
    return this;
  }

  u64(offset: number, value: number): this {
    this.#view.setBigUint64(offset, BigInt(value), NATIVE_LE);
    return this;
  }

  pointer(offset: number, target: Uint8Array): this {
    this.#kept.push(target);
    this.#view.setBigUint64(offset, koffi.address(target), NATIVE_LE);
    return this;
  }

  /** A name as bpftool shows it: at most 15 characters of letters, digits, `_` and `.`. */
  name(offset: number, name: string): this {
    this.bytes.set(Buffer.from(name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, 15), 'latin1'), offset);
    return this;
  }

  getU32(offset: number): number {
    return this.#view.getUint32(offset, NATIVE_LE);
  }
}

/** Result of bpf(2), -1 with {@link lastErrno} when it refuses. For callers to whom some errno is an answer. */
export function tryBpf(command: number, attr: BpfAttr): number {
  return Number($syscall(SYS_BPF, command, attr.bytes, attr.bytes.byteLength));
}

/** Result of bpf(2); throws when it refuses. */
export function bpf(command: number, attr: BpfAttr, context: string): number {
  const result = tryBpf(command, attr);
  if (result < 0 && lastErrno() === ENOSYS) {
    throw new UnsupportedError('bpf(2)', 'it needs CONFIG_BPF_SYSCALL, or choose another data plane');
  }
  return check(result, 'bpf', context, bpfRemedy);
}

/** What to do about an errno of bpf(2). */
export function bpfRemedy(errno: number): string | undefined {
  switch (errno) {
    case EPERM:
      return 'run as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW; kernels before 5.11 also need ulimit -l unlimited';
    case EBUSY:
    case EEXIST:
      return 'another XDP program is attached: see `ip link`, detach it with `ip link set dev DEVICE xdp off`';
    case EINVAL:
      return 'the kernel may be too old; 5.10 or newer is needed';
    case E2BIG:
      return 'the map is full';
    case ENOMEM:
      return 'the kernel is out of memory, or a memory limit of the control group was met';
    case EOPNOTSUPP:
      return 'the driver has no native XDP';
    default:
      return undefined;
  }
}
