// SPDX-License-Identifier: Apache-2.0
// Makes scenarios out of a seed: services of all kinds, edits in mid-stream, conversations that mostly behave and
// sometimes do not, time that passes. The same seed and index give the same scenario on every machine.

import type { Family } from '../../src/packet/address.ts';
import { Random } from '../support/random.ts';
import { type Actor, packetFrom, scriptOf } from './actors.ts';
import { editOf, firstConfiguration, type GeneratedService, type Plan, settle } from './generate-config.ts';
import type { Conversation, MarkRule, Scenario, Step } from './scenario.ts';
import { CLIENTS, clientAddress, VIRTUALS, virtualAddress } from './world.ts';

/** Seconds that scenarios wait in their middle, by kind: nothing, until reset connections are gone, until SYNs are. */
const WAITS = { short: [], medium: [14], long: [70] } as const;
export type Pace = keyof typeof WAITS;

/** Scenario `index` of a seed. */
export function generate(seed: number, index: number, packets: number, pace: Pace): Scenario {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const plan = firstConfiguration(random);
  const steps: Step[] = [...plan.steps];
  const parts = WAITS[pace].length + 1;
  for (let part = 0; part < parts; part++) {
    const actors = Array.from({ length: 4 + random.below(24) }, () => actorOf(random, plan));
    for (let left = Math.max(1, Math.floor(packets / parts)); left > 0; left--) {
      if (random.chance(0.025)) steps.push(...editOf(random, plan));
      if (random.chance(0.01)) steps.push({ kind: 'look', counters: false });
      if (random.chance(0.05)) actors[random.below(actors.length)] = actorOf(random, plan);
      steps.push(packetFrom(random, random.pick(actors)));
    }
    if (part < parts - 1) steps.push({ kind: 'wait', seconds: WAITS[pace][part] }, { kind: 'look', counters: false });
  }
  steps.push(settle(), { kind: 'look', counters: true });
  return { name: `seed ${seed} case ${index} (${pace})`, marks: marksOf(plan), steps };
}

/** No two of them for the same packets: of the kernel's rules the last decides, of Ballast's the first. */
function marksOf(plan: Plan): MarkRule[] {
  const rules = new Map<string, MarkRule>();
  for (const rule of plan.services.flatMap((service) => service.marks)) {
    rules.set(`${rule.family} ${rule.protocol} ${rule.virtual} ${rule.virtualPort}`, rule);
  }
  return [...rules.values()];
}

/** A conversation with one of the services, now and then with nobody. */
function actorOf(random: Random, plan: Plan): Actor {
  const target = targetOf(random, random.pick(plan.services));
  const clients = random.chance(0.7) ? 6 : CLIENTS;
  const client = clientAddress(1 + random.below(clients), target.family);
  // Few ports, so that they are used again; port 20 is never scheduled.
  const clientPort = random.chance(0.02) ? 20 : 1024 + random.below(12);
  return { ...target, client, clientPort, script: scriptOf(random, target.protocol), at: 0 };
}

function targetOf(
  random: Random,
  service: GeneratedService,
): Pick<Conversation, 'protocol' | 'family' | 'virtual' | 'virtualPort'> {
  if (service.marks.length > 0) {
    const { protocol, family, virtual, virtualPort } = random.pick(service.marks);
    return { protocol, family, virtual, virtualPort };
  }
  const { protocol, family, virtual, port } = service;
  if (port === 0) return { protocol, family, virtual, virtualPort: random.pick([80, 443, 8080, 21, 2000]) };
  if (port === 21) return { protocol, family, virtual, virtualPort: random.pick([21, 21, 20, 2000, 80]) };
  if (!random.chance(0.03)) return { protocol, family, virtual, virtualPort: port };
  return { protocol, family, virtual: anyVirtual(random, family), virtualPort: random.pick([port, 9999]) };
}

function anyVirtual(random: Random, family: Family): string {
  return virtualAddress(1 + random.below(VIRTUALS), family);
}
