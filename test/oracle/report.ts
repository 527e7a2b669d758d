// SPDX-License-Identifier: Apache-2.0
// Tells a difference to people: the scenario as commands and packets, what either side did at the end, and capture files
// of what went in and what came out.

import { writeFileSync } from 'node:fs';
import { fromHex } from '../support/frames.ts';
import type { IcmpStep } from './icmp-step.ts';
import type { TimedOutcome } from './outcome.ts';
import type { PacketStep, Step } from './scenario.ts';
import type { Finding } from './shrink.ts';
import { frameInto } from './world.ts';

/** Everything up to the difference, or the last `most` steps. */
export function describe({ scenario, outcomes, difference }: Finding, most = Number.POSITIVE_INFINITY): string {
  const marks = scenario.marks.map(
    ({ protocol, virtual, virtualPort, mark }) => `  mark ${mark}: ${protocol} to ${virtual} port ${virtualPort}`,
  );
  const steps = scenario.steps
    .map((step, i) => `  ${seconds(outcomes[i])}  ${describeStep(step, outcomes[i])}`)
    .slice(Math.max(0, difference.step + 1 - most), difference.step + 1);
  return [
    `difference: ${scenario.name}, step ${difference.step + 1}: ${difference.what}`,
    ...marks,
    ...steps,
    '  kernel:',
    ...indented(difference.kernel),
    '  director:',
    ...indented(difference.director),
  ].join('\n');
}

function seconds(outcome: TimedOutcome | undefined): string {
  return `${((outcome?.at ?? 0) / 1000).toFixed(2).padStart(7)} s`;
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `    ${line}`);
}

function describeStep(step: Step, played: TimedOutcome | undefined): string {
  switch (step.kind) {
    case 'ipvsadm':
      return `ipvsadm ${step.line}`;
    case 'sysctl':
      return `net.ipv4.vs.${step.name} = ${step.value}`;
    case 'wait':
      return `${step.seconds} s pass`;
    case 'look':
      return 'listings';
    case 'packet':
      return describePacket(step, played);
    case 'icmp':
      return describeIcmp(step, played);
  }
}

function describePacket(step: PacketStep, played: TimedOutcome | undefined): string {
  const what = step.protocol === 'tcp' ? `flags ${step.flags || 'none'}` : '';
  const chunks = step.protocol === 'sctp' ? `chunks ${step.chunks.join(',')}` : '';
  const client = `${step.client} port ${step.clientPort}`;
  const virtual = `${step.virtual} port ${step.virtualPort}`;
  const way = step.direction === 'request' ? `${client} -> ${virtual}` : `answer to ${client} of ${virtual}`;
  const tos = step.tos === undefined ? '' : `TOS ${step.tos}`;
  const df = step.df === false ? 'no DF' : '';
  const ttl = step.ttl === 64 ? '' : `TTL ${step.ttl}`;
  const { piece } = step;
  const part = piece && `fragment ${piece.id} ${piece.at}+${piece.length}${piece.isLast ? ' (last)' : ''}`;
  const more = [what, chunks, `${step.payload.length} bytes`, ttl, tos, df, part ?? ''];
  return `${step.protocol} ${way} ${more.filter((word) => word !== '').join(', ')} =>${whatLeft(played)}`;
}

function describeIcmp(step: IcmpStep, played: TimedOutcome | undefined): string {
  const { type, code, rest, quoted, change, ttl } = step;
  const who = step.isRouter ? 'router' : 'end';
  const sent = played?.outcome.kind === 'packet' ? played.outcome.packet.slice(0, 160) : '';
  const more = [`${quoted} quoted`, change, step.checksum ? '' : 'wrong checksum', ttl === 64 ? '' : `TTL ${ttl}`];
  const words = more.filter((word) => word !== '' && word !== 'none').join(', ');
  return `ICMP ${type}/${code} ${rest} of ${who} about ${step.about}, ${words} ${sent} =>${whatLeft(played)}`;
}

function whatLeft(played: TimedOutcome | undefined): string {
  const outcome = played?.outcome;
  if (outcome?.kind !== 'packet') return ' nothing';
  return outcome.emissions.map(({ side, frame }) => ` ${side} ${frame.slice(0, 160)}`).join(';') || ' nothing';
}

/** What went in and what came out of one side, as a capture that Wireshark reads (pcap, microseconds, Ethernet). */
export function writePcap(path: string, outcomes: readonly TimedOutcome[]): void {
  const frames = outcomes.flatMap(({ at, outcome }) => {
    if (outcome.kind !== 'packet') return [];
    const sent = frameInto(outcome.side, fromHex(outcome.packet));
    const left = outcome.emissions.filter(({ side }) => side !== 'local');
    return [sent, ...left.map(({ frame }) => fromHex(frame))].map((bytes) => ({ at, bytes }));
  });
  writeFileSync(path, pcap(frames));
}

function pcap(frames: readonly { readonly at: number; readonly bytes: Uint8Array }[]): Uint8Array {
  const size = frames.reduce((sum, { bytes }) => sum + 16 + bytes.length, 24);
  const view = new DataView(new ArrayBuffer(size));
  const header = [0xa1b2c3d4, 0x00020004, 0, 0, 65535, 1];
  for (const [i, word] of header.entries()) view.setUint32(i * 4, word);
  let offset = 24;
  for (const { at, bytes } of frames) {
    const words = [Math.floor(at / 1000), Math.floor((at % 1000) * 1000), bytes.length, bytes.length];
    for (const [i, word] of words.entries()) view.setUint32(offset + i * 4, word);
    new Uint8Array(view.buffer).set(bytes, offset + 16);
    offset += 16 + bytes.length;
  }
  return new Uint8Array(view.buffer);
}
