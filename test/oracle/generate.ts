// SPDX-License-Identifier: Apache-2.0
// Makes scenarios out of a seed: services of all kinds, edits in mid-stream, conversations that mostly behave and
// sometimes do not, time that passes. The same seed and index give the same scenario on every machine.

import type { Family } from '../../src/packet/address.ts';
import { Random } from '../support/random.ts';
import { editOf, firstConfiguration, type GeneratedService, type Plan, settle } from './generate-config.ts';
import type { Conversation, MarkRule, PacketStep, Scenario, Step } from './scenario.ts';
import { CLIENTS, clientAddress, SERVERS, VIRTUALS, virtualAddress } from './world.ts';

/** Seconds that scenarios wait in their middle, by kind: nothing, until reset connections are gone, until SYNs are. */
const WAITS = { short: [], medium: [14], long: [70] } as const;
export type Pace = keyof typeof WAITS;

const TCP_SCRIPT = ['c S', 's SA', 'c A', 'c PA', 's A', 's PA', 'c A', 'c FA', 's A', 's FA', 'c A'] as const;
const TCP_SERVER_CLOSES = ['c S', 's SA', 'c A', 'c PA', 's FA', 'c A', 'c FA', 's A'] as const;
const TCP_RESET = ['c S', 's SA', 'c A', 'c PA', 'c R'] as const;
const TCP_REFUSED = ['c S', 's RA'] as const;
const TCP_SYN_ONLY = ['c S', 'c S'] as const;
const SCRIPTS = [TCP_SCRIPT, TCP_SCRIPT, TCP_SERVER_CLOSES, TCP_RESET, TCP_REFUSED, TCP_SYN_ONLY];
const ODD_FLAGS = ['S', 'SA', 'A', 'PA', 'F', 'FA', 'R', 'RA', 'SF', 'SR', '', 'P', 'SFRA'];

/** Chunk types of an association's life (RFC 9260 §5, §9). */
const SCTP_SCRIPT = ['c 1', 's 2', 'c 10', 's 11', 'c 0', 's 3', 'c 7', 's 8', 'c 14'] as const;
const SCTP_ODD: readonly (readonly number[])[] = [
  [0],
  [1],
  [2],
  [3],
  [6],
  [7],
  [8],
  [9],
  [10],
  [10, 6],
  [11, 6],
  [10, 0],
  [11],
  [14],
  [200],
  [],
];

interface Actor extends Conversation {
  readonly script: readonly string[];
  at: number;
}

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
  const script = target.protocol === 'sctp' ? SCTP_SCRIPT : random.pick(SCRIPTS);
  return { ...target, client, clientPort, script, at: 0 };
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

function packetFrom(random: Random, actor: Actor): PacketStep {
  const { script, at, ...conversation } = actor;
  const isOdd = random.chance(0.08);
  const [who, what] = script[at % script.length].split(' ');
  if (!random.chance(0.12)) actor.at++;
  const isReply = isOdd ? random.chance(0.5) : who === 's';
  const common = {
    ...conversation,
    kind: 'packet',
    direction: isReply ? 'reply' : 'request',
    server: 1 + random.below(SERVERS),
    payload: random.chance(0.3) ? 'x'.repeat(random.below(200)) : '',
    ttl: random.chance(0.01) ? random.below(3) : 64,
    checksum: !random.chance(0.1) || conversation.family === 6,
    flags: '',
    chunks: [],
  } as const;
  switch (conversation.protocol) {
    case 'tcp':
      return { ...common, flags: isOdd ? random.pick(ODD_FLAGS) : what };
    case 'sctp':
      return { ...common, chunks: isOdd ? random.pick(SCTP_ODD) : [Number(what)] };
    case 'udp':
      return {
        ...common,
        payload: udpPayload(random, common.payload),
        direction: random.chance(0.35) ? 'reply' : 'request',
      };
  }
}

/** Some speak SIP, of few calls. Longer Call-IDs that the kernel takes have ipvsadm print rubbish, or die. */
function udpPayload(random: Random, payload: string): string {
  if (!random.chance(0.5)) return payload;
  const name = random.pick(['Call-ID', 'call-id', 'i', 'CALL-ID ', 'Call-Id']);
  const value = random.pick([
    '',
    `call-${random.below(6)}`,
    `c${random.below(4)}@host`,
    'y'.repeat(20 + random.below(10)),
    'z'.repeat(256 + random.below(9)),
  ]);
  const end = random.pick(['\r\n', '\r\n', '\n', '']);
  return `INVITE sip:a@b SIP/2.0\r\nVia: x\r\n${name}: ${value}${end}`;
}
