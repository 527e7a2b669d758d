// SPDX-License-Identifier: Apache-2.0
// A compiled BPF program before it is loaded: instructions, the maps it names and where it names them. Written by
// bpf/build.ts into a committed module, loaded by bpf-program.ts. Independent of the running kernel.

/** Shape of one map, in the kernel's own numbers. */
export interface BpfMapDefinition {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

/** A 64-bit load at `instruction` (counted in units of 8 bytes) that takes the address of map `map`. */
export interface BpfRelocation {
  readonly instruction: number;
  readonly map: string;
}

export interface BpfObject {
  /** At most 15 characters; `bpftool prog` shows it. */
  readonly name: string;
  /** License text for the kernel, which decides by it which helpers may be called. */
  readonly license: string;
  readonly maps: readonly BpfMapDefinition[];
  readonly relocations: readonly BpfRelocation[];
  /** Eight bytes each, little-endian, as hexadecimal digits. */
  readonly instructions: string;
}
