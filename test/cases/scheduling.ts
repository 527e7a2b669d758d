// SPDX-License-Identifier: Apache-2.0
// Packet cases: which server gets a connection, and what becomes of connections when servers change. Sequences were
// captured from Linux 6.1.

import type { PacketCase, PacketStep } from './case.ts';
import {
  connection,
  type Flow,
  flow,
  kernelReset,
  reply,
  replyPacket,
  request,
  requestPacket,
  serverName,
  serverStats,
  service,
  serviceStats,
  stats,
  virtualName,
} from './flow.ts';

/** A flow of its own for each connection to the same service. */
function flows(kind: 'tcp4' | 'tcp6' | 'udp4', port: number, servers: readonly number[]): Flow[] {
  return servers.map((server, i) => flow(kind, port, { server, clientPort: 30000 + (port - 4000) * 20 + i }));
}

/** New connections go to these servers in turn. */
function sequence(
  scheduler: string,
  weights: readonly number[],
  kind: 'tcp4' | 'tcp6' | 'udp4',
  port: number,
  picks: readonly number[],
): PacketCase {
  const all = flows(kind, port, picks);
  const bytes = { tcp4: 40, tcp6: 60, udp4: 28 }[kind];
  const row = (count: number): string => `${count} ${count} 0 ${count * bytes} 0`;
  const perServer = weights.map((_, i) => picks.filter((pick) => pick === i + 1).length);
  return {
    description: `${scheduler} with weights ${weights} picks servers ${picks.join(' ')} (${kind})`,
    configuration: service(all[0], scheduler, weights),
    steps: all.map((at) => request(at, { flags: 'S' })),
    counters: [
      serviceStats(all[0], row(picks.length)),
      ...perServer.map((count, i) => serverStats({ ...all[0], server: i + 1 }, row(count))),
    ],
    connections: all.map((at) =>
      kind === 'udp4' ? connection(at, '05:00', 'UDP') : connection(at, '01:00', 'SYN_RECV'),
    ),
  };
}

const SEQUENCES: readonly PacketCase[] = [
  sequence('rr', [1, 1, 1], 'tcp4', 4001, [3, 2, 1, 3, 2, 1]),
  sequence('rr', [1, 1, 1], 'tcp6', 4002, [3, 2, 1, 3, 2, 1]),
  sequence('rr', [1, 1], 'udp4', 4003, [2, 1, 2, 1]),
  sequence('rr', [1, 0, 1], 'tcp4', 4004, [3, 1, 3, 1]),
  sequence('wrr', [3, 1, 2], 'tcp4', 4005, [3, 2, 1, 1, 3, 1, 3, 2, 1, 1, 3, 1]),
  sequence('wrr', [4, 2, 6], 'tcp6', 4006, [3, 2, 1, 3, 3, 1, 3, 2, 1, 3, 3, 1]),
  sequence('wrr', [7, 3, 0], 'tcp4', 4007, [2, 1, 1, 1, 1, 1, 2, 1, 2, 1]),
];

/** Two servers, one connection to each: server 2 first. */
const [onSecond, onFirst] = flows('tcp4', 4010, [2, 1]);
const quiesced = flows('tcp4', 4011, [1, 1]);
const removed = flow('tcp4', 4012);
const returned = flow('tcp4', 4013);
const replaced = flows('tcp4', 4014, [2, 1, 1]);
const serviceGone = flow('tcp4', 4015);
const serviceKept = flow('tcp4', 4016);
const lastServiceGone = flow('tcp6', 4017);

const edit = (at: Flow, weight: number): string => `-e -t ${virtualName(at)} -r ${serverName(at)} -m -w ${weight}`;
const removal = (at: Flow): string => `-d -t ${virtualName(at)} -r ${serverName(at)}`;
const addition = (at: Flow): string => `-a -t ${virtualName(at)} -r ${serverName(at)} -m -w 1`;

/** The connection's server is not in the service any more. */
function toNobody(at: Flow, flags: string): PacketStep {
  const packet = requestPacket(at, { flags });
  return { from: 'client', packet, expect: { to: 'nobody', verdicts: ['drop-server-gone'] } };
}

const CHANGES: readonly PacketCase[] = [
  {
    description: 'the packets of a connection stay with its server, whatever the scheduler would pick next',
    configuration: service(onFirst, 'rr', [1, 1]),
    steps: [
      request(onSecond, { flags: 'S' }),
      request(onFirst, { flags: 'S' }),
      request(onSecond, { flags: 'A' }),
      request(onSecond, { flags: 'PA', payload: new Uint8Array(10) }),
      request(onFirst, { flags: 'A' }),
    ],
    counters: [
      serviceStats(onFirst, '2 5 0 210 0'),
      serverStats(onFirst, '1 2 0 80 0'),
      serverStats(onSecond, '1 3 0 130 0'),
    ],
    connections: [onFirst, onSecond].map((at) => connection(at, '15:00', 'ESTABLISHED')),
  },
  {
    description: 'a server of weight 0 gets no new connection and keeps those that it has',
    configuration: service(quiesced[0]),
    steps: [
      request(quiesced[0], { flags: 'S' }),
      { ipvsadm: edit(quiesced[0], 0) },
      request(quiesced[0], { flags: 'A' }),
      reply(quiesced[0], { flags: 'A' }),
      { ipvsadm: edit(quiesced[0], 1) },
      request(quiesced[1], { flags: 'S' }),
    ],
    counters: stats(quiesced[0], '2 3 1 120 40'),
    connections: [connection(quiesced[0], '15:00', 'ESTABLISHED'), connection(quiesced[1], '01:00', 'SYN_RECV')],
  },
  {
    description: 'requests to a server that was removed are dropped and counted, its answers still pass',
    configuration: service(removed),
    steps: [
      request(removed, { flags: 'S' }),
      { ipvsadm: removal(removed) },
      toNobody(removed, 'A'),
      reply(removed, { flags: 'SA' }),
    ],
    counters: [serviceStats(removed, '1 1 0 40 0')],
    connections: [connection(removed, '01:00', 'SYN_RECV')],
  },
  {
    description: 'a server that comes back takes its connections and its counters up again',
    configuration: service(returned),
    steps: [
      request(returned, { flags: 'S' }),
      { ipvsadm: removal(returned) },
      toNobody(returned, 'A'),
      { ipvsadm: addition(returned) },
      request(returned, { flags: 'A' }),
    ],
    counters: stats(returned, '1 2 0 80 0'),
    connections: [connection(returned, '15:00', 'ESTABLISHED')],
  },
  {
    description: 'new connections go to the servers that are left',
    configuration: service(replaced[0], 'rr', [1, 1]),
    steps: [
      request(replaced[0], { flags: 'S' }),
      { ipvsadm: removal(replaced[0]) },
      request(replaced[1], { flags: 'S' }),
      request(replaced[2], { flags: 'S' }),
    ],
    counters: [serviceStats(replaced[1], '3 3 0 120 0'), serverStats(replaced[1], '2 2 0 80 0')],
    connections: replaced.map((at) => connection(at, '01:00', 'SYN_RECV')),
  },
  {
    description: 'a connection outlives its service: its requests reach no server, its answers still pass',
    configuration: [...service(serviceGone), ...service(serviceKept, 'rr', [])],
    steps: [
      request(serviceGone, { flags: 'S' }),
      { ipvsadm: `-D -t ${virtualName(serviceGone)}` },
      toNobody(serviceGone, 'A'),
      reply(serviceGone, { flags: 'SA' }),
    ],
    counters: [serviceStats(serviceKept, '0 0 0 0 0')],
    connections: [connection(serviceGone, '01:00', 'SYN_RECV')],
  },
  {
    description: 'without any service of its family a packet is the kernel’s, also one of a connection',
    configuration: service(lastServiceGone),
    steps: [
      request(lastServiceGone, { flags: 'S' }),
      { ipvsadm: `-D -t ${virtualName(lastServiceGone)}` },
      {
        from: 'client',
        packet: requestPacket(lastServiceGone, { flags: 'A', ack: 4711 }),
        expect: { to: 'kernel' },
        kernelAnswers: kernelReset(lastServiceGone, { flags: 'R', seq: 4711 }),
      },
    ],
    counters: [],
    connections: [connection(lastServiceGone, '01:00', 'SYN_RECV')],
  },
];

const closed = flow('tcp4', 4020);
const closedToSecond = { ...closed, server: 2 };
const early = flow('tcp4', 4024, { server: 2 });
const closing = flow('tcp4', 4021);
const shortLived = flow('udp4', 4022);
const zeroed = flow('udp4', 4023);

const REUSE: readonly PacketCase[] = [
  {
    description: 'a SYN on a closed connection starts a new one, on the next server',
    configuration: service(closed, 'rr', [1, 1]),
    steps: [
      request(closedToSecond, { flags: 'S' }),
      request(closedToSecond, { flags: 'A' }),
      request(closedToSecond, { flags: 'R' }),
      request(closed, { flags: 'S' }),
      reply(closed, { flags: 'SA' }),
    ],
    counters: [
      serviceStats(closed, '2 4 1 160 40'),
      serverStats(closed, '1 1 1 40 40'),
      serverStats(closedToSecond, '1 3 0 120 0'),
    ],
    connections: [connection(closed, '01:00', 'SYN_RECV')],
  },
  {
    description: 'a RST before the handshake is over does not close the connection',
    configuration: service(early, 'rr', [1, 1]),
    steps: [request(early, { flags: 'S' }), request(early, { flags: 'R' }), request(early, { flags: 'S' })],
    counters: [
      serviceStats(early, '1 3 0 120 0'),
      serverStats(early, '1 3 0 120 0'),
      serverStats({ ...early, server: 1 }, '0 0 0 0 0'),
    ],
    connections: [connection(early, '01:00', 'SYN_RECV')],
  },
  {
    description: 'a SYN on a connection that only the server has closed stays on it',
    configuration: service(closing, 'rr', [1]),
    steps: [
      request(closing, { flags: 'S' }),
      request(closing, { flags: 'A' }),
      reply(closing, { flags: 'FA' }),
      request(closing, { flags: 'S', seq: 5000 }),
    ],
    counters: stats(closing, '1 3 1 120 40'),
    connections: [connection(closing, '01:00', 'SYN_RECV')],
  },
  {
    description: 'a connection that expired is gone, and what its server still sends goes to the kernel',
    configuration: ['--set 0 0 1', ...service(shortLived)],
    steps: [
      request(shortLived),
      { expireAfterSeconds: 2 },
      {
        ...reply(shortLived),
        expect: { to: 'kernel' },
        // A router sends it on as it is.
        kernelAnswers: { to: 'client', packet: replyPacket(shortLived, { ttl: 63 }) },
      },
      request(shortLived),
    ],
    counters: stats(shortLived, '2 2 0 56 0'),
    connections: [connection(shortLived, '00:01', 'UDP')],
  },
  {
    description: 'counters start again when they are zeroed',
    configuration: service(zeroed),
    steps: [request(zeroed), { ipvsadm: `-Z -u ${virtualName(zeroed)}` }, reply(zeroed), request(zeroed)],
    counters: stats(zeroed, '0 1 1 28 28'),
    connections: [connection(zeroed, '05:00', 'UDP')],
  },
];

export const SCHEDULING_CASES: readonly PacketCase[] = [...SEQUENCES, ...CHANGES, ...REUSE];
