// SPDX-License-Identifier: Apache-2.0
// All schedulers by their names.

import { DestinationHashing } from './destination-hashing.ts';
import { Failover } from './failover.ts';
import { LeastConnection } from './least-connection.ts';
import { LeastResponseTime } from './least-response-time.ts';
import { Locality } from './locality.ts';
import { LocalityReplication } from './locality-replication.ts';
import { Maglev } from './maglev.ts';
import { NeverQueue } from './never-queue.ts';
import { None } from './none.ts';
import { Overflow } from './overflow.ts';
import { RoundRobin } from './round-robin.ts';
import type { ScheduledService, Scheduler } from './scheduler.ts';
import { ShortestExpectedDelay } from './shortest-expected-delay.ts';
import { SourceHashing } from './source-hashing.ts';
import { TwoChoices } from './two-choices.ts';
import { WeightedLeastConnection } from './weighted-least-connection.ts';
import { WeightedRoundRobin } from './weighted-round-robin.ts';

/** Every scheduler by its name. */
const FACTORIES: Readonly<Record<string, new (service: ScheduledService) => Scheduler>> = {
  rr: RoundRobin,
  wrr: WeightedRoundRobin,
  lc: LeastConnection,
  wlc: WeightedLeastConnection,
  lblc: Locality,
  lblcr: LocalityReplication,
  dh: DestinationHashing,
  sh: SourceHashing,
  sed: ShortestExpectedDelay,
  nq: NeverQueue,
  fo: Failover,
  ovf: Overflow,
  mh: Maglev,
  twos: TwoChoices,
  lrt: LeastResponseTime,
  none: None,
};

/** Names that {@link createScheduler} knows. */
export const SCHEDULERS: readonly string[] = Object.keys(FACTORIES);

/** A scheduler by its name for `service`, or undefined when there is none of that name. */
export function createScheduler(name: string, service: ScheduledService): Scheduler | undefined {
  return Object.hasOwn(FACTORIES, name) ? new FACTORIES[name](service) : undefined;
}
