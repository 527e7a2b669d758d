// SPDX-License-Identifier: Apache-2.0
// The engine over two memory links, clients on one and servers on the other: packets leave where they should, with the
// right addresses, once their neighbours are known; and whatever comes in, no frame is ever lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumFault, fromHex, hex, tcp, udp } from '../../../test/support/frames.ts';
import { Random } from '../../../test/support/random.ts';
import { connectionMemoryBytes, layConnectionMemory } from '../../lvs/connection/layout.ts';
import { Director } from '../../lvs/director.ts';
import { parseServerKey, parseServiceKey } from '../../lvs/service-key.ts';
import { VERDICT_NAMES } from '../../lvs/verdict.ts';
import { type Address, type AddressWords, addressFamily, addressWords } from '../../packet/address.ts';
import { type Adjacency, AdjacencyTable } from './adjacency.ts';
import { EGRESS_NAMES, Engine } from './engine.ts';
import { FramePool } from './frame-pool.ts';
import { FRAME_SIZE } from './link.ts';
import { LocalDataPlane } from './local.ts';
import { MemoryLink } from './memory-link.ts';
import type { EngineRoute } from './route-table.ts';

const FRAMES = 1024;
/** Interface numbers and Ethernet addresses; the director's own end with its interface number. */
const OUTSIDE = 1;
const INSIDE = 2;
const CLIENT_MAC = '02000000000c';
const SERVER_MAC = '02000000005e';
const OUTSIDE_MAC = '020000000001';
const INSIDE_MAC = '020000000002';

const REQUEST = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const REPLY = { src: '192.168.1.1', dst: '10.7.0.1', sport: 8080, dport: 4000 };
const REQUEST6 = { src: '2001:db8::c', dst: '2001:db8::1', sport: 4000, dport: 80 };
const REPLY6 = { src: '2001:db8:1::1', dst: '2001:db8::c', sport: 8080, dport: 4000 };

class Stage {
  readonly pool = new FramePool(FRAMES);
  readonly asked: Adjacency['words'][] = [];
  readonly adjacencies = new AdjacencyTable((_index, _family, words) => this.asked.push(words));
  readonly director: Director;
  readonly engine: Engine;
  readonly outside: MemoryLink;
  readonly inside: MemoryLink;
  /** IP packets that the kernel got. */
  readonly kernel: string[] = [];
  kernelTakes = true;
  now = 0;

  constructor(options: { mtu?: number; capacity?: number; maxConnections?: number } = {}) {
    const bytes = new Uint8Array(FRAMES * FRAME_SIZE);
    const maximum = options.maxConnections ?? 1000;
    const memory = layConnectionMemory(new ArrayBuffer(connectionMemoryBytes(maximum)), maximum);
    this.director = new Director({ memory, seed: { k0: 1, k1: 2 }, now: 0 });
    this.engine = new Engine({
      director: this.director,
      frames: { view: new DataView(bytes.buffer), bytes },
      adjacencies: this.adjacencies,
      kernel: {
        inject: (offset, length) => {
          if (this.kernelTakes) this.kernel.push(hex(bytes.subarray(offset, offset + length)));
          return this.kernelTakes;
        },
      },
    });
    const link = (name: string, index: number, mac: string): MemoryLink => {
      const { pool } = this;
      const capacity = options.capacity === undefined ? {} : { capacity: options.capacity };
      const made = new MemoryLink({ name, index, pool, bytes, ...capacity });
      this.engine.links.push(made);
      this.adjacencies.setLink(index, { link: made, mac: fromHex(mac), mtu: options.mtu ?? 1500 });
      return made;
    };
    this.outside = link('outside', OUTSIDE, OUTSIDE_MAC);
    this.inside = link('inside', INSIDE, INSIDE_MAC);
    this.adjacencies.routes.replace([
      route('10.7.0.0', 16, OUTSIDE),
      route('10.8.0.0', 16, 9),
      route('10.9.0.1', 32, 0, 'local'),
      route('192.168.1.0', 24, INSIDE),
      route('2001:db8::', 64, OUTSIDE),
      route('2001:db8:1::', 64, INSIDE),
    ]);
    const dataplane = new LocalDataPlane(this.director, () => this.now);
    const nat = { method: 'nat', weight: 1, upperThreshold: 0, lowerThreshold: 0 } as const;
    for (const [text, target] of [
      ['10.0.0.1:80', '192.168.1.1:8080'],
      ['[2001:db8::1]:80', '[2001:db8:1::1]:8080'],
    ]) {
      for (const protocol of ['tcp', 'udp']) {
        const service = parseServiceKey(`${protocol}:${text}`)!;
        const options = { scheduler: 'rr', schedulerFlags: [], onePacket: false };
        dataplane.applyNow({ type: 'add-service', service, options });
        dataplane.applyNow({ type: 'add-server', service, server: parseServerKey(target)!, options: nat });
      }
    }
  }

  /** The kernel tells of a neighbour, as the mirror does it. */
  learn(index: number, text: string, mac: string): void {
    const { family, words } = end(text);
    const adjacency = this.adjacencies.setNeighbour(index, family, words, fromHex(mac), false);
    if (adjacency !== undefined) this.engine.release(adjacency);
  }

  fail(index: number, text: string): void {
    const { family, words } = end(text);
    const adjacency = this.adjacencies.deleteNeighbour(index, family, words);
    if (adjacency !== undefined) this.engine.release(adjacency);
  }

  learnAll(): void {
    for (const client of ['10.7.0.1', '2001:db8::c']) this.learn(OUTSIDE, client, CLIENT_MAC);
    for (const server of ['192.168.1.1', '2001:db8:1::1']) this.learn(INSIDE, server, SERVER_MAC);
  }

  /** Forgets the ways that were found, as after a change of routes. */
  forget(): void {
    this.adjacencies.forget((adjacency) => this.engine.discard(adjacency));
  }

  turn(): number {
    return this.engine.turn(this.now);
  }

  /** Delivers an IP packet on a link and takes one turn. */
  send(link: MemoryLink, packet: Uint8Array): void {
    link.deliver(ethernet(packet));
    this.turn();
  }

  drops(): Record<string, number> {
    const entries = EGRESS_NAMES.map((name, i) => [name, this.engine.egress[i]] as const);
    return Object.fromEntries(entries.filter(([, count]) => count > 0));
  }

  verdict(name: string): number {
    return this.director.verdicts[VERDICT_NAMES.indexOf(name)];
  }
}

function end(text: string): { family: 4 | 6; words: AddressWords } {
  return { family: addressFamily(text as Address), words: addressWords(text as Address) };
}

function route(
  text: string,
  prefixLength: number,
  interfaceIndex: number,
  kind: EngineRoute['kind'] = 'unicast',
): EngineRoute {
  const { family, words: destination } = end(text);
  return { family, destination, prefixLength, kind, metric: 0, interfaceIndex };
}

/** The IP packet as a frame to the director. */
function ethernet(packet: Uint8Array): Uint8Array {
  const type = packet[0] >>> 4 === 6 ? '86dd' : '0800';
  return fromHex(`0200000000dd0200000000ee${type}${hex(packet)}`);
}

/** Ethernet header and addresses of a frame that was sent. */
function heads(link: MemoryLink): string[] {
  return link.sent.map((frame) => hex(frame.subarray(0, 14)));
}

test('requests leave to the server and replies to the client, over the right link with the right addresses', () => {
  const stage = new Stage();
  stage.learnAll();
  for (const [request, reply, type] of [
    [REQUEST, REPLY, '0800'],
    [REQUEST6, REPLY6, '86dd'],
  ] as const) {
    stage.inside.sent.length = 0;
    stage.outside.sent.length = 0;
    stage.send(stage.outside, tcp({ ...request, flags: 'S' }));
    stage.send(stage.inside, tcp({ ...reply, flags: 'SA' }));
    stage.send(stage.inside, tcp({ ...reply, flags: 'A' }));
    assert.deepEqual(heads(stage.inside), [`${SERVER_MAC}${INSIDE_MAC}${type}`]);
    assert.deepEqual(heads(stage.outside), new Array(2).fill(`${CLIENT_MAC}${OUTSIDE_MAC}${type}`));
    for (const frame of [...stage.inside.sent, ...stage.outside.sent]) {
      assert.equal(checksumFault(frame.subarray(14)), undefined);
    }
    const expected = tcp({ ...request, dst: reply.src, dport: 8080, flags: 'S', ttl: 63 });
    assert.deepEqual(stage.inside.sent[0].slice(14), expected);
  }
  assert.equal(stage.pool.free, FRAMES);
  assert.deepEqual(stage.drops(), {});
});

test('an answer to the client leaves where it came from', () => {
  const stage = new Stage();
  stage.learnAll();
  stage.send(stage.outside, tcp({ ...REQUEST, flags: 'S', ttl: 1 }));
  stage.send(stage.outside, tcp({ ...REQUEST6, flags: 'S', ttl: 1 }));
  assert.deepEqual(heads(stage.outside), [`${CLIENT_MAC}${OUTSIDE_MAC}0800`, `${CLIENT_MAC}${OUTSIDE_MAC}86dd`]);
  for (const frame of stage.outside.sent) assert.equal(checksumFault(frame.subarray(14)), undefined);
  assert.equal(stage.verdict('answer-icmp'), 2);
});

test('padding of short frames does not leave again', () => {
  const stage = new Stage();
  stage.learnAll();
  stage.outside.deliver(Uint8Array.from([...ethernet(tcp({ ...REQUEST, flags: 'S' })), 0, 0, 0, 0, 0, 0]));
  stage.turn();
  assert.equal(stage.inside.sent[0].length, 54);
});

test('what comes for an unknown neighbour waits and leaves in order once it is known', () => {
  const stage = new Stage();
  for (let i = 0; i < 5; i++) stage.send(stage.outside, udp({ ...REQUEST, sport: 4000 + i }));
  assert.equal(stage.inside.sent.length, 0);
  assert.equal(stage.pool.free, FRAMES - 5);
  assert.deepEqual(stage.asked, [end('192.168.1.1').words]);
  stage.learn(INSIDE, '192.168.1.1', SERVER_MAC);
  assert.deepEqual(heads(stage.inside), new Array(5).fill(`${SERVER_MAC}${INSIDE_MAC}0800`));
  const ports = stage.inside.sent.map((frame) => (frame[34] << 8) | frame[35]);
  assert.deepEqual(ports, [4000, 4001, 4002, 4003, 4004]);
  assert.equal(stage.pool.free, FRAMES);
  assert.deepEqual(stage.drops(), {});
});

test('what waits for a neighbour that does not answer or is forgotten is dropped and counted, the next one waits anew', () => {
  const stage = new Stage();
  const send = (): void => stage.send(stage.outside, udp(REQUEST));
  send();
  stage.fail(INSIDE, '192.168.1.1');
  assert.deepEqual(stage.drops(), { 'drop-neighbour-unresolved': 1 });
  send();
  assert.equal(stage.pool.free, FRAMES - 1);
  assert.equal(stage.asked.length, 2);
  stage.forget();
  assert.deepEqual(stage.drops(), { 'drop-neighbour-unresolved': 2 });
  assert.equal(stage.pool.free, FRAMES);
});

test('no more than a hundred packets wait for a neighbour: the oldest gives way', () => {
  const stage = new Stage();
  for (let i = 0; i < 130; i++) stage.send(stage.outside, udp({ ...REQUEST, sport: 4000 + i }));
  assert.deepEqual(stage.drops(), { 'drop-neighbour-unresolved': 30 });
  stage.learn(INSIDE, '192.168.1.1', SERVER_MAC);
  const ports = stage.inside.sent.map((frame) => (frame[34] << 8) | frame[35]);
  assert.deepEqual(
    ports,
    Array.from({ length: 100 }, (_, i) => 4030 + i),
  );
  assert.equal(stage.pool.free, FRAMES);
});

test('silent neighbours never hold more than an eighth of all frames, others go on', () => {
  const stage = new Stage();
  stage.learnAll();
  const clients = Array.from({ length: 200 }, (_, i) => `10.7.1.${i}`);
  for (const client of clients) {
    stage.send(stage.outside, udp({ ...REQUEST, src: client }));
    stage.send(stage.inside, udp({ ...REPLY, dst: client }));
  }
  assert.equal(stage.pool.free, FRAMES - FRAMES / 8);
  assert.deepEqual(stage.drops(), { 'drop-neighbour-unresolved': 200 - FRAMES / 8 });
  stage.send(stage.outside, udp(REQUEST));
  stage.send(stage.inside, udp(REPLY));
  assert.equal(stage.outside.sent.length, 1);
  // Those that wait no more make room; those that were refused are asked for with the next look at what is in use.
  for (const client of clients.slice(0, 100)) stage.learn(OUTSIDE, client, CLIENT_MAC);
  assert.equal(stage.outside.sent.length, 101);
  assert.equal(stage.pool.free, FRAMES - FRAMES / 8 + 100);
  stage.asked.length = 0;
  stage.adjacencies.confirm();
  assert.equal(stage.asked.length, 100);
  stage.send(stage.inside, udp({ ...REPLY, dst: '10.7.1.199' }));
  stage.learn(OUTSIDE, '10.7.1.199', CLIENT_MAC);
  assert.equal(stage.outside.sent.length, 102);
  stage.forget();
  assert.equal(stage.pool.free, FRAMES);
});

test('the way of replies follows changes of neighbours and routes', () => {
  const stage = new Stage();
  stage.learnAll();
  stage.send(stage.outside, tcp({ ...REQUEST, flags: 'S' }));
  const reply = (): void => stage.send(stage.inside, tcp({ ...REPLY, flags: 'A' }));
  reply();
  stage.learn(OUTSIDE, '10.7.0.1', '0200000000cc');
  reply();
  stage.fail(OUTSIDE, '10.7.0.1');
  reply();
  assert.deepEqual(heads(stage.outside), [`${CLIENT_MAC}${OUTSIDE_MAC}0800`, `0200000000cc${OUTSIDE_MAC}0800`]);
  assert.equal(stage.pool.free, FRAMES - 1, 'the last reply waits');
  stage.adjacencies.routes.replace([route('10.0.0.0', 8, INSIDE)]);
  stage.forget();
  stage.learn(INSIDE, '10.7.0.1', CLIENT_MAC);
  stage.inside.sent.length = 0;
  reply();
  assert.deepEqual(heads(stage.inside), [`${CLIENT_MAC}${INSIDE_MAC}0800`]);
  assert.equal(stage.pool.free, FRAMES);
});

test('what is not the director’s goes to the kernel unchanged, or is counted when the kernel does not take it', () => {
  const stage = new Stage();
  const packet = tcp({ ...REQUEST, dport: 81, flags: 'S' });
  stage.send(stage.outside, packet);
  assert.deepEqual(stage.kernel, [hex(packet)]);
  assert.deepEqual(stage.drops(), {});
  stage.kernelTakes = false;
  stage.send(stage.outside, packet);
  assert.deepEqual(stage.drops(), { 'drop-kernel-refused': 1 });
  assert.equal(stage.pool.free, FRAMES);
});

test('what has no way out is dropped and counted by its reason', () => {
  const stage = new Stage();
  stage.learnAll();
  for (const [i, src] of ['10.99.0.1', '10.8.0.1', '10.9.0.1'].entries()) {
    stage.send(stage.outside, tcp({ ...REQUEST, src, sport: 5000 + i, flags: 'S' }));
    stage.send(stage.inside, tcp({ ...REPLY, dst: src, dport: 5000 + i, flags: 'SA' }));
  }
  assert.deepEqual(stage.drops(), { 'drop-no-route': 1, 'drop-no-link': 1, 'drop-local-destination': 1 });
  assert.equal(stage.inside.sent.length, 3);
  assert.equal(stage.pool.free, FRAMES);
});

test('a packet longer than the device takes is dropped, one byte less leaves', () => {
  const stage = new Stage({ mtu: 100 });
  stage.learnAll();
  const send = (payload: number): void =>
    stage.send(stage.outside, udp({ ...REQUEST, payload: new Uint8Array(payload) }));
  send(72);
  send(73);
  assert.deepEqual(
    stage.inside.sent.map((frame) => frame.length),
    [114],
  );
  assert.deepEqual(stage.drops(), { 'drop-mtu': 1 });
  assert.equal(stage.pool.free, FRAMES);
});

test('what a full device does not take is counted, the next turn sends again', () => {
  const stage = new Stage({ capacity: 3 });
  stage.learnAll();
  for (let i = 0; i < 5; i++) stage.outside.deliver(ethernet(udp({ ...REQUEST, sport: 4000 + i })));
  assert.equal(stage.turn(), 5);
  assert.equal(stage.inside.sent.length, 3);
  assert.equal(stage.inside.txDropped, 2);
  assert.deepEqual(stage.drops(), { 'drop-tx-full': 2 });
  stage.send(stage.outside, udp(REQUEST));
  assert.equal(stage.inside.sent.length, 4);
  assert.equal(stage.pool.free, FRAMES);
});

test('a turn takes one batch of each link and says how many packets came', () => {
  const stage = new Stage();
  stage.learnAll();
  for (let i = 0; i < 100; i++) stage.outside.deliver(ethernet(udp({ ...REQUEST, sport: 4000 + i })));
  stage.inside.deliver(ethernet(tcp({ ...REPLY, flags: 'A' })));
  assert.deepEqual([stage.turn(), stage.turn(), stage.turn()], [65, 36, 0]);
  assert.equal(stage.inside.sent.length, 100);
});

test('time passes with the turns: connections expire without any packet', () => {
  const stage = new Stage();
  stage.learnAll();
  stage.send(stage.outside, tcp({ ...REQUEST, flags: 'S' }));
  assert.equal(stage.director.connections.table.count, 1);
  stage.now = 61 * 100;
  stage.turn();
  assert.equal(stage.director.connections.table.count, 0);
});

test('a turn that leaves connections to end says so, until they are ended', () => {
  const stage = new Stage({ maxConnections: 2000 });
  stage.learnAll();
  for (let sport = 1; sport <= 1500; sport++) stage.send(stage.outside, udp({ ...REQUEST, sport }));
  assert.equal(stage.engine.lags, false);
  stage.now = 400 * 100;
  stage.turn();
  assert.equal(stage.engine.lags, true);
  stage.turn();
  assert.deepEqual([stage.engine.lags, stage.director.connections.table.count], [false, 0]);
});

/** A packet to or from everybody there is, whole or damaged. */
function randomFrame(random: Random): Uint8Array {
  const port = 4000 + random.below(4);
  const client = random.pick(['10.7.0.1', '10.7.0.2', '10.8.0.1', '10.9.0.1', '10.99.0.1', '2001:db8::c']);
  const isIpv6 = client.includes(':');
  const [vip, server] = isIpv6 ? ['2001:db8::1', '2001:db8:1::1'] : ['10.0.0.1', '192.168.1.1'];
  const fields = random.chance(0.6)
    ? { src: client, dst: vip, sport: port, dport: random.pick([80, 80, 80, 81]) }
    : { src: server, dst: client, sport: 8080, dport: port };
  const rest = { ttl: random.pick([64, 64, 64, 1]), payload: new Uint8Array(random.pick([0, 10, 200])) };
  const flags = random.pick(['S', 'A', 'FA', 'R']);
  const bytes = ethernet(random.chance(0.5) ? tcp({ ...fields, ...rest, flags }) : udp({ ...fields, ...rest }));
  if (random.chance(0.2)) bytes[random.below(bytes.length)] = random.below(256);
  return random.chance(0.1) ? bytes.slice(0, random.below(bytes.length)) : bytes;
}

test('no frame is ever lost or used twice, whatever comes in and whatever neighbours do', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const stage = new Stage({ mtu: 150, capacity: 20 });
      const neighbours: readonly [number, string][] = [
        [OUTSIDE, '10.7.0.1'],
        [OUTSIDE, '10.7.0.2'],
        [OUTSIDE, '2001:db8::c'],
        [INSIDE, '192.168.1.1'],
        [INSIDE, '2001:db8:1::1'],
      ];
      for (let step = 0; step < 60; step++) {
        stage.kernelTakes = random.chance(0.8);
        for (let i = random.below(40); i > 0 && stage.pool.free > 0; i--) {
          random.pick([stage.outside, stage.inside]).deliver(randomFrame(random));
        }
        stage.now += random.pick([1, 100, 5000]);
        stage.turn();
        const [index, text] = random.pick(neighbours);
        switch (random.below(6)) {
          case 0:
          case 1:
            stage.learn(index, text, CLIENT_MAC);
            break;
          case 2:
            stage.fail(index, text);
            break;
          case 3:
            if (random.chance(0.3)) stage.forget();
            break;
          default:
            stage.adjacencies.confirm();
        }
        for (const link of [stage.outside, stage.inside]) {
          for (const frame of link.sent.splice(0)) assert.ok(frame.length <= 150 + 14);
        }
      }
      stage.turn();
      stage.forget();
      assert.equal(stage.pool.free, FRAMES);
      const all = new Set(Array.from({ length: FRAMES }, () => stage.pool.take(0)));
      assert.equal(all.size, FRAMES);
    }),
    { numRuns: 20 },
  );
});
