// SPDX-License-Identifier: Apache-2.0
// Random ICMP messages about a conversation, for the oracle's scenarios about forwarding: mostly errors that make sense, some
// cut short, changed or broken.

import type { Random } from '../support/random.ts';
import type { Actor } from './actors.ts';
import type { IcmpStep } from './icmp-step.ts';
import { SERVERS } from './world.ts';

/** Type and code; the last of each are no errors. */
const MESSAGES: readonly (readonly [number, number])[] = [
  [3, 4],
  [3, 4],
  [3, 0],
  [3, 1],
  [3, 3],
  [3, 13],
  [4, 0],
  [11, 0],
  [11, 1],
  [12, 0],
  [5, 1],
];
const MESSAGES_6: readonly (readonly [number, number])[] = [
  [2, 0],
  [2, 0],
  [1, 0],
  [1, 3],
  [1, 4],
  [3, 0],
  [3, 1],
  [4, 1],
];
const MTUS = [0, 68, 552, 576, 600, 1000, 1280, 1300, 1380, 1400, 1460, 1500, 9000];
/** As long as ICMP errors get. */
const LEAST_LEARNT = 576;
const QUOTED = [0, 1, 19, 20, 23, 24, 28, 40, 43, 44, 48, 60, 68, 548, 548, 548];

export function icmpFrom(random: Random, { script: _script, at: _at, ...conversation }: Actor): IcmpStep {
  const { family } = conversation;
  const about = aboutWhat(random, family);
  const isEcho = about === 'echo';
  const [type, code] = isEcho
    ? ([family === 4 ? 8 : 128, 0] as const)
    : random.pick(family === 4 ? MESSAGES : MESSAGES_6);
  const tellsMtu = family === 4 ? type === 3 && code === 4 : type === 2;
  // A smaller MTU would cut the director's other messages to that server short, of which its other side knows nothing.
  const mtu = Math.max(random.pick(MTUS), about === 'tunnel' ? LEAST_LEARNT : 0);
  return {
    ...conversation,
    kind: 'icmp',
    about,
    isRouter: random.chance(0.6),
    server: 1 + random.below(SERVERS),
    type,
    code,
    rest: isEcho || tellsMtu ? mtu : random.chance(0.1) ? random.word() : 0,
    quoted: random.chance(0.6) ? 548 : random.pick(QUOTED),
    change: random.chance(0.9) ? 'none' : random.pick(['fragment', 'port']),
    checksum: !random.chance(0.06),
    ttl: random.chance(0.1) ? random.pick([1, 2, 3]) : 64,
  };
}

/** Errors about tunnels in IPv6 teach Ballast what the kernel does not learn. */
function aboutWhat(random: Random, family: number): IcmpStep['about'] {
  const dice = random.below(100);
  if (dice < 40) return 'request';
  if (dice < 75) return 'reply';
  if (dice < 95) return family === 4 ? 'tunnel' : 'reply';
  return 'echo';
}
