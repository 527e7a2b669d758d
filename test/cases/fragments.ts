// SPDX-License-Identifier: Apache-2.0
// Packet cases: datagrams in fragments. The director sees them whole and forwards them in the fragments that they came in.

import type { PacketCase, PacketStep } from './case.ts';
import { type Contents, connection, type Flow, flow, reply, request, requestPacket, service, stats } from './flow.ts';
import { CLIENT, VIP } from './stations.ts';
import { damaged, fragments, portUnreachable, withExtensions, withHeaderChecksum } from './variants.ts';

const PAYLOAD = Uint8Array.from({ length: 48 }, (_, i) => i);
/** Bytes of payload in the first fragment. */
const FIRST = 24;

/** Without "don't fragment". */
function fragmentable(packet: Uint8Array): Uint8Array {
  return packet[0] >>> 4 === 4 ? withHeaderChecksum(damaged(packet, [6, 0])) : packet;
}

/** The packet of a step in two fragments, which arrive and leave in the same two. */
function inFragments(step: PacketStep, order: readonly [number, number]): PacketStep[] {
  if (step.expect.to === 'nobody' || step.expect.to === 'kernel') throw new TypeError('a packet that leaves is needed');
  const pieces = fragments(fragmentable(step.packet), FIRST);
  const [first, last] = fragments(fragmentable(step.expect.packet), FIRST);
  return [
    { ...step, packet: pieces[order[0]], expect: { to: 'nobody', verdicts: ['fragment-held'] } },
    { ...step, packet: pieces[order[1]], expect: { to: step.expect.to, packet: first, also: [last] } },
  ];
}

function withNat(at: Flow, order: readonly [number, number], words: string): PacketCase {
  const contents: Contents = { payload: PAYLOAD };
  const bytes = (at.family === 4 ? 28 : 48) + PAYLOAD.length;
  return {
    description: `a datagram in fragments is forwarded in the same fragments, both ways: IPv${at.family}, ${words}`,
    configuration: service(at),
    steps: [...inFragments(request(at, contents), order), ...inFragments(reply(at, contents), order)],
    counters: stats(at, `1 1 1 ${bytes} ${bytes}`),
    connections: [connection(at, '05:00', 'UDP')],
  };
}

/** A datagram for a port without a service: the kernel puts it together once more and refuses it. */
function notOurs(at: Flow): PacketCase {
  const other = { ...at, virtualPort: at.virtualPort + 400 };
  const whole = fragmentable(requestPacket(other, { payload: PAYLOAD }));
  const [first, last] = fragments(whole, FIRST);
  const answer = portUnreachable({ src: VIP[at.family], dst: CLIENT[at.family], about: whole });
  return {
    description: `a datagram for nobody's port reaches the kernel in the fragments that it came in: IPv${at.family}`,
    configuration: service(at),
    steps: [
      { from: 'client', packet: first, expect: { to: 'nobody', verdicts: ['fragment-held'] } },
      {
        from: 'client',
        packet: last,
        expect: { to: 'kernel', packets: [first, last] },
        kernelAnswers: { to: 'client', packet: answer },
      },
    ],
    counters: stats(at, '0 0 0 0 0'),
    connections: [],
  };
}

const overlapping = flow('udp4', 7207);
const atomic = flow('udp6', 7208);

function overlap(at: Flow): PacketStep[] {
  const whole = fragmentable(requestPacket(at, { payload: PAYLOAD }));
  const [first] = fragments(whole, 32);
  const [, last] = fragments(whole, 24);
  return [
    { from: 'client', packet: first, expect: { to: 'nobody', verdicts: ['fragment-held'] } },
    { from: 'client', packet: last, expect: { to: 'nobody', verdicts: ['drop-fragment'] } },
  ];
}

export const FRAGMENT_CASES: readonly PacketCase[] = [
  withNat(flow('udp4', 7201), [0, 1], 'in order'),
  withNat(flow('udp4', 7202), [1, 0], 'out of order'),
  withNat(flow('udp6', 7203), [0, 1], 'in order'),
  withNat(flow('udp6', 7204), [1, 0], 'out of order'),
  notOurs(flow('udp4', 7205)),
  notOurs(flow('udp6', 7206)),
  {
    description: 'fragments that overlap are dropped with their datagram',
    configuration: service(overlapping),
    steps: overlap(overlapping),
    counters: stats(overlapping, '0 0 0 0 0'),
    connections: [],
  },
  {
    description: 'a fragment header around a whole packet does not hide it (RFC 6946)',
    configuration: service(atomic),
    steps: [request(atomic, {}, withExtensions(44))],
    counters: stats(atomic, '1 1 0 56 0'),
    connections: [connection(atomic, '05:00', 'UDP')],
  },
];
