// SPDX-License-Identifier: Apache-2.0
// Connections against a plain model over a long random run: opened, prolonged, moved between states, closed and expired
// in a table that fills up, so that records are used again; their servers' counts are right all along.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frame, tcp, udp } from '../../../test/support/frames.ts';
import { Random } from '../../../test/support/random.ts';
import type { Address } from '../../packet/address.ts';
import { Headers, PARSE_OK, parseFrame } from '../../packet/parse.ts';
import { SchedulingRequest } from '../schedule/scheduler.ts';
import { Server } from '../service/server.ts';
import { Service } from '../service/service.ts';
import { CONNECTIONS } from '../service/traffic.ts';
import { Sysctls } from '../sysctl.ts';
import { Connections } from './connections.ts';
import { connectionMemoryBytes, layConnectionMemory, REPLY, REQUEST, TICKS_PER_SECOND } from './layout.ts';
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_SYN_RECV } from './tcp-state.ts';

const MAXIMUM = 3000;
const CLIENTS = 6000;
const SLOT_TICKS = 8;
const NAT = { method: 'nat', weight: 1, upperThreshold: 0, lowerThreshold: 0 } as const;
const WEB = { kind: 'address', protocol: 'tcp', address: '10.0.0.1' as Address, port: 80 } as const;
const [FIN, SYN, RST, ACK] = [0x01, 0x02, 0x04, 0x10];

/** Ticks that the states live here which the events below lead to, so that the run needs no tables. */
const UDP_TICKS = 20 * TICKS_PER_SECOND;
const SYN_RECV_TICKS = 60 * TICKS_PER_SECOND;
const ESTABLISHED_TICKS = 90 * TICKS_PER_SECOND;
const CLOSE_TICKS = 10 * TICKS_PER_SECOND;

interface Live {
  readonly id: number;
  readonly server: Server;
  state: number;
  expires: number;
}

/** One packet in memory that is made anew for each client. */
class Packet {
  readonly headers = new Headers();
  readonly view: DataView;
  readonly isTcp: boolean;
  readonly request = new SchedulingRequest();

  constructor(client: number) {
    const isIpv6 = client % 3 === 0;
    this.isTcp = client % 2 === 0;
    const fields = {
      src: isIpv6 ? `2001:db8::${client.toString(16)}` : `10.7.${client >> 8}.${client & 255}`,
      dst: isIpv6 ? '2001:db8:1::1' : '10.0.0.1',
      sport: 1024 + client,
      dport: 80,
    };
    const bytes = frame(this.isTcp ? tcp({ ...fields, flags: 'S' }) : udp(fields));
    this.view = new DataView(bytes.buffer);
    assert.equal(parseFrame(this.view, 0, bytes.length, this.headers), PARSE_OK);
    const [source, destination] = isIpv6 ? [8, 24] : [12, 16];
    for (let i = 0; i < (isIpv6 ? 4 : 1); i++) {
      this.request.source[i] = this.view.getInt32(this.headers.ip + source + 4 * i);
      this.request.destination[i] = this.view.getInt32(this.headers.ip + destination + 4 * i);
    }
  }

  get kind(): number {
    return (this.headers.protocol << 8) | this.headers.family;
  }

  get ports(): number {
    return this.view.getInt32(this.headers.transport);
  }

  setFlags(flags: number): void {
    if (this.isTcp) this.view.setUint8(this.headers.transport + 13, flags);
  }
}

class Pair {
  readonly servers: Server[];
  readonly connections: Connections;
  readonly live = new Map<number, Live>();
  opened = 0;
  now: number;

  constructor(now: number) {
    this.now = now;
    const memory = layConnectionMemory(new ArrayBuffer(connectionMemoryBytes(MAXIMUM)), MAXIMUM);
    const rows: (Server | undefined)[] = [undefined];
    this.connections = new Connections(memory, { k0: 1, k1: 2 }, rows, now | 0);
    const environment = { sysctls: new Sysctls(), times: this.connections.times, random: () => 0 };
    const service = new Service(WEB, { scheduler: 'rr', schedulerFlags: [], onePacket: false }, environment);
    this.servers = ['192.168.1.1', '192.168.1.2', '2001:db8:2::1', '2001:db8:2::2'].map(
      (address, i) => new Server(i + 1, service, { address: address as Address, port: 8080 }, NAT),
    );
    rows.push(...this.servers);
    this.connections.timeouts = { tcp: 90, tcpFin: 0, udp: 20 };
  }

  open(client: number, packet: Packet, random: Random): void {
    const server = this.servers[(packet.headers.family === 4 ? 0 : 2) + random.below(2)];
    packet.setFlags(SYN);
    const id = this.connections.open(packet.request, packet.kind, packet.ports, server, server.port, 0);
    if (id === 0) {
      assert.equal(this.live.size, MAXIMUM);
      return;
    }
    this.opened++;
    this.live.set(client, { id, server, state: TCP_SYN_RECV, expires: 0 });
    this.send(client, packet, REQUEST, SYN);
  }

  /** A packet; SYN opens, ACK establishes, RST closes. */
  send(client: number, packet: Packet, direction: number, flags: number): void {
    const live = this.#of(client);
    packet.setFlags(flags);
    this.connections.advance(live.id, direction, live.server, packet.view, packet.headers, this.now | 0);
    let ticks = UDP_TICKS;
    if (packet.isTcp) {
      if (flags === ACK && live.state === TCP_SYN_RECV) live.state = TCP_ESTABLISHED;
      // A client's RST does not end a connection that its server has not answered yet.
      if (flags === RST && (live.state !== TCP_SYN_RECV || direction === REPLY)) live.state = TCP_CLOSE;
      ticks = { [TCP_SYN_RECV]: SYN_RECV_TICKS, [TCP_ESTABLISHED]: ESTABLISHED_TICKS }[live.state] ?? CLOSE_TICKS;
    }
    live.expires = this.now + ticks;
  }

  close(client: number): void {
    this.connections.close(this.#of(client).id);
    this.live.delete(client);
  }

  lookup({ headers, view }: Packet): number {
    const { table } = this.connections;
    const kind = (headers.protocol << 8) | headers.family;
    const ports = view.getInt32(headers.transport);
    if (headers.family === 6) return table.lookupIpv6(kind, view, headers.ip + 8, ports);
    const [source, destination] = [view.getInt32(headers.ip + 12), view.getInt32(headers.ip + 16)];
    return table.lookupIpv4(kind, source, destination, ports, table.hashIpv4(kind, source, destination, ports));
  }

  /** Lets time pass and forgets what the table has forgotten, each neither early nor late. */
  advance(ticks: number, packets: readonly Packet[], budget: number): void {
    this.now += ticks;
    const before = this.connections.table.count;
    let ended = 0;
    // A call that ended nothing may have moved as many timers as it was allowed to.
    for (let idle = 0; idle <= MAXIMUM / budget + 1; ) {
      const count = this.connections.expire(this.now | 0, budget);
      assert.ok(count <= budget);
      ended += count;
      idle = count === 0 ? idle + 1 : 0;
    }
    assert.equal(this.connections.table.count, before - ended);
    for (const [client, live] of this.live) {
      const isThere = this.lookup(packets[client]) >> 1 === live.id;
      if (live.expires > this.now) assert.ok(isThere, `client ${client} expired ${live.expires - this.now} early`);
      if (live.expires <= this.now - SLOT_TICKS) assert.ok(!isThere, `client ${client} is late`);
      if (!isThere) this.live.delete(client);
      else this.#checkSecondsLeft(live);
    }
    this.check();
  }

  check(): void {
    assert.equal(this.connections.table.count, this.live.size);
    for (const server of this.servers) {
      const states = [...this.live.entries()].filter(([, live]) => live.server === server);
      const active = states.filter(([client, { state }]) => client % 2 === 0 && state !== TCP_CLOSE).length;
      assert.deepEqual([server.active, server.total], [active, states.length]);
    }
    const counted = this.servers.reduce((sum, { counters }) => sum + counters[CONNECTIONS], 0);
    assert.equal(counted, this.opened);
  }

  #checkSecondsLeft({ id, expires }: Live): void {
    const seconds = Math.max(0, Math.floor((expires - this.now) / TICKS_PER_SECOND));
    assert.equal(this.connections.secondsLeft(id, this.now | 0), seconds);
  }

  #of(client: number): Live {
    const live = this.live.get(client);
    assert.ok(live !== undefined);
    return live;
  }
}

const start = fc.constantFrom(0, 2 ** 31 - 5000, 2 ** 32 - 5000);

test('connections live as long as their packets say, and their servers count them', () => {
  const packets = Array.from({ length: CLIENTS }, (_, client) => new Packet(client));
  let fullest = 0;
  fc.assert(
    fc.property(fc.integer(), start, fc.integer({ min: 1, max: 200 }), (seed, first, budget) => {
      const random = new Random(seed);
      const pair = new Pair(first);
      for (let step = 0; step < 60; step++) {
        const busy = random.below(400);
        for (let i = 0; i < busy; i++) {
          const client = random.below(CLIENTS);
          const packet = packets[client];
          const direction = random.pick([REQUEST, REPLY]);
          if (!pair.live.has(client)) pair.open(client, packet, random);
          else if (random.chance(0.1)) pair.close(client);
          else pair.send(client, packet, direction, random.pick([ACK, ACK, ACK, RST]));
        }
        fullest = Math.max(fullest, pair.live.size);
        pair.advance(random.pick([1, 10, 100, 1000, 3000]), packets, budget);
      }
      pair.advance(ESTABLISHED_TICKS + SLOT_TICKS, packets, budget);
      assert.equal(pair.live.size, 0);
    }),
    { numRuns: 5 },
  );
  assert.ok(fullest > 1000, `never more than ${fullest} connections: the run was too small`);
});

test('a full table takes no connection and counts none', () => {
  const random = new Random(1);
  const pair = new Pair(0);
  for (let client = 0; client < MAXIMUM; client++) pair.open(client, new Packet(client), random);
  pair.check();
  pair.open(MAXIMUM, new Packet(MAXIMUM), random);
  pair.check();
  assert.equal(pair.opened, MAXIMUM);
  pair.close(7);
  pair.open(MAXIMUM, new Packet(MAXIMUM), random);
  pair.check();
  assert.equal(pair.opened, MAXIMUM + 1);
});

test('one call ends at most as many connections as it may, and moves no more timers than that', () => {
  const random = new Random(1);
  const pair = new Pair(0);
  const packet = (client: number): Packet => new Packet(2 * client + 1);
  // Timers of one slot come up last in, first out: always nine that were prolonged, then one that is due.
  for (let client = 99; client >= 0; client--) pair.open(2 * client + 1, packet(client), random);
  pair.now = UDP_TICKS / 2;
  for (let client = 0; client < 100; client++) {
    if (client % 10 !== 9) pair.send(2 * client + 1, packet(client), REQUEST, 0);
  }
  const now = UDP_TICKS + SLOT_TICKS;
  assert.equal(pair.connections.expire(now, 9), 1);
  assert.equal(pair.connections.expire(now, 20), 2);
  assert.equal(pair.connections.expire(now, 1000), 7);
  assert.equal(pair.connections.expire(now, 1000), 0);
  assert.equal(pair.connections.table.count, 90);
});

test('a closed connection is over for a SYN, an open one and a UDP one are not', () => {
  const random = new Random(1);
  const pair = new Pair(0);
  const [tcpPacket, udpPacket] = [new Packet(2), new Packet(3)];
  pair.open(2, tcpPacket, random);
  pair.open(3, udpPacket, random);
  const isOver = (client: number): boolean => pair.connections.isOver(pair.live.get(client)?.id ?? 0, 1);
  assert.deepEqual([isOver(2), isOver(3)], [false, false]);
  pair.send(2, tcpPacket, REPLY, RST);
  assert.deepEqual([isOver(2), isOver(3)], [true, false]);
});

test('a connection with FIN from both sides is over', () => {
  const random = new Random(1);
  const pair = new Pair(0);
  const packet = new Packet(2);
  pair.open(2, packet, random);
  const { id, server } = pair.live.get(2) as Live;
  for (const [direction, flags] of [
    [REQUEST, ACK],
    [REQUEST, FIN | ACK],
    [REPLY, FIN | ACK],
  ]) {
    assert.equal(pair.connections.isOver(id, 1), false);
    packet.setFlags(flags);
    pair.connections.advance(id, direction, server, packet.view, packet.headers, 0);
  }
  assert.equal(pair.connections.isOver(id, 1), true);
});

test('timeouts that are 0 stay, others are taken', () => {
  const { connections } = new Pair(0);
  assert.deepEqual(connections.timeouts, { tcp: 90, tcpFin: 120, udp: 20 });
  connections.timeouts = { tcp: 0, tcpFin: 7, udp: 0 };
  assert.deepEqual(connections.timeouts, { tcp: 90, tcpFin: 7, udp: 20 });
});
