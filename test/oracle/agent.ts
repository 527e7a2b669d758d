// SPDX-License-Identifier: Apache-2.0
// Runs inside User Mode Linux, started by its init script: plays scenarios against the kernel's IPVS and writes down what
// came of them. Speaks lines with the host over the console; scenarios and outcomes go through files of the folder
// that both see. Scenarios of one request wait together, so that waiting costs once.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { formatAddress } from '../../src/packet/address.ts';
import { CHUNK_INIT } from '../../src/packet/sctp.ts';
import { fromHex, hex } from '../support/frames.ts';
import { type IcmpStep, icmpOf, type Trace } from './icmp-step.ts';
import { KernelWorld, type KernelWorldOptions, prepareFarEnd } from './kernel-world.ts';
import { type Emission, type Listing, listingsOf, type StepOutcome, type TimedOutcome } from './outcome.ts';
import {
  commandsFrom,
  conversationName,
  endsOf,
  type PacketStep,
  packetOf,
  type Scenario,
  type Step,
} from './scenario.ts';
import { isTunnelled } from './tunnel-frame.ts';
import { LINE_MARK } from './uml.ts';
import type { Side } from './world.ts';

const ETH_HLEN = 14;
/** Before the first line of each listing. */
const LISTING_START = /^(?=IP Virtual Server version|IPVS connection entries)/m;

interface Target {
  readonly address: string;
  readonly port: number;
}

/** A scenario under way. */
class Play {
  readonly #scenario: Scenario;
  readonly #serial: number;
  readonly #world: KernelWorld;
  readonly #plain: KernelWorld;
  readonly #targets = new Map<string, Target>();
  readonly #traces = new Map<string, Trace>();
  readonly #seen = new Set<string>();
  #endsLost = false;

  constructor(scenario: Scenario, serial: number, world: KernelWorld, plain: KernelWorld) {
    this.#scenario = scenario;
    this.#serial = serial;
    this.#world = world;
    this.#plain = plain;
  }

  async run(): Promise<TimedOutcome[]> {
    const { marks, steps } = this.#scenario;
    if (marks.length > 0) this.#world.mark(marks);
    const outcomes: TimedOutcome[] = [];
    const start = performance.now();
    for (let i = 0; i < steps.length; ) {
      const at = performance.now() - start;
      const lines = commandsFrom(steps, i);
      if (lines.length > 0) {
        const result = this.#world.ipvsadm(['-R'], lines.join('\n'));
        for (const _ of lines) outcomes.push({ at, outcome: { kind: 'command', ...result } });
        // Connections of servers that are gone end in the background.
        if (this.#endsLost) Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
        i += lines.length;
        continue;
      }
      const step = steps[i];
      if (step.kind === 'wait') {
        // Only here do scenarios give way to one another: packets that follow closely stay close.
        await new Promise((resolve) => setTimeout(resolve, step.seconds * 1000));
        outcomes.push({ at, outcome: { kind: 'wait' } });
      } else if (step.kind !== 'ipvsadm') {
        const outcome = this.#step(step);
        outcomes.push({ at, took: performance.now() - start - at, outcome });
      }
      i++;
    }
    return outcomes;
  }

  #step(step: Exclude<Step, { kind: 'wait' | 'ipvsadm' }>): StepOutcome {
    switch (step.kind) {
      case 'packet':
        return this.#packet(step);
      case 'icmp':
        return this.#icmp(step);
      case 'sysctl':
        this.#world.sysctl(step.name, step.value);
        if (step.name === 'expire_nodest_conn') this.#endsLost = step.value !== 0;
        return { kind: 'command', status: 0, output: '' };
      case 'look':
        return { kind: 'look', listings: this.#look(listingsOf(step.counters)) };
    }
  }

  /** All listings by one program, which is dear to start in here. */
  #look(names: readonly string[]): Listing[] {
    const { output } = this.#world.ipvsadm(['-R'], names.join('\n'));
    const texts = output.split(LISTING_START);
    if (texts.length !== names.length) throw new Error(`${names.length} listings asked for, got: ${output}`);
    return names.map((name, i) => ({ name, text: texts[i] }));
  }

  /** Whether a packet may have put another connection in the place of an old one. */
  #mayReplace(step: PacketStep, name: string): boolean {
    if (step.direction === 'reply' || !this.#seen.has(name)) return false;
    return this.#endsLost || step.flags.includes('S') || step.chunks[0] === CHUNK_INIT;
  }

  #packet(step: PacketStep): StepOutcome {
    const name = conversationName(step);
    const packet = packetOf(this.#uniquely(step), endsOf(step, this.#targets.get(name)));
    const side = step.direction === 'request' ? 'front' : 'back';
    const emissions = this.#world.exchange(side, packet);
    const isForPlain = step.piece !== undefined || !isDirectors(side, packet, emissions);
    const plain = isForPlain ? this.#plain.exchange(side, packet) : [];
    this.#follow(step, name, emissions);
    if (this.#mayReplace(step, name)) Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
    this.#seen.add(name);
    return { kind: 'packet', packet: hex(packet), side, emissions, plain };
  }

  /** Identifications are another world's in the next one: the kernel without services sees the datagrams of all. */
  #uniquely(step: PacketStep): PacketStep {
    if (step.piece === undefined) return step;
    return { ...step, piece: { ...step.piece, id: (step.piece.id + this.#serial * 641) & 0xffff } };
  }

  #icmp(step: IcmpStep): StepOutcome {
    const { side, packet } = icmpOf(step, this.#traces.get(conversationName(step)));
    const emissions = this.#world.exchange(side, packet);
    const plain = isDirectors(side, packet, emissions) ? [] : this.#plain.exchange(side, packet);
    return { kind: 'packet', packet: hex(packet), side, emissions, plain };
  }

  /** Notes where a packet went. */
  #follow(step: PacketStep, name: string, emissions: readonly Emission[]): void {
    const out = emissions.find(({ side }) => side === (step.direction === 'request' ? 'back' : 'front'));
    if (out === undefined) return;
    const trace = this.#traces.get(name) ?? {
      server: step.server,
      request: undefined,
      reply: undefined,
      isNat: false,
    };
    this.#traces.set(name, trace);
    const frame = fromHex(out.frame);
    const packet = frame.subarray(ETH_HLEN);
    if (step.direction === 'reply') {
      trace.reply = packet;
      return;
    }
    trace.request = packet;
    trace.server = frame[SERVER_OCTET];
    const target = destinationOf(packet);
    // Without NAT servers answer past the director.
    trace.isNat = target.address !== step.virtual && !isTunnelled(packet);
    if (trace.isNat) this.#targets.set(name, target);
  }
}

/** Whether what left is of IPVS without doubt: a packet to a server, or one under another address than it came with. */
function isDirectors(side: Side, packet: Uint8Array, emissions: readonly Emission[]): boolean {
  if (side === 'front') return emissions.some((emission) => emission.side === 'back');
  const [from, length] = packet[0] >>> 4 === 4 ? [12, 4] : [8, 16];
  const source = (bytes: Uint8Array): string => hex(bytes.subarray(from, from + length));
  return emissions.some(
    (emission) => emission.side === 'front' && source(fromHex(emission.frame).subarray(ETH_HLEN)) !== source(packet),
  );
}

/** The last octet of the MAC address to which a frame goes is the server's number. */
const SERVER_OCTET = 5;

/** The kernel ends a connection that another takes the place of with its next tick; until then a packet may revive it. */
const PAUSE_MS = 25;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** Where a packet goes. */
function destinationOf(packet: Uint8Array): Target {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  if (packet[0] >>> 4 === 4) {
    return { address: formatAddress(4, [view.getInt32(16), 0, 0, 0]), port: view.getUint16((packet[0] & 15) * 4 + 2) };
  }
  const words = [24, 28, 32, 36].map((at) => view.getInt32(at));
  return { address: formatAddress(6, words), port: view.getUint16(42) };
}

/** Kernels without any virtual service, one for each kind of world. */
const plains = new Map<string, KernelWorld>();

function plainFor(options: KernelWorldOptions): KernelWorld {
  const key = JSON.stringify(options);
  const plain = plains.get(key) ?? new KernelWorld(`plain${plains.size}`, options);
  plains.set(key, plain);
  return plain;
}

async function playIn(serial: number, scenario: Scenario): Promise<TimedOutcome[]> {
  const options = { mtus: scenario.mtus, isTapped: scenario.hasLocalServers };
  const plain = plainFor(options);
  const world = new KernelWorld(`w${serial}`, options);
  try {
    return await new Play(scenario, serial, world, plain).run();
  } finally {
    world.close();
  }
}

async function main(folder: string): Promise<void> {
  prepareFarEnd();
  let serial = 0;
  const say = (line: string): void => void process.stdout.write(`${LINE_MARK}${line}\n`);
  say('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, name] = line.trim().split(' ');
    if (word !== 'play') break;
    try {
      const scenarios = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Scenario[];
      const plays: Promise<TimedOutcome[]>[] = [];
      for (const scenario of scenarios) {
        const play = playIn(++serial, scenario);
        play.catch(() => {});
        plays.push(play);
        // Those that have waited long enough go first: the time that passes in a scenario stays near what it says.
        await new Promise(setImmediate);
      }
      writeFileSync(join(folder, `${name}.out`), JSON.stringify(await Promise.all(plays)));
      say('done');
    } catch (error) {
      say(`failed ${JSON.stringify(error instanceof Error ? (error.stack ?? error.message) : String(error))}`);
    }
  }
}

await main(process.argv[2]);
