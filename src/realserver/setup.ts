// SPDX-License-Identifier: Apache-2.0
// What a real server is to be: how the director reaches it and for which virtual addresses. Pure; the command line
// makes one, plan.ts says what has to be done for it, state.ts remembers it.

import type { Address } from '../packet/address.ts';

/** How packets come from the director: as they are (direct routing), or in a tunnel. */
export type Method = 'dr' | 'tun';

export type TunnelType = 'ipip' | 'gue' | 'gre';

/** Who takes tunnels apart: the kernel's own devices, or Ballast's XDP program. */
export type Decapsulation = 'kernel' | 'xdp';

export interface Tunnel {
  readonly type: TunnelType;
  /** UDP port of GUE. */
  readonly port: number;
  /** GRE with checksums: the kernel's device takes packets either with them or without. */
  readonly checksum: boolean;
  readonly by: Decapsulation;
  /** XDP: the device that tunnels come in by. */
  readonly device: string;
  /** Addresses of this server that the director sends to, in the order given; none: any. */
  readonly local: readonly Address[];
}

/** One `ballast realserver up`, and what several have added up to. */
export interface Setup {
  readonly virtual: readonly Address[];
  /** Device that holds the virtual addresses; undefined: `lo`, or the tunnel's own device. */
  readonly device: string | undefined;
  readonly tunnel: Tunnel | undefined;
}
