// SPDX-License-Identifier: Apache-2.0
// BPF maps as objects: fixed-size keys and values of bytes. Control plane only: every call here is a system call.

import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import {
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BpfAttr,
  bpf,
  bpfRemedy,
  tryBpf,
} from './bpf.ts';
import type { BpfMapDefinition } from './bpf-object.ts';
import { SysError } from './errno.ts';
import { Fd } from './fd.ts';
import { lastErrno } from './libc.ts';

export const BPF_MAP_TYPE_HASH = 1;
export const BPF_MAP_TYPE_ARRAY = 2;
export const BPF_MAP_TYPE_PERCPU_HASH = 5;
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6;
export const BPF_MAP_TYPE_XSKMAP = 17;

const { ENOENT } = constants.errno;

//  0 type(4)  4 key size(4)  8 value size(4)  12 entries(4)  16 flags(4)  20 inner(4)  24 numa(4)  28 name(16)
const CREATE_SIZE = 48;
//  0 map fd(4)  8 key(8)  16 value or next key(8)  24 flags(8)
const ELEMENT_SIZE = 32;

/** An owned map. It lives in the kernel as long as this, a program or a pin refers to it. */
export class BpfMap {
  readonly definition: BpfMapDefinition;
  /** Bytes that a lookup returns: a per-CPU map gives the value of each possible CPU, padded to 8 bytes. */
  readonly readSize: number;
  readonly #fd: Fd;

  constructor(definition: BpfMapDefinition) {
    const attr = new BpfAttr(CREATE_SIZE)
      .u32(0, definition.type)
      .u32(4, definition.keySize)
      .u32(8, definition.valueSize)
      .u32(12, definition.maxEntries)
      .u32(16, definition.flags)
      .name(28, definition.name);
    this.#fd = new Fd(bpf(BPF_MAP_CREATE, attr, `create map '${definition.name}'`));
    this.definition = definition;
    const perCpu = definition.type === BPF_MAP_TYPE_PERCPU_HASH || definition.type === BPF_MAP_TYPE_PERCPU_ARRAY;
    this.readSize = perCpu ? possibleCpus() * ((definition.valueSize + 7) & ~7) : definition.valueSize;
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** The value under `key`, or undefined. */
  lookup(key: Uint8Array): Uint8Array | undefined {
    const value = new Uint8Array(this.readSize);
    return this.#found(BPF_MAP_LOOKUP_ELEM, this.#element(key).pointer(16, value), 'look up') ? value : undefined;
  }

  /** Sets the value under `key`, new or not. */
  update(key: Uint8Array, value: Uint8Array): void {
    if (value.byteLength !== this.readSize) {
      throw new RangeError(
        `a value of map '${this.definition.name}' has ${this.readSize} bytes, not ${value.byteLength}`,
      );
    }
    bpf(BPF_MAP_UPDATE_ELEM, this.#element(key).pointer(16, value), `update map '${this.definition.name}'`);
  }

  /** Removes `key`; false when it was not there. */
  delete(key: Uint8Array): boolean {
    return this.#found(BPF_MAP_DELETE_ELEM, this.#element(key), 'delete from');
  }

  /** Keys in the kernel's order. Deleting the key that was just given out is allowed. */
  keys(): Uint8Array[] {
    const keys: Uint8Array[] = [];
    for (let key = this.#nextKey(undefined); key !== undefined; key = this.#nextKey(key)) keys.push(key);
    return keys;
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #nextKey(key: Uint8Array | undefined): Uint8Array | undefined {
    const next = new Uint8Array(this.definition.keySize);
    const attr = new BpfAttr(ELEMENT_SIZE).u32(0, this.fd).pointer(16, next);
    if (key !== undefined) attr.pointer(8, key);
    return this.#found(BPF_MAP_GET_NEXT_KEY, attr, 'list') ? next : undefined;
  }

  #element(key: Uint8Array): BpfAttr {
    if (key.byteLength !== this.definition.keySize) {
      const { name, keySize } = this.definition;
      throw new RangeError(`a key of map '${name}' has ${keySize} bytes, not ${key.byteLength}`);
    }
    return new BpfAttr(ELEMENT_SIZE).u32(0, this.fd).pointer(8, key);
  }

  #found(command: number, attr: BpfAttr, verb: string): boolean {
    if (tryBpf(command, attr) === 0) return true;
    const errno = lastErrno();
    if (errno === ENOENT) return false;
    throw new SysError('bpf', errno, `${verb} map '${this.definition.name}'`, bpfRemedy(errno));
  }
}

let $possibleCpus = 0;

/** CPUs that the kernel could ever have: the number of values in a per-CPU map. */
export function possibleCpus(): number {
  if ($possibleCpus === 0) {
    // A list of ranges such as `0-3` or `0,2-7`; per-CPU values are indexed by their order, and the kernel counts all.
    for (const range of readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().split(',')) {
      const [first, last = first] = range.split('-').map(Number);
      $possibleCpus += last - first + 1;
    }
  }
  return $possibleCpus;
}
