// SPDX-License-Identifier: Apache-2.0
// The XDP program of bpf/decap.c in the kernel, told for which addresses and tunnels. It keeps its maps alive, so that
// after attaching it to a device everything here may be closed. Layouts are those of bpf/decap.h. Called by the steps of
// `ballast realserver` and by tests.

import { BpfMap } from '../linux/bpf-map.ts';
import { BpfProgram } from '../linux/bpf-program.ts';
import { NATIVE_LE } from '../linux/libc.ts';
import { type Address, addressFamily, addressWords } from '../packet/address.ts';
import { DECAP_OBJECT } from './decap-object.ts';
import type { TunnelType } from './setup.ts';

//  0 address(16)  16 family(4)                                             struct host
const HOST_SIZE = 20;
//  0 tunnels(4)  4 GUE port(2)  6 pad(2)                                   struct decap_settings
const SETTINGS_SIZE = 8;

const TUNNEL_BITS: Readonly<Record<TunnelType, number>> = { ipip: 1, gue: 2, gre: 4 };

export interface DecapSettings {
  readonly tunnels: readonly TunnelType[];
  /** UDP port of GUE. */
  readonly guePort: number;
  /** What is in a tunnel has to be for one of these. */
  readonly virtual: readonly Address[];
  /** Addresses of this machine: a tunnel has to end at one of these. */
  readonly local: readonly Address[];
}

/** The loaded program. The caller closes it. */
export function loadDecapsulator({ tunnels, guePort, virtual, local }: DecapSettings): BpfProgram {
  const maps = new Map<string, BpfMap>();
  try {
    for (const definition of DECAP_OBJECT.maps) maps.set(definition.name, new BpfMap(definition));
    const fill = (name: string, addresses: readonly Address[]): void => {
      for (const address of addresses) maps.get(name)?.update(hostKey(address), new Uint8Array(4));
    };
    const settings = new DataView(new ArrayBuffer(SETTINGS_SIZE));
    const bits = tunnels.reduce((sum, type) => sum | TUNNEL_BITS[type], 0);
    settings.setUint32(0, bits, NATIVE_LE);
    settings.setUint16(4, guePort);
    maps.get('settings')?.update(new Uint8Array(4), new Uint8Array(settings.buffer));
    fill('vips', virtual);
    fill('locals', local);
    return new BpfProgram(DECAP_OBJECT, maps);
  } finally {
    for (const map of maps.values()) map.close();
  }
}

function hostKey(address: Address): Uint8Array {
  const view = new DataView(new ArrayBuffer(HOST_SIZE));
  for (const [i, word] of addressWords(address).entries()) view.setInt32(4 * i, word);
  view.setUint32(16, addressFamily(address), NATIVE_LE);
  return new Uint8Array(view.buffer);
}
