// SPDX-License-Identifier: Apache-2.0
// Packets that leave in fragments, through the engine in memory: what came in fragments, what is too long for its way, and
// what a tunnel made too long; and that no frame is lost on the way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStage } from '../../../test/cases/memory-stage.ts';
import { type Emitted, ipvsadm } from '../../../test/cases/run-case.ts';
import { CLIENT, serverAddress, VIP } from '../../../test/cases/stations.ts';
import { checksumFault, hex, internetChecksum, udp } from '../../../test/support/frames.ts';
import type { Family } from '../../packet/address.ts';

const FAMILIES: readonly Family[] = [4, 6];

async function stage(family: Family, method: string): Promise<MemoryStage> {
  const made = new MemoryStage();
  const virtual = family === 4 ? '10.0.0.1:53' : '[2001:db8::1]:53';
  const server = family === 4 ? '192.168.1.1:53' : '[2001:db8:1::1]:53';
  await ipvsadm(made, ['-A', '-u', virtual, '-s', 'rr']);
  await ipvsadm(made, ['-a', '-u', virtual, '-r', server, ...method.split(' ')]);
  return made;
}

function datagram(family: Family, bytes: number): Uint8Array {
  const payload = Uint8Array.from({ length: bytes }, (_, i) => (i * 7) & 255);
  const packet = udp({ src: CLIENT[family], dst: VIP[family], sport: 4000, dport: 53, id: 77, payload });
  if (family === 4) setHeader(packet, 6, 0);
  return packet;
}

/** Writes a half word of the IPv4 header and mends its checksum. */
function setHeader(packet: Uint8Array, at: number, value: number): void {
  packet.set([value >>> 8, value & 255], at);
  packet.set([0, 0], 10);
  const sum = internetChecksum(packet.subarray(0, 20));
  packet.set([sum >>> 8, sum & 255], 10);
}

/** The packet in pieces of at most `size` bytes, headers included, made independently of the code under test. */
function cut(packet: Uint8Array, size: number): Uint8Array[] {
  const header = packet[0] >>> 4 === 4 ? 20 : 40;
  const room = (size - header - (header === 40 ? 8 : 0)) & ~7;
  const pieces: Uint8Array[] = [];
  for (let at = header; at < packet.length; at += room) {
    const isLast = at + room >= packet.length;
    const body = packet.subarray(at, Math.min(packet.length, at + room));
    const offset = at - header;
    if (header === 20) {
      const piece = Uint8Array.from([...packet.subarray(0, 20), ...body]);
      setHeader(piece, 2, piece.length);
      setHeader(piece, 6, (isLast ? 0 : 0x2000) | (offset >> 3));
      pieces.push(piece);
    } else {
      const word = offset | (isLast ? 0 : 1);
      const fragment = [packet[6], 0, word >>> 8, word & 255, 0, 0, 0, 9];
      const piece = Uint8Array.from([...packet.subarray(0, 40), ...fragment, ...body]);
      const length = piece.length - 40;
      piece.set([length >>> 8, length & 255, 44], 4);
      pieces.push(piece);
    }
  }
  return pieces;
}

/** The datagram of fragments in any order. */
function join(fragments: readonly Uint8Array[]): Uint8Array {
  const header = fragments[0][0] >>> 4 === 4 ? 20 : 48;
  const offsetOf = (piece: Uint8Array): number =>
    header === 20 ? (((piece[6] << 8) | piece[7]) & 0x1fff) << 3 : ((piece[42] << 8) | piece[43]) & 0xfff8;
  const sorted = fragments.toSorted((a, b) => offsetOf(a) - offsetOf(b));
  const body = sorted.flatMap((piece) => [...piece.subarray(header)]);
  if (header === 20) {
    const whole = Uint8Array.from([...sorted[0].subarray(0, 20), ...body]);
    setHeader(whole, 6, 0);
    setHeader(whole, 2, whole.length);
    return whole;
  }
  const whole = Uint8Array.from([...sorted[0].subarray(0, 40), ...body]);
  whole.set([body.length >>> 8, body.length & 255, sorted[0][40]], 4);
  return whole;
}

async function exchange(made: MemoryStage, packets: readonly Uint8Array[]): Promise<Emitted[]> {
  const all: Emitted[] = [];
  for (const packet of packets) all.push(...(await made.exchange('client', packet, {})));
  return all;
}

for (const family of FAMILIES) {
  for (const order of ['in order', 'backwards', 'with each fragment twice'] as const) {
    test(`IPv${family}: 8 kB in fragments ${order} reach the server whole by NAT, in as many fragments`, async () => {
      const made = await stage(family, '-m');
      const pieces = cut(datagram(family, 8192), 1500);
      const sent = order === 'backwards' ? pieces.toReversed() : pieces;
      const out = await exchange(made, order === 'with each fragment twice' ? sent.flatMap((one) => [one, one]) : sent);
      assert.deepEqual(new Set(out.map(({ to }) => to)), new Set(['server 1']));
      assert.equal(out.length, pieces.length);
      assert.deepEqual(
        out.map(({ packet }) => packet.length),
        pieces.map(({ length }) => length),
      );
      const whole = join(out.map(({ packet }) => packet));
      assert.equal(checksumFault(whole), undefined);
      const expected = datagram(family, 8192);
      const ends = family === 4 ? [12, 20] : [8, 40];
      assert.deepEqual(whole.subarray(ends[1] + 8), expected.subarray(ends[1] + 8));
      assert.equal(made.lostFrames, 0);
      if (order !== 'with each fragment twice') return;
      // The second copy of the last one begins a datagram that stays incomplete.
      const { verdicts } = made.dataplane.snapshotNow();
      assert.equal(verdicts['fragment-held'] + verdicts['drop-fragment'], 2 * pieces.length - 1);
    });
  }

  test(`IPv${family}: fragments reach the server by direct routing as they came, one hop older`, async () => {
    const made = await stage(family, '-g');
    const pieces = cut(datagram(family, 4000), 1300);
    const out = await exchange(made, pieces);
    const older = pieces.map((piece) => {
      const copy = piece.slice();
      if (family === 4) setHeader(copy, 8, (63 << 8) | 17);
      else copy[7] = 63;
      return hex(copy);
    });
    assert.deepEqual(
      out.map(({ packet }) => hex(packet)),
      older,
    );
  });

  for (const tunnel of ['', '--tun-type gue --tun-port 6080', '--tun-type gre --tun-csum']) {
    test(`IPv${family}: a datagram in fragments goes through a tunnel whole, the tunnel's packet in fragments: ${tunnel || 'ipip'}`, async () => {
      const made = await stage(family, `-i ${tunnel}`.trim());
      const out = await exchange(made, cut(datagram(family, 4000), 1300));
      assert.ok(out.length >= 4 && out.every(({ packet }) => packet.length <= 1500));
      const outer = join(out.map(({ packet }) => packet));
      const inner = outer.subarray(outer.length - 4000 - 8 - (family === 4 ? 20 : 40));
      const expected = datagram(family, 4000);
      if (family === 4) setHeader(expected, 8, (63 << 8) | 17);
      else expected[7] = 63;
      assert.equal(hex(inner), hex(expected));
      assert.equal(made.lostFrames, 0);
    });
  }
}

test('small fragments go through a tunnel of IPv6, whose headers are longer than they are', async () => {
  const made = new MemoryStage();
  await ipvsadm(made, ['-A', '-u', '10.0.0.1:53', '-s', 'rr']);
  await ipvsadm(made, [
    '-a',
    '-u',
    '10.0.0.1:53',
    '-r',
    '[2001:db8:1::1]:53',
    ...'-i --tun-type gue --tun-port 6080'.split(' '),
  ]);
  const out = await exchange(made, cut(datagram(4, 101), 52));
  assert.equal(out.length, 1);
  assert.equal(hex(out[0].packet.subarray(52 + 20)), hex(datagram(4, 101).subarray(20)));
});

test('a packet without DF that a tunnel makes too long leaves in fragments with one identification', async () => {
  const made = await stage(4, '-i');
  const out = await exchange(made, [datagram(4, 1460), datagram(4, 1460)]);
  assert.equal(out.length, 4);
  const ids = out.map(({ packet }) => (packet[4] << 8) | packet[5]);
  assert.deepEqual([ids[0] === ids[1], ids[2] === ids[3], ids[0] === ids[2]], [true, true, false]);
  assert.ok(out.every(({ packet }) => internetChecksum(packet.subarray(0, 20)) === 0 && packet.length <= 1500));
});

test('IPv4 inside of a tunnel in IPv6: the outer packet is cut although it is IPv6', async () => {
  const made = new MemoryStage();
  await ipvsadm(made, ['-A', '-u', '10.0.0.1:53', '-s', 'rr']);
  await ipvsadm(made, ['-a', '-u', '10.0.0.1:53', '-r', `[${serverAddress(1, 6)}]:53`, '-i']);
  const out = await exchange(made, [datagram(4, 1460)]);
  assert.equal(out.length, 2);
  const inner = join(out.map(({ packet }) => packet)).subarray(40);
  assert.equal(hex(inner.subarray(20)), hex(datagram(4, 1460).subarray(20)));
});

test('fragments of IPv6 that are larger than the way are answered, and nothing is sent', async () => {
  const made = await stage(6, '-i');
  const [answer, ...others] = await exchange(made, cut(datagram(6, 3000), 1496));
  assert.deepEqual([answer.to, others.length], ['client', 0]);
  assert.deepEqual([...answer.packet.subarray(40, 42), ...answer.packet.subarray(44, 48)], [2, 0, 0, 0, 0x05, 0xb4]);
  assert.equal(checksumFault(answer.packet), undefined);
});

for (const family of FAMILIES) {
  test(`IPv${family}: what its sender hears of a datagram in fragments is one packet, whole and valid`, async () => {
    const made = await stage(family, '-m');
    const packet = datagram(family, 900);
    if (family === 4) setHeader(packet, 8, 0x0111);
    else packet[7] = 1;
    const [answer, ...others] = await exchange(made, cut(packet, 400));
    assert.deepEqual([answer.to, others.length], ['client', 0]);
    assert.equal(answer.packet[family === 4 ? 20 : 40], family === 4 ? 11 : 3);
    assert.equal(checksumFault(answer.packet), undefined);
  });
}

test('the sender of a datagram that stays incomplete is told after 30 s, if its first fragment came', async () => {
  const made = await stage(4, '-m');
  const [first, second] = cut(datagram(4, 3000), 1500);
  await exchange(made, [first]);
  await exchange(made, [cut(withId(datagram(4, 3000), 78), 1500)[1]]);
  assert.deepEqual(await made.emittedIn(29), []);
  const [{ to, packet }, ...others] = await made.emittedIn(2);
  assert.deepEqual([to, others.length], ['client', 0]);
  assert.deepEqual([packet[20], packet[21]], [11, 1]);
  assert.equal(checksumFault(packet), undefined);
  assert.equal(hex(packet.subarray(28, 60)), hex(first.subarray(0, 32)));
  assert.deepEqual(await exchange(made, [second]), [], 'the others come too late');
});

function withId(packet: Uint8Array, id: number): Uint8Array {
  setHeader(packet, 4, id);
  return packet;
}

test('a flood of fragments leaves the frames and whole datagrams of others alone', async () => {
  const made = await stage(4, '-m');
  for (let id = 0; id < 3000; id++) await exchange(made, [cut(withId(datagram(4, 3000), id), 1500)[id % 3]]);
  assert.equal(made.lostFrames, 0);
  const [whole] = await exchange(made, [datagram(4, 100)]);
  assert.equal(whole.to, 'server 1');
});

test('a datagram that is a fragment again once it is whole is dropped', async () => {
  const made = await stage(6, '-m');
  const inner = cut(datagram(6, 3000), 1400)[0];
  const out = await exchange(made, cut(inner, 800));
  assert.deepEqual(out, []);
  assert.equal((await made.verdicts())['drop-fragment'], 1);
  assert.equal(made.lostFrames, 0);
});
