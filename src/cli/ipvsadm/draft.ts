// SPDX-License-Identifier: Apache-2.0
// What the words of a command line have said so far. arguments.ts fills it from left to right, which matters: `-M` is
// read by the family that `-t` gave, `-r` takes its port from it. rules.ts makes a command of it.

import type { ForwardingMethod, Protocol, SchedulerFlag } from '../../lvs/model.ts';
import type { Address, Family } from '../../packet/address.ts';
import type { CommandName, OptionName } from './options.ts';

export interface Draft {
  readonly command: CommandName;
  readonly seen: Set<OptionName>;
  /** Master or backup, as --start-daemon and --stop-daemon have it. */
  role?: 'master' | 'backup';
  /** Three values of --set. */
  timeouts?: readonly [number, number, number];

  // ---- service ----
  family?: Family;
  protocol?: Protocol;
  address?: Address;
  port: number;
  mark?: number;
  scheduler?: string;
  /** Value of -b. */
  flagText?: string;
  flags: readonly SchedulerFlag[];
  persistentSeconds?: number;
  /** IPv4: the mask as a signed word. IPv6: bits of the prefix. */
  netmask: number;
  engine?: string;

  // ---- server ----
  server?: { readonly address: Address; readonly family: Family; readonly port: number };
  method: ForwardingMethod;
  weight: number;
  upperThreshold: number;
  lowerThreshold: number;
  tunnelType: 'ipip' | 'gue' | 'gre';
  tunnelPort: number;

  // ---- synchronisation ----
  device: string;
  syncId: number;
  maxLength?: number;
  group?: Address;
  groupPort?: number;
  ttl?: number;
}

/** A draft with ipvsadm's defaults. */
export function newDraft(command: CommandName): Draft {
  return {
    command,
    seen: new Set(),
    port: 0,
    flags: [],
    netmask: -1,
    method: 'dr',
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnelType: 'ipip',
    tunnelPort: 0,
    device: 'eth0',
    syncId: 0,
  };
}
