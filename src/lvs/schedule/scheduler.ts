// SPDX-License-Identifier: Apache-2.0
// What picks the real server of a new connection. One object per service; it holds the scheduler's state and looks at
// the service's own list of servers, newest first. Called once per connection, so plain polymorphism is cheap enough.

import type { Server } from '../service/server.ts';
import { RoundRobin } from './round-robin.ts';
import { WeightedRoundRobin } from './weighted-round-robin.ts';

export interface Scheduler {
  /** Name as ipvsadm knows it. */
  readonly name: string;
  /** The server of the next connection, or undefined when none may take one. */
  pick(): Server | undefined;
  /** A server was put in at `index` (always 0, the newest). */
  added(index: number): void;
  /** The server that stood at `index` was taken out. */
  removed(index: number): void;
  /** A server's options changed. */
  edited(): void;
}

/** A scheduler by its name over `servers` (a live list, newest first), or undefined when there is none of that name. */
export function createScheduler(name: string, servers: readonly Server[]): Scheduler | undefined {
  switch (name) {
    case 'rr':
      return new RoundRobin(servers);
    case 'wrr':
      return new WeightedRoundRobin(servers);
    default:
      return undefined;
  }
}

/** Schedulers that the kernel has and this director does not have yet. */
export const KERNEL_SCHEDULERS: readonly string[] = [
  ...['lc', 'wlc', 'lblc', 'lblcr', 'dh', 'sh', 'sed', 'nq', 'fo', 'ovf', 'mh', 'twos', 'none'],
];
