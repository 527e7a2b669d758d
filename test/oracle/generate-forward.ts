// SPDX-License-Identifier: Apache-2.0
// Scenarios about how packets leave, for the oracle: every forwarding method and kind of tunnel, servers on the director
// itself, devices of several MTUs, packets of all sizes, last hops, types of service, and ICMP errors about all of that.
// Schedulers, thresholds and persistence have their own scenarios (generate.ts).

import type { Family } from '../../src/packet/address.ts';
import { Random } from '../support/random.ts';
import { type Actor, packetFrom, scriptOf } from './actors.ts';
import { type ForwardPlan, type ForwardService, forwardConfiguration, forwardEdit } from './forward-config.ts';
import type { Piece } from './fragment-step.ts';
import { settle } from './generate-config.ts';
import { icmpFrom } from './generate-icmp.ts';
import type { IcmpStep } from './icmp-step.ts';
import type { PacketStep, Scenario, Step } from './scenario.ts';
import { clientAddress, MTUS, type Mtus, SIDE_NAMES } from './world.ts';

export interface ForwardOptions {
  /** Packets that have to be cut into fragments, and such that come so. */
  readonly fragments: boolean;
}

const WORLDS: readonly Mtus[] = [
  MTUS,
  MTUS,
  { front: 1500, back: 1400 },
  { front: 1400, back: 1500 },
  { front: 1500, back: 1320 },
];
const PAYLOADS = [0, 0, 0, 1, 3, 100, 101, 536, 1000];
/** IP and transport headers, of tunnels too: what a packet is longer than its payload is among these. */
const HEADERS = [20, 28, 32, 40, 48, 52, 60, 72, 80, 92, 100];
const TOS = [0, 0, 0, 1, 2, 3, 0x10, 0xb8, 0xbb, 0xff];
/** The first fragment has all of the transport header: of IPv6 the kernel does not put others together. */
const LEAST_UNITS = 3;
const HOPS = [64, 64, 64, 255, 3, 2, 1];

/** Scenario `index` of a seed. */
export function generateForward(seed: number, index: number, packets: number, options: ForwardOptions): Scenario {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0xc2b2ae35));
  const mtus = random.pick(WORLDS);
  const plan = forwardConfiguration(random);
  const steps: Step[] = [...plan.steps];
  const actors = Array.from({ length: 3 + random.below(10) }, () => actorOf(random, plan));
  for (let left = packets; left > 0; left--) {
    if (random.chance(0.015)) steps.push(...forwardEdit(random, plan));
    if (random.chance(0.005)) steps.push({ kind: 'look', counters: false });
    if (random.chance(0.06)) actors[random.below(actors.length)] = actorOf(random, plan);
    const actor = random.pick(actors);
    if (random.chance(0.3)) steps.push(shapeIcmp(icmpFrom(random, actor), plan, options));
    else
      steps.push(
        ...inPieces(random, shape(random, packetFrom(random, actor), plan, mtus, options), plan, mtus, options),
      );
  }
  steps.push(settle(), { kind: 'look', counters: true });
  const { hasLocalServers } = plan;
  return { name: `seed ${seed} forwarding case ${index}`, marks: [], mtus, hasLocalServers, steps };
}

function actorOf(random: Random, plan: ForwardPlan): Actor {
  const service: ForwardService = random.pick(plan.services);
  const { protocol, family, virtual, port } = service;
  const client = clientAddress(1 + random.below(6), family);
  const clientPort = 1024 + random.below(12);
  const virtualPort = port === 0 ? random.pick([80, 8080]) : port;
  const script = scriptOf(random, protocol);
  return { protocol, family, virtual, virtualPort, client, clientPort, script, at: 0 };
}

/** Makes the packet as long, as old and as urgent as it gets. */
function shape(random: Random, step: PacketStep, plan: ForwardPlan, mtus: Mtus, options: ForwardOptions): PacketStep {
  const arrives = mtus[step.direction === 'request' ? 'front' : 'back'];
  const least = Math.min(mtus.front, mtus.back);
  const header = ipLength(step.family) + transportLength(step);
  const isLarge = random.chance(0.25);
  const asked = isLarge ? largeSize(random, mtus, header) : random.pick(PAYLOADS);
  const df = step.family === 6 || !options.fragments || random.chance(0.7);
  const mayCut = options.fragments || step.family === 6 || (df && plan.pmtuDisc);
  // The longest that fits every way, tunnels too, when it may neither be cut nor refused.
  const most = (mayCut ? arrives : least - Math.max(...HEADERS)) - header;
  const size = Math.max(0, Math.min(asked, most));
  return {
    ...step,
    payload: step.protocol === 'udp' && !isLarge && random.chance(0.3) ? step.payload : 'x'.repeat(size),
    tos: random.pick(TOS),
    ttl: random.pick(HOPS),
    df,
  };
}

/** The packet whole, or cut into fragments: in turn or not, some twice, over one another, or not all. */
function inPieces(
  random: Random,
  step: PacketStep,
  plan: ForwardPlan,
  mtus: Mtus,
  options: ForwardOptions,
): readonly PacketStep[] {
  if (!options.fragments || plan.hasLocalServers || !random.chance(0.2)) return [step];
  const isRequest = step.direction === 'request';
  // The last hop of a server's fragments is found out before they are put together.
  const ttl = isRequest ? step.ttl : Math.max(2, step.ttl);
  const whole = { ...step, ttl, df: false, payload: 'x'.repeat(30 + random.below(random.chance(0.3) ? 3000 : 400)) };
  const total = transportLength(whole) + whole.payload.length;
  // What passes by is cut again one by one, or as a whole, by who has looked at it.
  const longest = isRequest ? mtus.front : Math.min(mtus.front, mtus.back);
  const most = longest - ipLength(step.family) - (step.family === 6 ? 8 : 0);
  const size = 8 * Math.max(LEAST_UNITS, Math.floor(Math.min(most, total / (2 + random.below(3))) / 8));
  const id = 1 + random.below(0xffff);
  const pieces: Piece[] = [];
  for (let at = 0; at < total; at += size) {
    pieces.push({ id, at, length: Math.min(size, total - at), isLast: at + size >= total });
  }
  return disturbed(random, pieces).map((piece) => ({ ...whole, piece }));
}

function disturbed(random: Random, pieces: readonly Piece[]): readonly Piece[] {
  const dice = random.below(100);
  if (dice < 50 || pieces.length < 2) return pieces;
  if (dice < 65) return [...pieces].reverse();
  const which = random.below(pieces.length);
  const piece = pieces[which];
  if (dice < 75) return [piece, ...pieces.slice(0, which), ...pieces.slice(which + 1)];
  if (dice < 85) return [...pieces.slice(0, which), piece, ...pieces.slice(which)];
  // The first and a later one over one another.
  if (dice < 93 && piece.length > 8 && piece.at > 0) {
    return [
      ...pieces.slice(0, which),
      { ...piece, at: piece.at - 8, isLast: false, length: 16 },
      ...pieces.slice(which),
    ];
  }
  return pieces.filter((each) => each !== piece);
}

/**
 * A tunnel that learns of a small MTU without asking its clients to keep to it has to cut. And what is told to clients as a
 * refusal is not heard where the director's own stack is not to refuse anything.
 */
function shapeIcmp(step: IcmpStep, plan: ForwardPlan, options: ForwardOptions): IcmpStep {
  const isRefusal = step.about === 'tunnel' && step.type === 3 && step.code === 3;
  if (isRefusal && plan.hasLocalServers) return { ...step, code: 1 };
  const tellsMtu = step.about === 'tunnel' && step.type === 3 && step.code === 4;
  return tellsMtu && !plan.pmtuDisc && !options.fragments ? { ...step, code: 1 } : step;
}

function largeSize(random: Random, mtus: Mtus, header: number): number {
  const edge = mtus[random.pick(SIDE_NAMES)];
  const outer = random.chance(0.4) ? 0 : random.pick(HEADERS);
  return edge - header - outer + random.below(5) - 2;
}

function ipLength(family: Family): number {
  return family === 4 ? 20 : 40;
}

function transportLength({ protocol, chunks }: PacketStep): number {
  if (protocol === 'tcp') return 20;
  return protocol === 'udp' ? 8 : 12 + 8 * chunks.length;
}
