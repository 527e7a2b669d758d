// SPDX-License-Identifier: Apache-2.0
// The one interface between what decides (API, ipvsadm, health, reconciler) and what moves packets.

import type {
  ConnectionSnapshot,
  Counters,
  KernelMarks,
  LocalAddressKey,
  LocalAddressOptions,
  LocalPoolSnapshot,
  MarkRule,
  MarkRuleSnapshot,
  Rates,
  ServerKey,
  ServerOptions,
  ServiceKey,
  ServiceOptions,
  ServiceSnapshot,
  ServiceTuning,
  Timeouts,
  TuningPatch,
} from '../lvs/model.ts';

/** One change of the desired state. A refused change throws LvsError and leaves everything as it was. */
export type Change =
  | { readonly type: 'add-service'; readonly service: ServiceKey; readonly options: ServiceOptions }
  | { readonly type: 'edit-service'; readonly service: ServiceKey; readonly options: ServiceOptions }
  | { readonly type: 'delete-service'; readonly service: ServiceKey }
  | { readonly type: 'flush' }
  | {
      readonly type: 'add-server';
      readonly service: ServiceKey;
      readonly server: ServerKey;
      readonly options: ServerOptions;
    }
  | {
      readonly type: 'edit-server';
      readonly service: ServiceKey;
      readonly server: ServerKey;
      readonly options: ServerOptions;
    }
  | { readonly type: 'delete-server'; readonly service: ServiceKey; readonly server: ServerKey }
  | { readonly type: 'zero'; readonly service?: ServiceKey }
  /** A value of 0 leaves that timeout as it is. */
  | { readonly type: 'set-timeouts'; readonly timeouts: Timeouts }
  /** Replaces what was tuned before. */
  | { readonly type: 'tune-service'; readonly service: ServiceKey; readonly tuning: ServiceTuning }
  /** Changes some of it; done by the director, so that two who change different things lose nothing. */
  | { readonly type: 'adjust-service'; readonly service: ServiceKey; readonly tuning: TuningPatch }
  /** By their names under net.ipv4.vs; all or none. */
  | { readonly type: 'set-sysctls'; readonly values: Readonly<Record<string, number>> }
  /** Weight 0 now; connections that are left after `deadlineSeconds` are reset, both ends told. Without it they stay. */
  | {
      readonly type: 'drain-server';
      readonly service: ServiceKey;
      readonly server: ServerKey;
      readonly deadlineSeconds?: number;
    }
  /** A rule of the user's own that marks packets; it comes behind those that are there. */
  | { readonly type: 'add-mark'; readonly rule: MarkRule }
  /** By the rule itself or its number. */
  | { readonly type: 'delete-mark'; readonly rule: MarkRule | number }
  /** An address from which FULLNAT speaks to servers; its pool is made with its first one. */
  | { readonly type: 'add-local-address'; readonly local: LocalAddressKey; readonly options: LocalAddressOptions }
  /** Connections that have a port of it go on. */
  | { readonly type: 'delete-local-address'; readonly local: LocalAddressKey };

/** Device as the data plane uses it. */
export interface LinkSnapshot {
  readonly name: string;
  /** `native` or `generic` XDP; `memory` in tests. */
  readonly mode: string;
  readonly queues: number;
  readonly rxPackets: number;
  readonly txPackets: number;
}

export interface DataPlaneSnapshot {
  /** Size of the connection table as the listing's first line shows it. */
  readonly tableSize: number;
  /** Services in the director's own order (`--nosort`). */
  readonly services: readonly ServiceSnapshot[];
  readonly totals: { readonly counters: Counters; readonly rates: Rates };
  readonly timeouts: Timeouts;
  /** By their names under net.ipv4.vs. */
  readonly sysctls: Readonly<Record<string, number>>;
  /** Entries in the connection table now, and the most it will hold. */
  readonly connections: { readonly current: number; readonly maximum: number };
  /** Packets by verdict, drops by reason: name → count. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly links: readonly LinkSnapshot[];
  readonly marks: MarksSnapshot;
  /** Pools of local addresses for FULLNAT. */
  readonly localPools: readonly LocalPoolSnapshot[];
}

/** What gives packets their firewall marks, in the order in which it is asked. */
export interface MarksSnapshot {
  /** Left out by a data plane that does not see packets before the kernel's own rules do. */
  readonly kernel?: KernelMarks;
  /** The user's own rules. */
  readonly rules: readonly MarkRuleSnapshot[];
}

/** A page of the connection table; pass `next` back for the following page, -1 ends. */
export interface ConnectionPage {
  readonly entries: readonly ConnectionSnapshot[];
  readonly next: number;
}

export interface DataPlane {
  /** Name for status and labs: `engine (af-xdp native)`. */
  describe(): string;
  apply(change: Change): Promise<void>;
  snapshot(): Promise<DataPlaneSnapshot>;
  connections(cursor: number): Promise<ConnectionPage>;
  close(): Promise<void>;
}
