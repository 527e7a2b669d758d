// SPDX-License-Identifier: Apache-2.0
// Runs one packet case on a stage: configures it with ipvsadm, plays the steps, and compares where every packet went,
// every byte of it, the verdicts, and ipvsadm's listings. The same for every stage, so that none is treated more kindly.

import assert from 'node:assert/strict';
import { runIpvsadm } from '../../src/cli/ipvsadm/run.ts';
import type { DataPlane } from '../../src/dataplane/dataplane.ts';
import { checksumFault, hex } from '../support/frames.ts';
import {
  type Expectation,
  type Framing,
  isPacketStep,
  type PacketCase,
  type PacketStep,
  type Station,
} from './case.ts';
import { damaged } from './variants.ts';

/** A packet that came out. */
export interface Emitted {
  /** `kernel` on a stage without one of its own; anything else names a frame that nobody should have got. */
  readonly to: Station | 'kernel' | `stray ${string}`;
  readonly packet: Uint8Array;
}

/** Where cases are played: a director with a client and servers around it, whose services this runner may replace. */
export interface Stage {
  readonly dataplane: DataPlane;
  /** Whether the XDP program, and behind it a kernel that answers, stand around the engine. */
  readonly kind: 'engine' | 'xdp';
  /** Sends a packet and returns all that comes out until it is dealt with; waits for `awaited` packets. */
  exchange(from: Station, packet: Uint8Array, framing: Framing, awaited: number): Promise<readonly Emitted[]>;
  /** Counters by name, the stage's own packets left out. */
  verdicts(): Promise<Readonly<Record<string, number>>>;
  /** Lets time pass until `isOver`, which it is after so many seconds at the latest. */
  pass(seconds: number, isOver: () => Promise<boolean>): Promise<void>;
}

/** Plays `packetCase`; throws an AssertionError that tells the step. The stage has no services and default timeouts. */
export async function runCase(stage: Stage, packetCase: PacketCase): Promise<void> {
  assert.equal(await ipvsadm(stage, ['-R'], packetCase.configuration.join('\n')), '');
  const before = await stage.verdicts();
  const counted: Record<string, number> = {};
  for (const [i, step] of packetCase.steps.entries()) {
    if (isPacketStep(step)) {
      for (const name of await playPacket(stage, step, `step ${i + 1}`)) counted[name] = (counted[name] ?? 0) + 1;
    } else if ('ipvsadm' in step) {
      assert.equal(await ipvsadm(stage, step.ipvsadm.split(' ')), '');
    } else {
      const isOver = async (): Promise<boolean> => (await connectionRows(stage, packetCase)).length === 0;
      await stage.pass(step.expireAfterSeconds, isOver);
      assert.ok(await isOver(), `step ${i + 1}: connections are left`);
    }
  }
  assert.deepEqual(growth(before, await stage.verdicts()), counted, 'verdicts');
  assert.deepEqual(await statsRows(stage, packetCase), [...packetCase.counters].sort(), 'counters');
  const withTimes = (rows: readonly string[]): string[] =>
    rows.map(stage.kind === 'engine' ? same : withoutTime).sort();
  const rows = await connectionRows(stage, packetCase);
  assert.deepEqual(withTimes(rows), withTimes(packetCase.connections), 'connections');
}

/** Returns the names that the packet is counted under. */
async function playPacket(stage: Stage, step: PacketStep, where: string): Promise<readonly string[]> {
  const isCaught = stage.kind === 'xdp' && step.atXdp !== undefined;
  const expect: Expectation = isCaught ? { to: 'kernel' } : step.expect;
  const expected: Emitted[] = [];
  if (expect.to === 'kernel') {
    const packets = expect.packets ?? [withPadding(step)];
    if (stage.kind === 'engine') expected.push(...packets.map((packet): Emitted => ({ to: 'kernel', packet })));
    else if (step.kernelAnswers !== undefined) expected.push(step.kernelAnswers);
  } else if (expect.to !== 'nobody') {
    const packets = [expect.packet, ...(expect.also ?? [])];
    expected.push(...packets.map((packet): Emitted => ({ to: expect.to, packet })));
  }
  const emitted = await stage.exchange(step.from, step.packet, step.framing ?? {}, expected.length);
  assert.deepEqual(emitted.map(show), expected.map(show), `${where}: packets that came out`);
  for (const { to, packet } of emitted) {
    if (to !== 'kernel' && isIcmp(packet)) assert.equal(checksumFault(packet), undefined, `${where}: ${hex(packet)}`);
  }
  if (isCaught) return step.atXdp === 'passed' ? [] : [`xdp-${step.atXdp}`];
  return expect.verdicts ?? [expect.to === 'kernel' ? 'pass' : 'forward'];
}

/** The kernel gets the frame as it was. */
function withPadding(step: PacketStep): Uint8Array {
  return Uint8Array.from([...step.packet, ...new Array<number>(step.framing?.padding ?? 0).fill(0)]);
}

function show({ to, packet }: Emitted): string {
  return `${to}: ${hex(to === 'kernel' ? packet : comparable(packet))}`;
}

/**
 * The packet without what its maker may choose: the identification of an ICMP message (and the header checksum that
 * covers it; checksums of these are verified apart), and the flow label of an ICMPv6 message.
 */
function comparable(packet: Uint8Array): Uint8Array {
  if (!isIcmp(packet)) return packet;
  if (packet[0] >>> 4 === 6) return damaged(packet, [1, packet[1] & 0xf0], [2, 0], [3, 0]);
  return damaged(packet, [4, 0], [5, 0], [10, 0], [11, 0]);
}

function isIcmp(packet: Uint8Array): boolean {
  return packet[0] >>> 4 === 6 ? packet[6] === 58 : packet[9] === 1;
}

/** Runs ipvsadm on the stage and returns its output; complaints throw. */
export async function ipvsadm(stage: Stage, args: readonly string[], input = ''): Promise<string> {
  let stdout = '';
  let stderr = '';
  const io = {
    stdin: [input],
    stdout: (text: string): void => {
      stdout += text;
    },
    stderr: (text: string): void => {
      stderr += text;
    },
  };
  const status = await runIpvsadm(args, io, stage.dataplane);
  assert.deepEqual([status, stderr], [0, ''], `ipvsadm ${args.join(' ')}`);
  return stdout;
}

/** Counters that have grown, and by how much. Of the XDP program's, only those that nothing else can move. */
function growth(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): object {
  const grown = Object.entries(after)
    .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
    .filter(([name, count]) => count !== 0 && !/^xdp-(passed|request|reply|fragment|icmp-error|ipsec)$/.test(name));
  return Object.fromEntries(grown);
}

/** Rows of services and servers, single blanks, in no particular order. */
async function statsRows(stage: Stage, packetCase: PacketCase): Promise<string[]> {
  const rows = tidy(await ipvsadm(stage, ['-Ln', '--stats']));
  const own: string[] = [];
  let isOwn = false;
  for (const row of rows) {
    if (/^(TCP|UDP|SCTP) /.test(row)) isOwn = isOfCase(packetCase, row.split(' ')[1]);
    if (isOwn) own.push(row);
  }
  return own.sort();
}

async function connectionRows(stage: Stage, packetCase: PacketCase): Promise<string[]> {
  const rows = tidy(await ipvsadm(stage, ['-Lnc']));
  return rows.filter((row) => /^(TCP|UDP|SCTP) /.test(row) && isOfCase(packetCase, row.split(' ')[4]));
}

/** Whether the case configures this virtual endpoint: on a shared stage older connections may live. */
function isOfCase(packetCase: PacketCase, virtual: string): boolean {
  return packetCase.configuration.some((line) => line.startsWith('-A ') && line.split(' ')[2] === virtual);
}

function tidy(listing: string): string[] {
  const lines = listing.split('\n').map((line) => line.trim().replace(/ +/g, ' '));
  return lines.filter((line) => line !== '');
}

function withoutTime(row: string): string {
  return row.replace(/ \d\d:\d\d /, ' ');
}

function same(row: string): string {
  return row;
}
