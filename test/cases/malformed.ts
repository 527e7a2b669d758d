// SPDX-License-Identifier: Apache-2.0
// Packet cases: broken packets for a service. Each is dropped under the name of what is wrong with it, whoever notices:
// the XDP program leaves to the kernel what it cannot read, and the kernel drops it without a word. After each of them a
// good packet passes.

import type { PacketCase, PacketStep } from './case.ts';
import { connection, type Flow, flow, request, requestPacket, service, stats } from './flow.ts';
import { CLIENT, VIP } from './stations.ts';
import { damaged, portUnreachable, type Variant, withExtensions, withHeaderChecksum } from './variants.ts';

interface Broken {
  readonly description: string;
  readonly kind: Parameters<typeof flow>[0];
  readonly damage: Variant;
  /** Name behind `malformed-`. */
  readonly name: string;
  /** The XDP program does not hand it to the engine. */
  readonly atXdp?: NonNullable<PacketStep['atXdp']>;
  /** The kernel has nothing against it, and answers as to any other. */
  readonly isGoodForKernel?: boolean;
}

const cut =
  (length: number): Variant =>
  (packet) =>
    packet.slice(0, length);

/** Sets the length field of the IPv4 header to something, with a checksum that is right. */
const totalLength =
  (length: number): Variant =>
  (packet) =>
    withHeaderChecksum(damaged(packet, [2, length >>> 8], [3, length & 255]));

/** The packet cut off and its length fields set accordingly. */
const shortened =
  (length: number): Variant =>
  (packet) => {
    const short = packet.slice(0, length);
    return short[0] >>> 4 === 4 ? totalLength(length)(short) : damaged(short, [5, length - 40]);
  };

const DESTINATION_OPTIONS = 60;
const dangling: Variant = (packet) => damaged(withExtensions(DESTINATION_OPTIONS)(packet), [41, 30]);
const NINE = new Array<number>(9).fill(DESTINATION_OPTIONS);

const BROKEN: readonly Broken[] = [
  {
    description: 'an IPv4 header that is cut off',
    kind: 'tcp4',
    damage: cut(19),
    name: 'truncated',
    atXdp: 'malformed',
  },
  {
    description: 'an IPv6 header that is cut off',
    kind: 'tcp6',
    damage: cut(39),
    name: 'truncated',
    atXdp: 'malformed',
  },
  {
    description: 'version 5 in a frame of type IPv4',
    kind: 'tcp4',
    damage: (packet) => withHeaderChecksum(damaged(packet, [0, 0x55])),
    name: 'bad-version',
    atXdp: 'malformed',
  },
  {
    description: 'version 7 in a frame of type IPv6',
    kind: 'tcp6',
    damage: (packet) => damaged(packet, [0, 0x70]),
    name: 'bad-version',
    atXdp: 'malformed',
  },
  {
    description: 'an IPv4 header of 16 bytes',
    kind: 'tcp4',
    damage: (packet) => withHeaderChecksum(damaged(packet, [0, 0x44])),
    name: 'bad-header-length',
    atXdp: 'malformed',
  },
  {
    description: 'an IPv4 header longer than its packet',
    kind: 'udp4',
    damage: (packet) => damaged(packet, [0, 0x4f]),
    name: 'bad-header-length',
    atXdp: 'malformed',
  },
  {
    description: 'a total length that is longer than the frame',
    kind: 'tcp4',
    damage: totalLength(41),
    name: 'bad-total-length',
  },
  {
    description: 'a total length that is shorter than the header',
    kind: 'tcp4',
    damage: totalLength(19),
    name: 'bad-total-length',
  },
  {
    description: 'an IPv6 payload length that is longer than the frame',
    kind: 'udp6',
    damage: (packet) => damaged(packet, [5, packet[5] + 1]),
    name: 'bad-total-length',
  },
  {
    description: 'a wrong IPv4 header checksum',
    kind: 'tcp4',
    damage: (packet) => damaged(packet, [10, packet[10] ^ 1]),
    name: 'bad-checksum',
  },
  {
    description: 'a changed byte of an IPv4 header',
    kind: 'udp4',
    damage: (packet) => damaged(packet, [1, 0x10]),
    name: 'bad-checksum',
  },
  {
    description: 'a TCP header of 19 bytes',
    kind: 'tcp4',
    damage: shortened(39),
    name: 'truncated-transport',
  },
  {
    description: 'a TCP header of 19 bytes over IPv6',
    kind: 'tcp6',
    damage: shortened(59),
    name: 'truncated-transport',
  },
  { description: 'a UDP header of 7 bytes', kind: 'udp4', damage: shortened(27), name: 'truncated-transport' },
  {
    description: 'a UDP header of 7 bytes over IPv6',
    kind: 'udp6',
    damage: shortened(47),
    name: 'truncated-transport',
  },
  {
    description: 'a packet that ends before its ports',
    kind: 'udp4',
    damage: shortened(22),
    name: 'truncated-transport',
    atXdp: 'malformed',
  },
  {
    description: 'an extension header that is longer than the packet',
    kind: 'tcp6',
    damage: dangling,
    name: 'bad-extension-header',
    atXdp: 'malformed',
  },
  {
    description: 'an extension header that is cut off',
    kind: 'udp6',
    damage: (packet) => shortened(44)(withExtensions(DESTINATION_OPTIONS)(packet)),
    name: 'bad-extension-header',
    atXdp: 'malformed',
  },
  {
    description: 'a packet with more than eight extension headers',
    kind: 'udp6',
    damage: withExtensions(...NINE),
    name: 'bad-extension-header',
    atXdp: 'passed',
    isGoodForKernel: true,
  },
];

function malformed({ description, kind, damage, name, atXdp, isGoodForKernel }: Broken, index: number): PacketCase {
  const at: Flow = flow(kind, 8000 + index);
  const packet = damage(requestPacket(at, { flags: 'S' }));
  const answer = portUnreachable({ src: VIP[at.family], dst: CLIENT[at.family], about: packet });
  const bytes = { tcp4: 40, tcp6: 60, udp4: 28, udp6: 48 }[kind];
  return {
    description: `${description} is dropped as ${name}`,
    configuration: service(at),
    steps: [
      {
        from: 'client',
        packet,
        framing: { type: kind.endsWith('4') ? 0x0800 : 0x86dd },
        expect: { to: 'nobody', verdicts: [`malformed-${name}`] },
        ...(atXdp !== undefined && { atXdp }),
        ...(isGoodForKernel === true && { kernelAnswers: { to: 'client', packet: answer } }),
      },
      request(at, { flags: 'S' }),
    ],
    counters: stats(at, `1 1 0 ${bytes} 0`),
    connections: [kind.startsWith('udp') ? connection(at, '05:00', 'UDP') : connection(at, '01:00', 'SYN_RECV')],
  };
}

export const MALFORMED_CASES: readonly PacketCase[] = BROKEN.map(malformed);
