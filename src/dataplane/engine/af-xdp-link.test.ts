// SPDX-License-Identifier: Apache-2.0
// AF_XDP links on real veth devices: frames in, frames out, and no frame of the pool ever lost.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { eventually } from '../../../test/support/eventually.ts';
import { macBytes, type RawFrame, rawFrame } from '../../../test/support/raw-frame.ts';
import { requirements } from '../../../test/support/requirements.ts';
import { type FrameSocket, VethLab, type VethPair } from '../../../test/support/veth-lab.ts';
import { Umem, XdpSocket } from '../../linux/af-xdp.ts';
import { PollSet } from '../../linux/poll.ts';
import { type Address, parseAddress } from '../../packet/address.ts';
import { AfXdpLink, MAX_MTU } from './af-xdp-link.ts';
import { FramePool } from './frame-pool.ts';
import { BATCH, FRAME_SIZE, FrameBatch } from './link.ts';
import { XdpProgram } from './xdp-program.ts';

const skip = requirements('xdp', 'program:ip');

const ip = (text: string): Address => parseAddress(text)!;
const VIP = ip('192.0.2.1');
const VIP6 = ip('2001:db8::1');
const FRAMES = 16384;
const PATIENCE_MS = 5000;

let lab: VethLab;
let program: XdpProgram;
let umem: Umem;
let pool: FramePool;
let links: AfXdpLink[];
let sockets: FrameSocket[];

beforeEach(() => {
  if (skip) return;
  lab = new VethLab();
  program = new XdpProgram();
  umem = new Umem({ frames: FRAMES, frameSize: FRAME_SIZE });
  pool = new FramePool(FRAMES);
  links = [];
  sockets = [];
  program.addService({ protocol: 'udp', address: VIP, port: 53 });
  program.addService({ protocol: 'udp', address: VIP6, port: 53 });
});

afterEach(() => {
  if (skip) return;
  for (const socket of sockets) socket.close();
  for (const link of links) link.close();
  program.close();
  umem.close();
  lab.close();
});

function openLink(pair: VethPair): AfXdpLink {
  const link = lab.run(() => new AfXdpLink({ device: pair.near, program, umem, pool }));
  links.push(link);
  return link;
}

function openFar(pair: VethPair): FrameSocket {
  const socket = lab.open(pair.far);
  sockets.push(socket);
  return socket;
}

function request(pair: VethPair, frame: Partial<RawFrame> = {}): Uint8Array {
  return rawFrame({
    destinationMac: pair.near.mac,
    sourceMac: pair.far.mac,
    source: ip('198.51.100.7'),
    destination: VIP,
    protocol: 17,
    sourcePort: 40000,
    destinationPort: 53,
    payload: 30,
    ...frame,
  });
}

const request6 = (pair: VethPair): Uint8Array => request(pair, { source: ip('2001:db8:9::7'), destination: VIP6 });

function awaitInput(link: AfXdpLink): void {
  const poll = new PollSet(link.pollFds.length);
  for (const fd of link.pollFds) poll.add(fd);
  assert.notEqual(poll.wait(PATIENCE_MS), 0, 'something comes in');
}

/** Waits on the link's descriptors until `count` packets came; their bytes. All frames are recycled. */
function receiveAll(link: AfXdpLink, count: number): Uint8Array[] {
  const batch = new FrameBatch();
  const packets: Uint8Array[] = [];
  while (packets.length < count) {
    const n = link.receive(batch);
    if (n === 0) awaitInput(link);
    for (let i = 0; i < n; i++) {
      packets.push(new Uint8Array(umem.buffer, batch.offsets[i], batch.lengths[i]).slice());
      link.recycle(batch.offsets[i]);
    }
    link.flush();
  }
  assert.equal(link.receive(batch), 0);
  return packets;
}

function receiveFar(socket: FrameSocket): Uint8Array {
  const poll = new PollSet(1);
  poll.add(socket.fd);
  assert.equal(poll.wait(PATIENCE_MS), 1, 'a frame comes to the far end');
  return socket.receive()!;
}

function transmitBytes(link: AfXdpLink, bytes: Uint8Array): boolean {
  const offset = link.allocate();
  assert.notEqual(offset, -1);
  new Uint8Array(umem.buffer, offset, bytes.length).set(bytes);
  return link.transmit(offset, bytes.length);
}

test('a frame for a service arrives byte for byte, in both families', { skip }, () => {
  const pair = lab.addPair('v');
  const link = openLink(pair);
  const far = openFar(pair);
  assert.equal(link.mode, 'native');
  assert.equal(link.queues, 1);
  for (const frame of [request(pair), request6(pair), request(pair, { payload: 1472 })]) {
    far.send(frame);
    assert.deepEqual(receiveAll(link, 1), [frame]);
  }
  assert.equal(link.rxPackets, 3);
  assert.equal(program.counters().request, 3);
});

test('a packet of the largest MTU arrives, a longer one is counted by the kernel', { skip }, () => {
  const pair = lab.addPair('a');
  for (const { name } of [pair.near, pair.far]) lab.ip('link', 'set', name, 'mtu', String(MAX_MTU + 1));
  const link = openLink(pair);
  const far = openFar(pair);
  const headers = 28;
  far.send(request(pair, { payload: MAX_MTU + 1 - headers }));
  far.send(request(pair, { payload: MAX_MTU - headers }));
  assert.deepEqual(
    receiveAll(link, 1).map(({ length }) => length),
    [14 + MAX_MTU],
  );
  assert.equal(link.statistics().rxDropped, 1);
});

test('a received frame has room in front of it for a tunnel header', { skip }, () => {
  const pair = lab.addPair('v');
  const link = openLink(pair);
  openFar(pair).send(request(pair));
  const batch = new FrameBatch();
  awaitInput(link);
  assert.equal(link.receive(batch), 1);
  assert.ok(batch.offsets[0] % FRAME_SIZE >= 128);
  link.recycle(batch.offsets[0]);
});

test('what is for no service goes to the kernel and not to the link', { skip }, () => {
  const pair = lab.addPair('v');
  const link = openLink(pair);
  const far = openFar(pair);
  far.send(request(pair, { destinationPort: 54 }));
  const wanted = request(pair);
  far.send(wanted);
  assert.deepEqual(receiveAll(link, 1), [wanted]);
  assert.equal(program.counters().passed, 1);
});

test('a transmitted frame arrives at the far end byte for byte', { skip }, () => {
  const pair = lab.addPair('v');
  const link = openLink(pair);
  const far = openFar(pair);
  const free = pool.free;
  for (const bytes of [request(pair), request6(pair), request(pair, { payload: 1472 })]) {
    const frame = bytes.slice();
    frame.set(macBytes(pair.far.mac), 0);
    assert.ok(transmitBytes(link, frame));
    link.flush();
    assert.deepEqual(receiveFar(far), frame);
  }
  link.flush();
  assert.equal(link.pending, false);
  assert.equal(link.txPackets, 3);
  assert.equal(pool.free, free);
});

test('two links pass frames to each other without copying them', { skip }, () => {
  const left = lab.addPair('left');
  const right = lab.addPair('right');
  const from = openLink(left);
  const to = openLink(right);
  const far = openFar(right);
  const frame = request(left);
  openFar(left).send(frame);
  const batch = new FrameBatch();
  awaitInput(from);
  assert.equal(from.receive(batch), 1);
  new Uint8Array(umem.buffer, batch.offsets[0], 6).set(macBytes(right.far.mac));
  assert.ok(to.transmit(batch.offsets[0], batch.lengths[0]));
  to.flush();
  const arrived = receiveFar(far);
  assert.deepEqual(arrived.subarray(6), frame.subarray(6));
  assert.deepEqual([...arrived.subarray(0, 6)], macBytes(right.far.mac));
});

test('100000 packets echoed, four times the pool, leak no frame', { skip }, () => {
  const pair = lab.addPair('v');
  const link = openLink(pair);
  const far = openFar(pair);
  const free = pool.free;
  const total = 100_000;
  const frame = request(pair);
  const batch = new FrameBatch();
  const view = new DataView(umem.buffer);
  let sent = 0;
  let echoed = 0;
  let back = 0;
  const end = Date.now() + 60_000;
  while (back < total) {
    assert.ok(Date.now() < end, `${back} packets came back`);
    for (let i = 0; i < BATCH && sent < total && sent - back < 1024; i++, sent++) far.send(frame);
    for (let n = link.receive(batch); n > 0; n = link.receive(batch)) {
      for (let i = 0; i < n; i++) {
        swapMacs(view, batch.offsets[i]);
        if (link.transmit(batch.offsets[i], batch.lengths[i])) echoed++;
      }
      link.flush();
    }
    while (far.receive() !== undefined) back++;
  }
  link.flush();
  assert.equal(echoed, total);
  assert.equal(link.txDropped, 0);
  assert.equal(pool.free, free);
});

test('a full transmit ring drops, counts and keeps the frame for others', { skip }, () => {
  const pair = lab.addPair('v');
  const link = lab.run(() => new AfXdpLink({ device: pair.near, program, umem, pool, ringSize: 64 }));
  links.push(link);
  const free = pool.free;
  const frame = request(pair);
  const taken = Array.from({ length: 70 }, () => transmitBytes(link, frame));
  assert.equal(taken.filter(Boolean).length, 64);
  assert.equal(link.txDropped, 6);
  assert.equal(link.txPackets, 64);
  link.flush();
  assert.equal(link.pending, false);
  assert.equal(pool.free, free);
  assert.equal(transmitBytes(link, frame), true);
});

test('every queue of a device is served', { skip }, () => {
  const pair = lab.addPair('v', 2);
  const link = openLink(pair);
  const far = openFar(pair);
  assert.equal(link.queues, 2);
  assert.equal(link.pollFds.length, 2);
  const flows = Array.from({ length: 64 }, (_, i) => request(pair, { sourcePort: 1024 + i }));
  for (const frame of flows) far.send(frame);
  const key = (frame: Uint8Array): string => Buffer.from(frame).toString('hex');
  assert.deepEqual(receiveAll(link, 64).map(key).sort(), flows.map(key).sort());
});

test('a link that closes gives back every frame, also those that wait unread', { skip }, () => {
  const pair = lab.addPair('v');
  const link = lab.run(() => new AfXdpLink({ device: pair.near, program, umem, pool }));
  const far = openFar(pair);
  for (let i = 0; i < 100; i++) far.send(request(pair));
  awaitInput(link);
  transmitBytes(link, request(pair));
  assert.ok(pool.free < FRAMES);
  link.close();
  assert.equal(pool.free, FRAMES);
  assert.doesNotMatch(lab.ip('link', 'show', pair.near.name), /prog\/xdp/);
});

test('links open and close in any order on one memory', { skip }, () => {
  const left = lab.addPair('left');
  const right = lab.addPair('right');
  const first = lab.run(() => new AfXdpLink({ device: left.near, program, umem, pool }));
  openLink(right);
  first.close();
  const again = openLink(left);
  const frame = request(left);
  openFar(left).send(frame);
  assert.deepEqual(receiveAll(again, 1), [frame]);
});

test('a device that goes down stops sending without stopping the caller', { skip }, () => {
  const pair = lab.addPair('v');
  const link = openLink(pair);
  lab.ip('link', 'set', pair.near.name, 'down');
  assert.ok(transmitBytes(link, request(pair)));
  link.flush();
  assert.equal(link.pending, false);
  lab.ip('link', 'set', pair.near.name, 'up');
  link.flush();
  assert.equal(link.pending, false);
});

test('a device without native XDP gets generic XDP and works alike', { skip }, () => {
  lab.ip('link', 'set', 'lo', 'up');
  const near = lab.device('lo');
  const link = openLink({ near, far: near });
  assert.equal(link.mode, 'generic');
  assert.equal(link.zeroCopy, false);
  const socket = openFar({ near, far: near });
  const frame = request({ near, far: near });
  socket.send(frame);
  assert.deepEqual(receiveAll(link, 1), [frame]);
  // What the link sends on the loopback device comes in again, and is caught again.
  const free = pool.free;
  transmitBytes(link, frame);
  link.flush();
  assert.deepEqual(receiveAll(link, 1), [frame]);
  assert.equal(pool.free, free);
});

test('with busy polling packets arrive as without', { skip }, () => {
  const pair = lab.addPair('v');
  const busyPoll = { microseconds: 20, budget: 64 };
  const link = lab.run(() => new AfXdpLink({ device: pair.near, program, umem, pool, busyPoll }));
  links.push(link);
  const frame = request(pair);
  openFar(pair).send(frame);
  assert.deepEqual(receiveAll(link, 1), [frame]);
});

test('a link may be opened while its device is down', { skip }, async () => {
  const pair = lab.addPair('v');
  lab.ip('link', 'set', pair.near.name, 'down');
  const link = openLink(pair);
  lab.ip('link', 'set', pair.near.name, 'up');
  // The other end has its carrier back when the kernel gets to it.
  await eventually('both ends are up', () =>
    [pair.near, pair.far].every(({ name }) => lab.ip('link', 'show', name).includes('state UP')) ? true : undefined,
  );
  const frame = request(pair);
  openFar(pair).send(frame);
  assert.deepEqual(receiveAll(link, 1), [frame]);
});

test('a queue that somebody else has is refused with the remedy and leaves nothing behind', { skip }, () => {
  const pair = lab.addPair('v');
  const { name: device, index: ifindex } = pair.near;
  const other = lab.run(() => new XdpSocket(umem, { device, ifindex, queue: 0, ringSize: 64, transmit: true }));
  assert.throws(() => openLink(pair), {
    code: 'BALLAST_SYS',
    message: 'bind: EBUSY (AF_XDP on v-near queue 0): another program has an AF_XDP socket on this queue',
  });
  assert.equal(pool.free, FRAMES);
  assert.doesNotMatch(lab.ip('link', 'show', device), /prog\/xdp/);
  other.close();
});

function swapMacs(view: DataView, offset: number): void {
  const high = view.getInt32(offset);
  const low = view.getInt16(offset + 4);
  view.setInt32(offset, view.getInt32(offset + 6));
  view.setInt16(offset + 4, view.getInt16(offset + 10));
  view.setInt32(offset + 6, high);
  view.setInt16(offset + 10, low);
}
