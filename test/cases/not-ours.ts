// SPDX-License-Identifier: Apache-2.0
// Packet cases: what belongs to nobody goes to the kernel as it was, which then answers or forwards as any router would.
// Where a kernel's word is given, it is that of Linux.

import { fromHex } from '../support/frames.ts';
import type { PacketCase, PacketStep } from './case.ts';
import {
  type Contents,
  connection,
  type Flow,
  flow,
  kernelReset,
  reply,
  replyPacket,
  request,
  requestPacket,
  service,
  stats,
} from './flow.ts';
import { CLIENT, VIP } from './stations.ts';
import { portUnreachable } from './variants.ts';

const toKernel = { to: 'kernel' } as const;

/** A request that the engine gives to the kernel. */
function passed(at: Flow, contents: Contents = {}): PacketStep {
  return { from: 'client', packet: requestPacket(at, contents), expect: toKernel };
}

/** A packet from a server that the kernel forwards to the client. */
function routed(at: Flow, contents: Contents = {}): PacketStep {
  const packet = replyPacket(at, { ...contents, ttl: 63 });
  return {
    from: 'server 1',
    packet: replyPacket(at, contents),
    expect: toKernel,
    kernelAnswers: { to: 'client', packet },
  };
}

/** The kernel's word to a datagram for the virtual address that nobody waits for. */
function unreachable(at: Flow, about: Uint8Array): NonNullable<PacketStep['kernelAnswers']> {
  return { to: 'client', packet: portUnreachable({ src: VIP[at.family], dst: CLIENT[at.family], about }) };
}

function untouched(description: string, at: Flow, steps: readonly PacketStep[]): PacketCase {
  return { description, configuration: service(at), steps, counters: stats(at, '0 0 0 0 0'), connections: [] };
}

const at = (index: number): Flow => flow('tcp4', 7000 + index);
const otherPort = { ...at(1), virtualPort: 7501, clientPort: 27501 };
const otherProtocol: Flow = { ...at(2), protocol: 'udp' };
const otherProtocolIpv6: Flow = { ...flow('tcp6', 7003), protocol: 'udp' };
const ftpData = flow('tcp4', 7005, { clientPort: 20 });
const ftpDataUdp = flow('udp4', 7006, { clientPort: 20 });

const REQUESTS: readonly PacketCase[] = [
  untouched('a SYN for a port without a service is the kernel’s', at(1), [
    {
      ...passed(otherPort, { flags: 'S', seq: 77 }),
      atXdp: 'passed',
      kernelAnswers: kernelReset(otherPort, { flags: 'RA', ack: 78 }),
    },
  ]),
  untouched('a datagram for the address and port of a TCP service is the kernel’s', at(2), [
    {
      ...passed(otherProtocol),
      atXdp: 'passed',
      kernelAnswers: unreachable(otherProtocol, requestPacket(otherProtocol)),
    },
  ]),
  untouched('a datagram for the address and port of a TCP service is the kernel’s, over IPv6', flow('tcp6', 7003), [
    {
      ...passed(otherProtocolIpv6),
      atXdp: 'passed',
      kernelAnswers: unreachable(otherProtocolIpv6, requestPacket(otherProtocolIpv6)),
    },
  ]),
  untouched('an ACK without a connection is refused by the kernel, not scheduled', at(4), [
    { ...passed(at(4), { flags: 'A', ack: 4711 }), kernelAnswers: kernelReset(at(4), { flags: 'R', seq: 4711 }) },
  ]),
  untouched('an ACK without a connection is refused by the kernel, over IPv6', flow('tcp6', 7004), [
    {
      ...passed(flow('tcp6', 7004), { flags: 'A', ack: 4711 }),
      kernelAnswers: kernelReset(flow('tcp6', 7004), { flags: 'R', seq: 4711 }),
    },
  ]),
  untouched('FIN, RST, SYN with RST and no flag at all open no connection', at(7), [
    { ...passed(at(7), { flags: 'FA', ack: 1 }), kernelAnswers: kernelReset(at(7), { flags: 'R', seq: 1 }) },
    passed(at(7), { flags: 'R' }),
    passed(at(7), { flags: 'SR' }),
    { ...passed(at(7), { flags: '' }), kernelAnswers: kernelReset(at(7), { flags: 'RA', ack: 1000 }) },
  ]),
  untouched('a SYN from port 20, active FTP’s, is not scheduled', ftpData, [
    { ...passed(ftpData, { flags: 'S', seq: 77 }), kernelAnswers: kernelReset(ftpData, { flags: 'RA', ack: 78 }) },
  ]),
  untouched('a datagram from port 20 is not scheduled', ftpDataUdp, [
    { ...passed(ftpDataUdp), kernelAnswers: unreachable(ftpDataUdp, requestPacket(ftpDataUdp)) },
  ]),
];

const alone = flow('tcp4', 7101);
const aloneIpv6 = flow('tcp6', 7102);
const aloneUdp = flow('udp4', 7103);
const stranger = flow('tcp4', 7104);
const otherServerPort = { ...at(10), serverPort: 22 };

const REPLIES: readonly PacketCase[] = [
  untouched('a server’s segment without a connection is forwarded by the kernel as it is', alone, [
    routed(alone, { flags: 'SA' }),
    routed(alone, { flags: 'S' }),
  ]),
  untouched('a server’s segment without a connection is forwarded by the kernel, over IPv6', aloneIpv6, [
    routed(aloneIpv6, { flags: 'A' }),
  ]),
  untouched('a server’s datagram without a connection is forwarded by the kernel', aloneUdp, [routed(aloneUdp)]),
  untouched('what a server sends from another port is not the director’s', at(10), [
    { ...routed(otherServerPort, { flags: 'SA' }), atXdp: 'passed' },
  ]),
  {
    description: 'another client’s answer is not taken for that of a connection',
    configuration: service(stranger),
    steps: [
      request(stranger, { flags: 'S' }),
      routed({ ...stranger, clientPort: stranger.clientPort + 1 }, { flags: 'SA' }),
      reply(stranger, { flags: 'SA' }),
    ],
    counters: stats(stranger, '1 1 1 40 40'),
    connections: [connection(stranger, '01:00', 'SYN_RECV')],
  },
];

const framed = (index: number): Flow => flow('tcp4', 7300 + index);

/** A good packet in a frame that is not for the director. */
function misaddressed(description: string, index: number, step: Partial<PacketStep>): PacketCase {
  const packet = requestPacket(framed(index), { flags: 'S' });
  const base: PacketStep = { from: 'client', packet, expect: toKernel, atXdp: 'passed' };
  return { ...untouched(description, framed(index), [{ ...base, ...step }]), only: 'xdp' };
}

const FRAMES: readonly PacketCase[] = [
  misaddressed('a broadcast frame is not the director’s', 1, { framing: { destination: 'broadcast' } }),
  misaddressed('a multicast frame is not the director’s', 2, { framing: { destination: 'multicast' } }),
  misaddressed('a frame for another station is not the director’s', 3, { framing: { destination: 'another station' } }),
  untouched('a frame that is neither IPv4 nor IPv6 is the kernel’s', framed(4), [
    {
      from: 'client',
      packet: requestPacket(framed(4), { flags: 'S' }),
      framing: { type: 0x88b5 },
      expect: toKernel,
      atXdp: 'passed',
    },
  ]),
  untouched('ICMP echo to the virtual address is answered by the kernel', framed(5), [
    {
      from: 'client',
      packet: fromHex('4500002000014000400126d40a0700010a000001080033310007000161626364'),
      expect: toKernel,
      atXdp: 'passed',
      kernelAnswers: {
        to: 'client',
        packet: fromHex('4500002000000000400166d50a0000010a07000100003b310007000161626364'),
      },
    },
  ]),
];

export const NOT_OURS_CASES: readonly PacketCase[] = [...REQUESTS, ...REPLIES, ...FRAMES];
