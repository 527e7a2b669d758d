// SPDX-License-Identifier: Apache-2.0
// Conversations of the oracle's scenarios: what the two ends of a TCP connection, an SCTP association or an exchange of UDP
// datagrams say in turn, and sometimes out of turn. For the generators.

import type { Random } from '../support/random.ts';
import type { Conversation, OracleProtocol, PacketStep } from './scenario.ts';
import { SERVERS } from './world.ts';

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

/** Somebody who takes part in a conversation and mostly says what comes next. */
export interface Actor extends Conversation {
  readonly script: readonly string[];
  at: number;
}

export function scriptOf(random: Random, protocol: OracleProtocol): readonly string[] {
  return protocol === 'sctp' ? SCTP_SCRIPT : random.pick(SCRIPTS);
}

/** What the actor says next, mostly. */
export function packetFrom(random: Random, actor: Actor): PacketStep {
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
