// SPDX-License-Identifier: Apache-2.0
// What the engine makes of the kernel's firewall rules, against the kernel itself: random rule sets of nft and of both
// kinds of iptables, and for random packets the mark that each side gives.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { readKernelRules } from '../../src/dataplane/rules/kernel-rules.ts';
import { readXtTables } from '../../src/linux/netfilter/xt-reader.ts';
import { Marks } from '../../src/lvs/classify/marks.ts';
import { packRules } from '../../src/lvs/classify/pack.ts';
import { compare as compareWords, type Span } from '../../src/lvs/classify/ranges.ts';
import { couldGet, type Reach, reachOf } from '../../src/lvs/classify/reach.ts';
import { Headers, PARSE_OK, parseFrame } from '../../src/packet/parse.ts';
import { randomPacket, type TestPacket } from '../support/marks/packets.ts';
import { randomIptables } from '../support/marks/random-iptables.ts';
import { randomNft } from '../support/marks/random-nft.ts';
import { MarkStage } from '../support/marks/stage.ts';
import { Random } from '../support/random.ts';
import { requirements } from '../support/requirements.ts';

const skip = requirements('root', 'program:ip', 'program:nft', 'program:iptables');

const PACKETS = 200;

let stage: MarkStage;

before(() => {
  if (!skip) stage = new MarkStage();
});
after(() => {
  if (!skip) stage.close();
});

/**
 * The marks that the engine gives, by packet, with the rules that stand now. Packets that get one must be among those that
 * the rules are said to reach: the XDP program catches no others.
 */
function engineMarks(packets: readonly TestPacket[]): Map<number, number> {
  const reading = stage.lab.run(() => readKernelRules(readXtTables(), { mostMs: 10_000, always: true }));
  assert.deepEqual(reading.unreadable, []);
  const marks = new Marks();
  marks.setKernelRules(packRules(reading.rules));
  marks.setDevice(stage.pair.near.index, stage.pair.near.name);
  const reach = reachOf(reading.rules);
  const headers = new Headers();
  return new Map(
    packets.map((packet) => {
      const frame = packet.frame(stage.pair);
      const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
      assert.equal(parseFrame(view, 0, frame.length, headers), PARSE_OK, packet.text);
      const mark = marks.markOf(view, headers, stage.pair.near.index);
      const isReached = mark === 0 || reach.some((one) => couldGet(one, mark) && holds(one, view, headers));
      assert.ok(isReached, `${packet.text} gets ${mark}, and no rule is said to reach it`);
      return [packet.id, mark];
    }),
  );
}

/** Whether a packet is of a kind, as far as the XDP program looks at it. */
function holds(reach: Reach, view: DataView, { family, ip, protocol, transport }: Headers): boolean {
  const words = family === 4 ? [view.getUint32(ip + 16)] : [24, 28, 32, 36].map((at) => view.getUint32(ip + at));
  const isIn = (spans: readonly Span[] | undefined, key: readonly number[]): boolean =>
    spans === undefined || spans.some(({ low, high }) => compareWords(low, key) <= 0 && compareWords(key, high) <= 0);
  return (
    reach.family === family &&
    reach.protocols.includes(protocol) &&
    isIn(reach.destinations, words) &&
    isIn(reach.ports, [view.getUint16(transport + 2) << 16])
  );
}

let lastId = 0;

/** Packets with ids, and so sources, that none had before them. */
function somePackets(random: Random): TestPacket[] {
  return Array.from({ length: PACKETS }, () => {
    lastId++;
    return randomPacket(random, lastId);
  });
}

async function compare(seed: number, install: (random: Random) => string): Promise<void> {
  const random = new Random(seed);
  stage.clear();
  const rules = install(random);
  const packets = somePackets(random);
  const mine = engineMarks(packets);
  const kernel = await stage.marksOf(packets);
  for (const packet of packets) {
    const [expected, actual] = [kernel.get(packet.id), mine.get(packet.id)];
    assert.equal(actual, expected, `mark of ${packet.text}\n${rules}`);
  }
}

/** Checks {@link compare} for many rule sets. */
function property(install: (random: Random) => string, numRuns: number): Promise<void> {
  const checked = fc.asyncProperty(fc.integer(), (seed) => compare(seed, install));
  return fc.assert(checked, {
    numRuns,
    endOnFailure: true,
    includeErrorInReport: true,
  });
}

const nft = (rules: string): void => stage.exec('nft', ['-f', '-'], rules);
const iptables = (program: string, rules: string): void => stage.exec(program, [], rules);

test('every packet comes through to the end of the rules', { skip }, async () => {
  stage.clear();
  const packets = somePackets(new Random(1));
  nft('table inet t { chain c { type filter hook prerouting priority 0; meta mark set 5; }; }');
  assert.deepEqual(new Set((await stage.marksOf(packets)).values()), new Set([5]));
  assert.deepEqual(new Set(engineMarks(packets).values()), new Set([5]));
});

test('random rules of nft give the marks that the kernel gives', { skip }, () =>
  property((random) => {
    const rules = randomNft(random);
    nft(rules);
    return rules;
  }, 15),
);

for (const variant of ['nft', 'legacy']) {
  test(`random rules of iptables-${variant} give the marks that the kernel gives`, { skip }, () =>
    property((random) => {
      const rules = [false, true].map((isIpv6) => {
        const text = randomIptables(random, isIpv6);
        iptables(`ip${isIpv6 ? '6' : ''}tables-${variant}-restore`, text);
        return text;
      });
      return rules.join('\n');
    }, 12),
  );
}
