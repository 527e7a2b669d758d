// SPDX-License-Identifier: Apache-2.0
// What a command line asks for, once it is understood. Made by rules.ts, carried out by execute.ts.

import type { Change } from '../../dataplane/dataplane.ts';
import type { ServiceKey } from '../../lvs/model.ts';
import type { Address } from '../../packet/address.ts';

/** Which columns a listing of services has. */
export type ListingMode = 'default' | 'tun-info' | 'stats' | 'rate' | 'thresholds' | 'persistent-conn';

/** How a listing looks. */
export interface ListingFormat {
  readonly mode: ListingMode;
  /** Addresses and ports as numbers. */
  readonly numeric: boolean;
  /** All digits of large counters. */
  readonly exact: boolean;
  readonly sorted: boolean;
}

/** The daemon of connection synchronisation as --start-daemon describes it. */
export interface SyncDaemon {
  readonly role: 'master' | 'backup';
  readonly device: string;
  readonly syncId: number;
  readonly maxLength?: number;
  readonly group?: Address;
  readonly port?: number;
  readonly ttl?: number;
}

export type Command =
  | { readonly type: 'change'; readonly change: Change }
  | { readonly type: 'list'; readonly service?: ServiceKey; readonly format: ListingFormat }
  | { readonly type: 'list-connections'; readonly numeric: boolean; readonly withEngine: boolean }
  | { readonly type: 'list-timeouts' }
  | { readonly type: 'list-daemon' }
  | { readonly type: 'save'; readonly numeric: boolean }
  | { readonly type: 'restore' }
  | { readonly type: 'start-daemon'; readonly daemon: SyncDaemon }
  | { readonly type: 'stop-daemon'; readonly role: SyncDaemon['role']; readonly syncId: number }
  | { readonly type: 'help' }
  | { readonly type: 'version' };
