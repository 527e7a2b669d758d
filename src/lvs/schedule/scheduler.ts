// SPDX-License-Identifier: Apache-2.0
// What picks the real server of a new connection. One object per service; it holds the scheduler's state and looks at
// the service's own list of servers, newest first. Called once per connection, so plain polymorphism is cheap enough.

import type { Server } from '../service/server.ts';
import type { Sysctls } from '../sysctl.ts';

/** Bits of {@link ScheduledService.flags}: flag-1 (`sh-fallback`, `mh-fallback`), flag-2 (`sh-port`, `mh-port`), flag-3. */
export const SCHEDULER_FLAG_1 = 1;
export const SCHEDULER_FLAG_2 = 2;
export const SCHEDULER_FLAG_3 = 4;

/** A service as its scheduler sees it: live, may change between two calls. */
export interface ScheduledService {
  /** Newest first. */
  readonly servers: readonly Server[];
  readonly flags: number;
  /** Counts up whenever a server becomes overloaded or is not any more. */
  readonly overloadChanges: number;
  /** mh gives the places of quiesced servers to the others. */
  readonly hashSkipsQuiesced: boolean;
  readonly sysctls: Sysctls;
  /** 32 random bits, unsigned. */
  random(): number;
}

/** The packet that asks for a server. One long-lived object of the director, filled anew for each call. */
export class SchedulingRequest {
  /** Address words (signed, as read off the wire); an IPv4 address is the first, the others are 0. */
  readonly source: Int32Array = new Int32Array(4);
  readonly destination: Int32Array = new Int32Array(4);
  /** Source port of the client; TCP, UDP and SCTP. */
  sourcePort = 0;
  /** Current tick (10 ms). */
  now = 0;
}

export interface Scheduler {
  /** Name as ipvsadm knows it. */
  readonly name: string;
  /** The server of the next connection, or undefined when none may take one. */
  pick(request: SchedulingRequest): Server | undefined;
  /** A server was put in at `index` (always 0, the newest). */
  added(index: number): void;
  /** The server that stood at `index` was taken out. */
  removed(index: number, server: Server): void;
  /** A server's weight, or something else of its options, changed. */
  edited(): void;
  /** Time passes; about once a second, for schedulers that remember. */
  tick?(now: number): void;
  /** The service goes, or takes another scheduler: gives up the servers that it holds on to. */
  close?(): void;
}
