// SPDX-License-Identifier: Apache-2.0
// Packet cases: what the director answers itself, and what it drops, because no server can have it.

import { fromHex } from '../support/frames.ts';
import type { PacketCase, PacketStep } from './case.ts';
import {
  type Contents,
  connection,
  type Flow,
  flow,
  kernelReset,
  replyPacket,
  request,
  requestPacket,
  serverStats,
  service,
  serviceStats,
  stats,
} from './flow.ts';
import { CLIENT, DIRECTOR_BACK, serverAddress, VIP } from './stations.ts';
import {
  asItIs,
  hostUnreachable,
  portUnreachable,
  timeExceeded,
  type Variant,
  withExtensions,
  withOptions,
} from './variants.ts';

/** The director answers in the name of the virtual address. */
function answered(
  at: Flow,
  error: typeof portUnreachable,
  contents: Contents = {},
  variant: Variant = asItIs,
): PacketStep {
  const packet = variant(requestPacket(at, contents));
  const answer = error({ src: VIP[at.family], dst: CLIENT[at.family], about: packet });
  return { from: 'client', packet, expect: { to: 'client', packet: answer, verdicts: ['answer-icmp'] } };
}

const goldenIpv4 = flow('tcp4', 6167, { clientPort: 20000 });
const goldenIpv6 = flow('tcp6', 3999, { clientPort: 4000 });
const goldenSyn6 =
  '600000000014064020010db800000000000000000000000c20010db80000000000000000000000010fa00f9f000003e8000000005002ffff313d0000';
const weightless = flow('tcp4', 5001);
const emptied = flow('tcp4', 5002);
const udpIpv4 = flow('udp4', 5003);
const udpIpv6 = flow('udp6', 5004);
const withHeaders = flow('tcp4', 5005);
const withHeadersIpv6 = flow('udp6', 5006);
const large = flow('udp4', 5007);
const largeIpv6 = flow('udp6', 5008);

/** A service without a server that could take anything. */
function noServer(description: string, at: Flow, step: PacketStep): PacketCase {
  return {
    description,
    configuration: service(at, 'rr', []),
    steps: [step],
    counters: [serviceStats(at, '0 0 0 0 0')],
    connections: [],
  };
}

const NO_SERVER: readonly PacketCase[] = [
  noServer('without a server the client gets ICMP port unreachable from the virtual address', goldenIpv4, {
    from: 'client',
    packet: fromHex('4500002800014000400626c70a0700010a0000014e201817000003e8000000005002ffff35db0000'),
    expect: {
      to: 'client',
      packet: fromHex(
        '45c0004400000000400165f10a0000010a07000103030d00000000004500002800014000400626c70a0700010a0000014e201817000003e8000000005002ffff35db0000',
      ),
      verdicts: ['answer-icmp'],
    },
  }),
  noServer('without a server the client gets ICMPv6 port unreachable as the kernel sends it', goldenIpv6, {
    from: 'client',
    packet: fromHex(goldenSyn6),
    expect: {
      to: 'client',
      packet: fromHex(
        `600ddae100443a4020010db800000000000000000000000120010db800000000000000000000000c01043cc400000000${goldenSyn6}`,
      ),
      verdicts: ['answer-icmp'],
    },
  }),
  noServer(
    'a datagram for a service without a server is answered so too, over IPv4',
    udpIpv4,
    answered(udpIpv4, portUnreachable, { payload: new Uint8Array(20) }),
  ),
  noServer(
    'a datagram for a service without a server is answered so too, over IPv6',
    udpIpv6,
    answered(udpIpv6, portUnreachable, { payload: new Uint8Array(20) }),
  ),
  noServer(
    'an ICMP error quotes the options of the packet',
    withHeaders,
    answered(withHeaders, portUnreachable, { flags: 'S' }, withOptions(1, 1, 1, 0)),
  ),
  noServer(
    'an ICMPv6 error quotes the extension headers of the packet',
    withHeadersIpv6,
    answered(withHeadersIpv6, portUnreachable, {}, withExtensions(60)),
  ),
  noServer(
    'an ICMP error quotes 548 bytes of a large packet',
    large,
    answered(large, portUnreachable, { payload: new Uint8Array(1000) }),
  ),
  noServer(
    'an ICMPv6 error quotes 1232 bytes of a large packet',
    largeIpv6,
    answered(largeIpv6, portUnreachable, { payload: new Uint8Array(1400) }),
  ),
  {
    description: 'servers of weight 0 are as good as none',
    configuration: service(weightless, 'wrr', [0, 0]),
    steps: [answered(weightless, portUnreachable, { flags: 'S' })],
    counters: [
      serviceStats(weightless, '0 0 0 0 0'),
      serverStats(weightless, '0 0 0 0 0'),
      serverStats({ ...weightless, server: 2 }, '0 0 0 0 0'),
    ],
    connections: [],
  },
  {
    description: 'a service that loses its last server refuses new connections',
    configuration: service(emptied),
    steps: [{ ipvsadm: '-d -t 10.0.0.1:5002 -r 192.168.1.1:8080' }, answered(emptied, portUnreachable, { flags: 'S' })],
    counters: [serviceStats(emptied, '0 0 0 0 0')],
    connections: [],
  },
];

const lastHopIpv4 = flow('tcp4', 5101);
const lastHopIpv6 = flow('tcp6', 5102);
const lastHopUdp = flow('udp4', 5103);
const lastHopReply = flow('tcp4', 5104);
const lastHopReplyIpv6 = flow('tcp6', 5105);

/** What a server sends on its last hop: the director answers in its own name, as a router does. */
function replyOnLastHop(at: Flow): PacketStep {
  const about = replyPacket(at, { flags: 'SA', ttl: 1 });
  const answer = timeExceeded({ src: DIRECTOR_BACK[at.family], dst: serverAddress(1, at.family), about });
  return { from: 'server 1', packet: about, expect: { to: 'server 1', packet: answer, verdicts: ['answer-icmp'] } };
}

const LAST_HOP: readonly PacketCase[] = [
  {
    description: 'a request whose TTL runs out is counted and answered with time exceeded',
    configuration: service(lastHopIpv4),
    steps: [answered(lastHopIpv4, timeExceeded, { flags: 'S', ttl: 1 })],
    counters: stats(lastHopIpv4, '1 1 0 40 0'),
    connections: [connection(lastHopIpv4, '01:00', 'SYN_RECV')],
  },
  {
    description: 'a request whose hop limit runs out is counted and answered with time exceeded',
    configuration: service(lastHopIpv6),
    steps: [
      request(lastHopIpv6, { flags: 'S' }),
      answered(lastHopIpv6, timeExceeded, { flags: 'A', ttl: 1 }),
      request(lastHopIpv6, { flags: 'A' }),
    ],
    counters: stats(lastHopIpv6, '1 3 0 180 0'),
    connections: [connection(lastHopIpv6, '15:00', 'ESTABLISHED')],
  },
  {
    description: 'a datagram that comes with TTL 0 goes nowhere but back as an error',
    configuration: service(lastHopUdp),
    steps: [answered(lastHopUdp, timeExceeded, { ttl: 0 })],
    counters: stats(lastHopUdp, '1 1 0 28 0'),
    connections: [connection(lastHopUdp, '05:00', 'UDP')],
  },
  ...[lastHopReply, lastHopReplyIpv6].map(
    (at): PacketCase => ({
      description: `a reply whose time to live runs out is answered with time exceeded, over IPv${at.family}`,
      configuration: service(at),
      steps: [request(at, { flags: 'S' }), replyOnLastHop(at)],
      counters: stats(at, at.family === 4 ? '1 1 0 40 0' : '1 1 0 60 0'),
      connections: [connection(at, '01:00', 'SYN_RECV')],
    }),
  ),
];

const unroutable = flow('tcp4', 5201);

const UNREACHABLE: readonly PacketCase[] = [
  {
    description: 'without a route to the server the client gets ICMP host unreachable',
    configuration: ['-A -t 10.0.0.1:5201 -s rr', '-a -t 10.0.0.1:5201 -r 203.0.113.1:8080 -m'],
    steps: [answered(unroutable, hostUnreachable, { flags: 'S' })],
    counters: [serviceStats(unroutable, '1 1 0 40 0'), '-> 203.0.113.1:8080 1 1 0 40 0'],
    connections: ['TCP 01:00 SYN_RECV 10.7.0.1:25201 10.0.0.1:5201 203.0.113.1:8080'],
  },
  ...(['-m', '-g', '-i'] as const).map((method, i): PacketCase => {
    const at = flow('tcp4', 5202 + i);
    const { virtualPort, clientPort } = at;
    const service = `10.0.0.1:${virtualPort}`;
    return {
      description: `with ${method} packets to a server that is the director itself are the kernel's`,
      configuration: [`-A -t ${service} -s rr`, `-a -t ${service} -r ${service} ${method}`],
      steps: [
        {
          from: 'client',
          packet: requestPacket(at, { flags: 'S' }),
          expect: { to: 'kernel', verdicts: ['local'] },
          kernelAnswers: kernelReset(at, { flags: 'RA', ack: 1001 }),
        },
      ],
      counters: [serviceStats(at, '1 1 0 40 0'), `-> ${service} 1 1 0 40 0`],
      connections: [`TCP 01:00 SYN_RECV 10.7.0.1:${clientPort} ${service} ${service}`],
    };
  }),
];

export const REFUSED_CASES: readonly PacketCase[] = [...NO_SERVER, ...LAST_HOP, ...UNREACHABLE];
