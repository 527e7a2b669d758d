// SPDX-License-Identifier: Apache-2.0
// Packet cases: NAT in both directions, over IPv4 and IPv6, TCP and UDP, and what it must leave alone. Packets in
// hexadecimal were captured from Linux 6.1.

import { fromHex, udp } from '../support/frames.ts';
import type { PacketCase, PacketStep, Station } from './case.ts';
import { type Contents, connection, type Flow, flow, reply, request, service, stats } from './flow.ts';
import { withExtensions, withOptions } from './variants.ts';

const goldenIpv4 = flow('tcp4', 2101, { clientPort: 4000, serverPort: 880 });
const goldenIpv6 = flow('tcp6', 3001, { clientPort: 4000, server: 16 });
const goldenUdp = flow('udp4', 3100, { clientPort: 6000, serverPort: 3200 });

/** A packet of a capture that reached its station. */
function captured(from: Station, packet: string, to: Station, out: string): PacketStep {
  return { from, packet: fromHex(packet), expect: { to, packet: fromHex(out) } };
}

const GOLDEN: readonly PacketCase[] = [
  {
    description: 'IPv4 NAT leaves the bytes that the kernel leaves, both ways',
    configuration: service(goldenIpv4),
    steps: [
      captured(
        'client',
        '4500002800014000400626c70a0700010a0000010fa00835000003e8000000005002ffff801d0000',
        'server 1',
        '45000028000140003f06701e0a070001c0a801010fa00370000003e8000000005002ffffcd390000',
      ),
      captured(
        'server 1',
        '450000280001400040066f1ec0a801010a07000103700fa0000003e8000000005012ffffcd290000',
        'client',
        '45000028000140003f0627c70a0000010a07000108350fa0000003e8000000005012ffff800d0000',
      ),
    ],
    counters: stats(goldenIpv4, '1 1 1 40 40'),
    connections: [connection(goldenIpv4, '01:00', 'SYN_RECV')],
  },
  {
    description: 'IPv6 NAT leaves the bytes that the kernel leaves, both ways, traffic class and flow label too',
    configuration: ['-A -t [2001:db8::1]:3001 -s rr', '-a -t [2001:db8::1]:3001 -r [2001:db8:1::10]:8080 -m'],
    steps: [
      captured(
        'client',
        '6b9123450014064020010db800000000000000000000000c20010db80000000000000000000000010fa00bb9000003e8000000005002ffff35230000',
        'server 16',
        '6b9123450014063f20010db800000000000000000000000c20010db80001000000000000000000100fa01f90000003e8000000005002ffff213c0000',
      ),
      captured(
        'server 16',
        '600000000014064020010db800010000000000000000001020010db800000000000000000000000c1f900fa0000003e8000000005012ffff212c0000',
        'client',
        '600000000014063f20010db800000000000000000000000120010db800000000000000000000000c0bb90fa0000003e8000000005012ffff35130000',
      ),
    ],
    counters: stats(goldenIpv6, '1 1 1 60 60'),
    connections: [connection(goldenIpv6, '01:00', 'SYN_RECV')],
  },
  {
    description: 'UDP without a checksum leaves with one, and fragments in the same fragments, as in the kernel',
    configuration: service(goldenUdp),
    steps: [
      captured(
        'client',
        '4500002000014000401126c40a0700010a00000117700c1c000c00007a65726f',
        'server 1',
        '45000020000140003f11701b0a070001c0a8010117700c80000c23607a65726f',
      ),
      {
        from: 'client',
        packet: fromHex('4500002c00072000401146b20a0700010a00000117710c1c0030aedf41414141414141414141414141414141'),
        expect: { to: 'nobody', verdicts: ['fragment-held'] },
      },
      {
        from: 'client',
        packet: fromHex('4500002c00070003401166af0a0700010a000001414141414141414141414141414141414141414141414141'),
        expect: {
          to: 'server 1',
          packet: fromHex('4500002c000720003f1190090a070001c0a8010117710c800030f6d241414141414141414141414141414141'),
          also: [fromHex('4500002c000700033f11b0060a070001c0a80101414141414141414141414141414141414141414141414141')],
        },
      },
    ],
    counters: stats(goldenUdp, '2 2 0 100 0'),
    connections: [
      connection(goldenUdp, '05:00', 'UDP'),
      connection({ ...goldenUdp, clientPort: 6001 }, '05:00', 'UDP'),
    ],
  },
];

const payload = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7);

/** Both directions of a UDP flow with these contents. */
function datagrams(description: string, at: Flow, contents: Contents, ipBytes: number): PacketCase {
  return {
    description,
    configuration: service(at),
    steps: [request(at, contents), reply(at, contents)],
    counters: stats(at, `1 1 1 ${ipBytes} ${ipBytes}`),
    connections: [connection(at, '05:00', 'UDP')],
  };
}

const udpZeroSum = flow('udp4', 2204);

/** Two bytes with which the forwarded datagram sums up to 0, which UDP writes as ffff (RFC 768). */
function zeroSumPayload(): Uint8Array {
  const { clientPort, serverPort } = udpZeroSum;
  const ends = { src: '10.7.0.1', dst: '192.168.1.1', sport: clientPort, dport: serverPort };
  return udp({ ...ends, payload: new Uint8Array(2) }).slice(26, 28);
}

const DATAGRAMS: readonly PacketCase[] = [
  datagrams('UDP passes both ways over IPv4', flow('udp4', 2201), { payload: payload(100) }, 128),
  datagrams('UDP passes both ways over IPv6', flow('udp6', 2201), { payload: payload(100) }, 148),
  datagrams('an empty datagram passes over IPv4, where Ethernet pads it', flow('udp4', 2202), {}, 28),
  datagrams('an empty datagram passes over IPv6', flow('udp6', 2202), {}, 48),
  datagrams('a datagram of odd length passes over IPv4', flow('udp4', 2203), { payload: payload(33) }, 61),
  datagrams('a datagram of odd length passes over IPv6', flow('udp6', 2203), { payload: payload(33) }, 81),
  datagrams('a datagram as large as the MTU passes over IPv4', flow('udp4', 2205), { payload: payload(1472) }, 1500),
  datagrams('a datagram as large as the MTU passes over IPv6', flow('udp6', 2205), { payload: payload(1452) }, 1500),
  {
    description: 'a UDP checksum that comes to 0 leaves as ffff',
    configuration: service(udpZeroSum),
    steps: [request(udpZeroSum, { payload: zeroSumPayload() })],
    counters: stats(udpZeroSum, '1 1 0 30 0'),
    connections: [connection(udpZeroSum, '05:00', 'UDP')],
  },
  datagrams(
    'datagrams without a checksum get one in both directions, odd length included',
    flow('udp4', 2206),
    { payload: payload(5), checksum: false },
    33,
  ),
];

/** A whole TCP connection: handshake, data, the client closes first. */
function conversation(at: Flow, header: number): PacketCase {
  const question = payload(10);
  const answer = payload(1000);
  const inBytes = 5 * header + 10;
  const outBytes = 4 * header + 1000;
  return {
    description: `a TCP connection passes over IPv${at.family} from handshake to close`,
    configuration: service(at),
    steps: [
      request(at, { flags: 'S', seq: 100 }),
      reply(at, { flags: 'SA', seq: 700, ack: 101 }),
      request(at, { flags: 'A', seq: 101, ack: 701 }),
      request(at, { flags: 'PA', seq: 101, ack: 701, payload: question, tos: 0x10 }),
      reply(at, { flags: 'A', seq: 701, ack: 111 }),
      reply(at, { flags: 'PA', seq: 701, ack: 111, payload: answer }),
      request(at, { flags: 'FA', seq: 111, ack: 1701 }),
      reply(at, { flags: 'FA', seq: 1701, ack: 112 }),
      request(at, { flags: 'A', seq: 112, ack: 1702 }),
    ],
    counters: stats(at, `1 5 4 ${inBytes} ${outBytes}`),
    connections: [connection(at, '02:00', 'TIME_WAIT')],
  };
}

const twoFlows = [flow('tcp4', 2303), flow('tcp4', 2303, { clientPort: 22304 })];
const [first, second] = twoFlows;

const CONNECTIONS: readonly PacketCase[] = [
  conversation(flow('tcp4', 2301), 40),
  conversation(flow('tcp6', 2301), 60),
  {
    description: 'two clients of one server are kept apart by their ports',
    configuration: service(first),
    steps: [
      request(first, { flags: 'S' }),
      request(second, { flags: 'S' }),
      reply(second, { flags: 'SA' }),
      reply(first, { flags: 'SA' }),
    ],
    counters: stats(first, '2 2 2 80 80'),
    connections: twoFlows.map((at) => connection(at, '01:00', 'SYN_RECV')),
  },
  sameClientPort(),
];

/** TCP and UDP between the same ends are two connections. */
function sameClientPort(): PacketCase {
  const overTcp = flow('tcp4', 2304);
  const overUdp = flow('udp4', 2304);
  return {
    description: 'TCP and UDP with the same addresses and ports are two services and two connections',
    configuration: [...service(overTcp), ...service(overUdp)],
    steps: [request(overTcp, { flags: 'S' }), request(overUdp), reply(overUdp), reply(overTcp, { flags: 'SA' })],
    counters: [...stats(overTcp, '1 1 1 40 40'), ...stats(overUdp, '1 1 1 28 28')],
    connections: [connection(overTcp, '01:00', 'SYN_RECV'), connection(overUdp, '05:00', 'UDP')],
  };
}

const HOP_BY_HOP = 0;
const ROUTING = 43;
const DESTINATION_OPTIONS = 60;
const AUTHENTICATION = 51;
const NOP = 1;
/** Record route with room for two addresses, and the end of the list. */
const RECORD_ROUTE = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const optionsFlow = flow('tcp4', 2401);
const fullOptionsFlow = flow('udp4', 2402);
const extensionsFlow = flow('tcp6', 2403);
const authenticatedFlow = flow('udp6', 2404);
const paddedFlow = flow('tcp4', 2405);
const paddedUdpFlow = flow('udp4', 2406);
const paddedIpv6Flow = flow('udp6', 2407);
const markedFlow = flow('tcp4', 2408);
const lastHopFlow = flow('tcp4', 2409);

const HEADERS: readonly PacketCase[] = [
  {
    description: 'options in the IPv4 header stay, and the ports behind them are rewritten',
    configuration: service(optionsFlow),
    steps: [
      request(optionsFlow, { flags: 'S' }, withOptions(NOP, NOP, NOP, 0)),
      reply(optionsFlow, { flags: 'SA' }, withOptions(...RECORD_ROUTE)),
    ],
    counters: stats(optionsFlow, '1 1 1 44 52'),
    connections: [connection(optionsFlow, '01:00', 'SYN_RECV')],
  },
  {
    description: 'an IPv4 header of the full 60 bytes is understood',
    configuration: service(fullOptionsFlow),
    steps: [request(fullOptionsFlow, { payload: payload(8) }, withOptions(...new Array<number>(40).fill(NOP)))],
    counters: stats(fullOptionsFlow, '1 1 0 76 0'),
    connections: [connection(fullOptionsFlow, '05:00', 'UDP')],
  },
  {
    description: 'IPv6 extension headers stay, and the ports behind them are rewritten',
    configuration: service(extensionsFlow),
    steps: [
      request(extensionsFlow, { flags: 'S' }, withExtensions(HOP_BY_HOP, DESTINATION_OPTIONS)),
      reply(extensionsFlow, { flags: 'SA' }, withExtensions(HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS)),
    ],
    counters: stats(extensionsFlow, '1 1 1 76 84'),
    connections: [connection(extensionsFlow, '01:00', 'SYN_RECV')],
  },
  {
    description: 'an IPv6 authentication header is passed over by its own measure of length',
    configuration: service(authenticatedFlow),
    steps: [request(authenticatedFlow, {}, withExtensions(AUTHENTICATION))],
    counters: stats(authenticatedFlow, '1 1 0 64 0'),
    connections: [connection(authenticatedFlow, '05:00', 'UDP')],
  },
  {
    description: 'Ethernet padding is no part of a TCP segment and does not leave',
    configuration: service(paddedFlow),
    steps: [
      { ...request(paddedFlow, { flags: 'S' }), framing: { padding: 6 } },
      { ...reply(paddedFlow, { flags: 'SA' }), framing: { padding: 6 } },
    ],
    counters: stats(paddedFlow, '1 1 1 40 40'),
    connections: [connection(paddedFlow, '01:00', 'SYN_RECV')],
  },
  {
    description: 'Ethernet padding is not in the checksum of a datagram that came without one',
    configuration: service(paddedUdpFlow),
    steps: [{ ...request(paddedUdpFlow, { payload: payload(3), checksum: false }), framing: { padding: 15 } }],
    counters: stats(paddedUdpFlow, '1 1 0 31 0'),
    connections: [connection(paddedUdpFlow, '05:00', 'UDP')],
  },
  {
    description: 'bytes behind an IPv6 packet do not leave',
    configuration: service(paddedIpv6Flow),
    steps: [{ ...request(paddedIpv6Flow, { payload: payload(3) }), framing: { padding: 9 } }],
    counters: stats(paddedIpv6Flow, '1 1 0 51 0'),
    connections: [connection(paddedIpv6Flow, '05:00', 'UDP')],
  },
  {
    description: 'type of service and identification stay as the client set them',
    configuration: service(markedFlow),
    steps: [request(markedFlow, { flags: 'S', tos: 0xb8, id: 0xfffe })],
    counters: stats(markedFlow, '1 1 0 40 0'),
    connections: [connection(markedFlow, '01:00', 'SYN_RECV')],
  },
  {
    description: 'TTL 2 is enough to reach the server, and TTL 255 loses one',
    configuration: service(lastHopFlow),
    steps: [request(lastHopFlow, { flags: 'S', ttl: 2 }), request(lastHopFlow, { flags: 'A', ttl: 255 })],
    counters: stats(lastHopFlow, '1 2 0 80 0'),
    connections: [connection(lastHopFlow, '15:00', 'ESTABLISHED')],
  },
];

const UNUSUAL: readonly PacketCase[] = [
  {
    description: 'a service and a server may have the same port number on different protocols and families',
    configuration: [...service(flow('tcp4', 2501)), ...service(flow('tcp6', 2501))],
    steps: [request(flow('tcp6', 2501), { flags: 'S' }), request(flow('tcp4', 2501), { flags: 'S' })],
    counters: [...stats(flow('tcp4', 2501), '1 1 0 40 0'), ...stats(flow('tcp6', 2501), '1 1 0 60 0')],
    connections: [
      connection(flow('tcp4', 2501), '01:00', 'SYN_RECV'),
      connection(flow('tcp6', 2501), '01:00', 'SYN_RECV'),
    ],
  },
];

export const NAT_CASES: readonly PacketCase[] = [...GOLDEN, ...DATAGRAMS, ...CONNECTIONS, ...HEADERS, ...UNUSUAL];
