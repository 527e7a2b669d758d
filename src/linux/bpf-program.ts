// SPDX-License-Identifier: Apache-2.0
// XDP programs: load with the verifier's words in the error, attach to a device by a link that dies with its
// descriptor, run on a packet for tests. The loader of dataplane/engine is the caller.

import { constants } from 'node:os';
import { BPF_LINK_CREATE, BPF_PROG_LOAD, BPF_PROG_TEST_RUN, BpfAttr, bpf, bpfRemedy, tryBpf } from './bpf.ts';
import type { BpfMap } from './bpf-map.ts';
import type { BpfObject } from './bpf-object.ts';
import { SysError, UnsupportedError } from './errno.ts';
import { Fd } from './fd.ts';
import { lastErrno, NATIVE_LE } from './libc.ts';

export const XDP_ABORTED = 0;
export const XDP_DROP = 1;
export const XDP_PASS = 2;
export const XDP_TX = 3;
export const XDP_REDIRECT = 4;

const BPF_PROG_TYPE_XDP = 6;
const BPF_XDP = 37;
const BPF_PSEUDO_MAP_FD = 1;
const BPF_LD_IMM64 = 0x18;
const XDP_FLAGS_SKB_MODE = 1 << 1;
const XDP_FLAGS_DRV_MODE = 1 << 2;

//  0 type(4)  4 instructions(4)  8 code(8)  16 license(8)  24 log level(4)  28 log size(4)  32 log(8)  40 version(4)
//  44 flags(4)  48 name(16)  64 ifindex(4)  68 expected attach type(4)
const LOAD_SIZE = 72;
//  0 program(4)  4 result(4)  8 size in(4)  12 size out(4)  16 data in(8)  24 data out(8)  32 repeat(4)  36 ns(4) …
const TEST_RUN_SIZE = 72;
//  0 program(4)  4 ifindex(4)  8 attach type(4)  12 flags(4)
const LINK_CREATE_SIZE = 16;

const LOG_SIZE = 1 << 20;
const LOG_LINES_SHOWN = 8;
const LOAD_ATTEMPTS = 10;

const { EPERM, EAGAIN, EBUSY, EEXIST, ENODEV } = constants.errno;

/** How a program sits on a device: `native` in the driver, `generic` behind the kernel's own copy of the frame. */
export type XdpMode = 'native' | 'generic';

/** An attached program; detached by `close()` and by the end of the process, however it ends. */
export interface XdpAttachment {
  readonly mode: XdpMode;
  close(): void;
}

/** What a run of the program on one packet gave. */
export interface ProgramRun {
  readonly action: number;
  readonly packet: Uint8Array;
  /** Mean nanoseconds of one run. */
  readonly durationNs: number;
}

/** A loaded XDP program. */
export class BpfProgram {
  readonly name: string;
  readonly #fd: Fd;

  /** `maps` holds every map that the object names. The program keeps them alive. */
  constructor(object: BpfObject, maps: ReadonlyMap<string, BpfMap>) {
    this.name = object.name;
    this.#fd = new Fd(load(object, link(object, maps)));
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Attaches to the device, in the driver when it can, else generically. */
  attach(ifindex: number, device: string): XdpAttachment {
    const modes = [
      ['native', XDP_FLAGS_DRV_MODE],
      ['generic', XDP_FLAGS_SKB_MODE],
    ] as const;
    for (const [mode, flags] of modes) {
      const attr = new BpfAttr(LINK_CREATE_SIZE).u32(0, this.fd).u32(4, ifindex).u32(8, BPF_XDP).u32(12, flags);
      const result = tryBpf(BPF_LINK_CREATE, attr);
      if (result >= 0) {
        const fd = new Fd(result);
        return { mode, close: () => fd.close() };
      }
      const errno = lastErrno();
      // A driver refuses native mode in many ways: none at all, unfit MTU or channels, no memory for its rings.
      const refusesAny = errno === EPERM || errno === EBUSY || errno === EEXIST || errno === ENODEV;
      if (mode === 'generic' || refusesAny) {
        throw new SysError('bpf', errno, `attach XDP program '${this.name}' to ${device}`, bpfRemedy(errno));
      }
    }
    throw new UnsupportedError('XDP', 'choose another link');
  }

  /** Runs the program on a copy of `packet`, as if it had come in on queue 0 of the loopback device. */
  run(packet: Uint8Array, repeat = 1): ProgramRun {
    const out = new Uint8Array(packet.byteLength + 512);
    const attr = new BpfAttr(TEST_RUN_SIZE)
      .u32(0, this.fd)
      .u32(8, packet.byteLength)
      .u32(12, out.byteLength)
      .pointer(16, packet)
      .pointer(24, out)
      .u32(32, repeat);
    bpf(BPF_PROG_TEST_RUN, attr, `run program '${this.name}' on ${packet.byteLength} bytes`);
    return { action: attr.getU32(4), packet: out.subarray(0, attr.getU32(12)), durationNs: attr.getU32(36) };
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Instructions with the descriptors of `maps` in the places that name them. */
function link(object: BpfObject, maps: ReadonlyMap<string, BpfMap>): Uint8Array {
  const code = new Uint8Array(Buffer.from(object.instructions, 'hex'));
  const view = new DataView(code.buffer);
  for (const { instruction, map: name } of object.relocations) {
    const map = maps.get(name);
    if (map === undefined) throw new TypeError(`program '${object.name}' names map '${name}', which was not given`);
    const at = instruction * 8;
    //  0 opcode(1)  1 registers(1): dst low, src high  2 offset(2)  4 immediate(4)
    if (code[at] !== BPF_LD_IMM64) throw new TypeError(`instruction ${instruction} does not load an address`);
    code[at + 1] = (code[at + 1] & 0x0f) | (BPF_PSEUDO_MAP_FD << 4);
    view.setInt32(at + 4, map.fd, NATIVE_LE);
  }
  return code;
}

function load(object: BpfObject, code: Uint8Array): number {
  const license = new Uint8Array(Buffer.from(`${object.license}\0`, 'latin1'));
  const attributes = (): BpfAttr =>
    new BpfAttr(LOAD_SIZE)
      .u32(0, BPF_PROG_TYPE_XDP)
      .u32(4, code.byteLength / 8)
      .pointer(8, code)
      .pointer(16, license)
      .name(48, object.name)
      .u32(68, BPF_XDP);
  // The verifier gives up with EAGAIN when a signal is about to be delivered to this thread.
  for (let attempt = 0; attempt < LOAD_ATTEMPTS; attempt++) {
    const result = tryBpf(BPF_PROG_LOAD, attributes());
    if (result >= 0) return result;
    if (lastErrno() !== EAGAIN) break;
  }

  // Once more for the verifier's words: a log costs time, so that it is not asked for at first.
  const log = new Uint8Array(LOG_SIZE);
  const again = tryBpf(BPF_PROG_LOAD, attributes().u32(24, 1).u32(28, LOG_SIZE).pointer(32, log));
  if (again >= 0) return again;
  const errno = lastErrno();
  const words = Buffer.from(log.subarray(0, Math.max(0, log.indexOf(0)))).toString('latin1');
  const shown = words.trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  const reason = shown === '' ? bpfRemedy(errno) : `the verifier says:\n${shown}`;
  throw new SysError('bpf', errno, `load program '${object.name}'`, reason);
}
