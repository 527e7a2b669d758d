// SPDX-License-Identifier: Apache-2.0
// The kernel's own TCP at both ends of a stream that gets a PROXY header: two namespaces with a TUN device each, and this
// process as the line between, which shifts, adds TOA, loses packets. What a model of TCP cannot prove.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { inNamespace } from '../../src/linux/netns.ts';
import { PollSet } from '../../src/linux/poll.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { addAddress } from '../../src/linux/route/address.ts';
import { changeLink } from '../../src/linux/route/link.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';
import { TunDevice } from '../../src/linux/tun.ts';
import { readProxyHeader, writeProxyV1, writeProxyV2 } from '../../src/lvs/stream/proxy-protocol.ts';
import {
  openProxyStream,
  PROXY_DROP,
  PROXY_HEADER_FIRST,
  PROXY_HEADER_ONLY,
  PROXY_PASS,
  PROXY_STREAM_WORDS,
  proxyReply,
  proxyRequest,
  writeHeaderSegment,
} from '../../src/lvs/stream/proxy-stream.ts';
import { shiftReply, shiftRequest } from '../../src/lvs/stream/sequence-shift.ts';
import { addToa, TCPOPT_TOA } from '../../src/lvs/stream/toa.ts';
import { type Address, addressWords } from '../../src/packet/address.ts';
import { Headers } from '../../src/packet/parse.ts';
import { temporaryNamespace } from '../support/namespaces.ts';
import { Random } from '../support/random.ts';
import { requirements } from '../support/requirements.ts';
import { readSegment, Slot } from '../support/segments.ts';

const root = { skip: requirements('root') };
const MTU = 1500;
const PORT = 8000;
const PATIENCE_MS = 120_000;
const BYTES = 300_000;
const BANNER = 'welcome\n';

/** Reads to the end, then prints what it has read in base64: the header's part, and a digest of the rest. */
const SERVER = `
const [address, headerLength, banner] = process.argv.slice(1);
const { createHash } = require('node:crypto');
require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
  let all = Buffer.alloc(0);
  let greeted = false;
  socket.on('data', (bytes) => {
    all = Buffer.concat([all, bytes]);
    if (banner !== '' && !greeted && all.length >= Number(headerLength)) { greeted = true; socket.write(banner); }
  });
  socket.on('end', () => {
    const head = all.subarray(0, Number(headerLength)).toString('base64');
    const digest = createHash('sha256').update(all.subarray(Number(headerLength))).digest('hex');
    socket.end(digest);
    console.log(head, digest);
    process.exitCode = 0;
    socket.on('close', () => process.exit());
  });
}).listen(${PORT}, address, () => console.log('ready'));`;

/** Waits for the banner if there is one, sends its bytes, and prints what the server says. */
const CLIENT = `
const [address, banner, length] = process.argv.slice(1);
const socket = require('node:net').connect({ host: address, port: ${PORT}, allowHalfOpen: true });
let heard = '';
const speak = () => socket.end(Buffer.alloc(Number(length), 'client bytes '));
socket.on('connect', () => { console.log(socket.localPort); if (banner === '') speak(); });
socket.on('data', (text) => {
  const before = heard.length;
  heard += text;
  if (banner !== '' && before < banner.length && heard.length >= banner.length) speak();
});
socket.on('end', () => { console.log(JSON.stringify(heard)); socket.destroy(); });`;

interface Plan {
  readonly client: string;
  readonly server: string;
  readonly version: 1 | 2;
  readonly isServerFirst: boolean;
  readonly bytes: number;
  readonly delta: number;
  /** Decides about a packet on its way to the server (or else to the client), the header's or another. */
  readonly isLost: (toServer: boolean, isHeader: boolean) => boolean;
}

/** A device with an address and a route to the other's. */
function open(context: TestContext, label: string, address: string): { namespace: string; tun: TunDevice } {
  const namespace = temporaryNamespace(context, label);
  const tun = inNamespace(namespace, () => new TunDevice('tun0'));
  context.after(() => tun.close());
  const socket = openRouteSocket(namespace);
  try {
    addAddress(socket, 'tun0', address as Address, address.includes(':') ? 32 : 8);
    changeLink(socket, 'tun0', { up: true });
  } finally {
    socket.close();
  }
  return { namespace, tun };
}

/** The line between the two kernels. */
class Line {
  readonly #plan: Plan;
  readonly #client: TunDevice;
  readonly #server: TunDevice;
  readonly #words = new Int32Array(PROXY_STREAM_WORDS);
  readonly #header = new Uint8Array(107);
  readonly headerLength: number;
  headers = 0;
  toa = 0;
  #serverNext = 0;
  #port = 0;

  constructor(plan: Plan, client: TunDevice, server: TunDevice) {
    this.#plan = plan;
    this.#client = client;
    this.#server = server;
    // The port has a fixed number of digits, so the length is known before the connection.
    this.headerLength = this.#write(40_000);
  }

  #write(sourcePort: number): number {
    const { client, server, version } = this.#plan;
    const ends = {
      family: client.includes(':') ? (6 as const) : (4 as const),
      protocol: 6,
      source: addressWords(client as Address),
      sourcePort,
      destination: addressWords(server as Address),
      destinationPort: PORT,
    };
    return version === 1 ? writeProxyV1(this.#header, ends) : writeProxyV2(this.#header, ends);
  }

  /** Moves packets until both processes have ended. */
  async run(isOver: () => boolean): Promise<void> {
    const set = new PollSet(2);
    set.add(this.#client.number);
    set.add(this.#server.number);
    const buffer = new Uint8Array(2048);
    const deadline = performance.now() + PATIENCE_MS;
    while (!isOver()) {
      assert.ok(performance.now() < deadline, 'the connection ends');
      set.wait(10);
      for (const [device, take] of [
        [this.#client, (packet: Uint8Array) => this.#request(packet)],
        [this.#server, (packet: Uint8Array) => this.#reply(packet)],
      ] as const) {
        for (let length = device.read(buffer); length !== -1; length = device.read(buffer)) {
          const packet = buffer.slice(0, length);
          const isTcp = packet[0] >>> 4 === 4 ? packet[9] === 6 : packet[6] === 6;
          if (isTcp) take(packet);
        }
      }
      // Lets the processes' output in.
      await setImmediate();
    }
  }

  #request(packet: Uint8Array): void {
    const slot = new Slot(packet);
    const { seq, flags } = readSegment(packet);
    if (flags === 'S') {
      this.#port = slot.view.getUint16(slot.headers.transport);
      assert.equal(this.#write(this.#port), this.headerLength);
      openProxyStream(this.#words, 0, seq | 0, this.headerLength);
    }
    const verdict = proxyRequest(slot, slot.headers, this.#words, 0);
    assert.notEqual(verdict, PROXY_DROP);
    if (verdict === PROXY_HEADER_FIRST || verdict === PROXY_HEADER_ONLY) {
      const $made = new Headers();
      const limit = Slot.FRAME + 14 + MTU;
      const length = writeHeaderSegment(slot, slot.headers, this.#words, 0, this.#header, Slot.FRAME, limit, $made);
      assert.ok(length > 0);
      this.headers++;
      this.#forward(slot.bytes.slice($made.ip, $made.end), true);
    }
    if (verdict !== PROXY_HEADER_ONLY) this.#forward(slot.bytes.slice(slot.headers.ip, slot.headers.end), false);
    assert.ok(verdict >= PROXY_PASS);
  }

  #forward(packet: Uint8Array, isHeader: boolean): void {
    const slot = new Slot(packet);
    shiftRequest(slot.view, slot.headers, this.#plan.delta);
    const word = addressWords('10.7.0.1' as Address)[0];
    const limit = slot.headers.ip + MTU;
    const added = addToa(slot, slot.headers, this.#serverNext, TCPOPT_TOA, 4, word, 0, 0, 0, this.#port, limit);
    if (added === 0) this.toa++;
    const result = slot.packet();
    readSegment(result);
    if (!this.#plan.isLost(true, isHeader)) this.#server.write(result);
  }

  #reply(packet: Uint8Array): void {
    const slot = new Slot(packet);
    const { seq, flags } = readSegment(packet);
    if (flags.includes('S')) this.#serverNext = (seq + 1) | 0;
    shiftReply(slot.view, slot.headers, this.#plan.delta);
    proxyReply(slot.view, slot.headers, this.#words, 0);
    const result = slot.packet();
    readSegment(result);
    if (!this.#plan.isLost(false, false)) this.#client.write(result);
  }
}

/** Lines of a process, and its end. */
function follow(child: ChildProcess): { lines: string[]; ended: Promise<unknown>; isOver: () => boolean } {
  const lines: string[] = [];
  let isOver = false;
  let text = '';
  child.stdout!.on('data', (bytes: Buffer) => {
    text += bytes;
    lines.splice(0, lines.length, ...text.split('\n').slice(0, -1));
  });
  const ended = once(child, 'close').then(() => {
    isOver = true;
  });
  return { lines, ended, isOver: () => isOver };
}

async function converse(context: TestContext, plan: Plan): Promise<Line> {
  const client = open(context, 'client', plan.client);
  const server = open(context, 'server', plan.server);
  const line = new Line(plan, client.tun, server.tun);
  const banner = plan.isServerFirst ? BANNER : '';
  const start = (namespace: string, script: string, ...args: string[]): ChildProcess => {
    const child = spawnInNamespace(namespace, process.execPath, ['-e', script, '--', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    context.after(() => child.kill('SIGKILL'));
    return child;
  };
  const listening = start(server.namespace, SERVER, plan.server, String(line.headerLength), banner);
  const served = follow(listening);
  await once(listening.stdout!, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) });
  const speaking = start(client.namespace, CLIENT, plan.server, banner, String(plan.bytes));
  const spoken = follow(speaking);
  await line.run(() => served.isOver() && spoken.isOver());

  const digest = createHash('sha256').update(Buffer.alloc(plan.bytes, 'client bytes ')).digest('hex');
  const [head, read] = served.lines[1].split(' ');
  assert.equal(read, digest, 'the server has read every byte of the client');
  assert.equal(JSON.parse(spoken.lines[1]), banner + digest, 'the client has heard the server');
  const header = Buffer.from(head, 'base64');
  const found = readProxyHeader(header, 0, header.length);
  assert.equal(found?.version, plan.version);
  assert.equal(found?.ends?.sourcePort, Number(spoken.lines[0]), 'the server knows the client');
  assert.deepEqual(
    Array.from(found?.ends?.source ?? []),
    [...addressWords(plan.client as Address)].slice(0, found?.ends?.family === 4 ? 1 : 4),
  );
  return line;
}

const V4 = { client: '10.7.0.1', server: '10.0.0.1' };
const V6 = { client: '2001:db8:7::1', server: '2001:db8::1' };
const COMMON = { version: 2, isServerFirst: false, bytes: BYTES, delta: 0, isLost: () => false } as const;

test('one header goes with a connection that loses nothing', root, async (t) => {
  const line = await converse(t, { ...V4, ...COMMON });
  assert.equal(line.headers, 1);
  assert.ok(line.toa >= 2);
});

test('lost headers come again when the server is to speak first', root, async (t) => {
  let lost = 0;
  const isLost = (_: boolean, isHeader: boolean): boolean => isHeader && ++lost <= 2;
  const line = await converse(t, { ...V4, ...COMMON, version: 1, isServerFirst: true, bytes: 1000, isLost });
  assert.ok(line.headers >= 3);
});

test('lost headers come again when the client speaks first', root, async (t) => {
  let lost = 0;
  const isLost = (_: boolean, isHeader: boolean): boolean => isHeader && ++lost <= 2;
  const line = await converse(t, { ...V6, ...COMMON, bytes: 20_000, delta: -1000, isLost });
  assert.ok(line.headers >= 3);
});

test('a line that loses one packet in twenty delivers the header and every byte', root, async (t) => {
  for (const [of, version, isServerFirst, delta] of [
    [V4, 2, false, 0x7fffff00],
    [V6, 1, true, -5],
  ] as const) {
    const random = new Random(version);
    const isLost = (): boolean => random.chance(0.05);
    await converse(t, { ...of, ...COMMON, version, isServerFirst, delta, isLost });
  }
});
