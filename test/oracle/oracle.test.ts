// SPDX-License-Identifier: Apache-2.0
// The oracle in short: a fixed set of random scenarios in which the kernel and the director never differ, and the proof that
// it would tell. At length it is `npm run oracle`.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { RoundRobin } from '../../src/lvs/schedule/round-robin.ts';
import { requirements } from '../support/requirements.ts';
import { OracleKernel } from './kernel.ts';
import { describe } from './report.ts';
import { type OracleRun, runOracle, scenariosOf } from './run-oracle.ts';
import type { Finding, Play } from './shrink.ts';

const SEED = 20261127;
const CASES = 40;
const PACKETS = 100;

const needs = requirements(
  'root',
  'program:linux.uml',
  'program:modprobe',
  'program:ipvsadm',
  'program:iptables-legacy',
);

suite('the oracle', { skip: needs }, () => {
  let kernel: OracleKernel;
  before(async () => {
    kernel = await OracleKernel.boot();
  });
  after(() => kernel.close());

  const play: Play = (scenarios) => kernel.play(scenarios);
  const gather = (findings: Finding[]): OracleRun => ({
    play,
    say: () => {},
    onFinding: (finding) => findings.push(finding),
  });

  test('kernel and director agree about every frame, listing and counter', async () => {
    const findings: Finding[] = [];
    const tally = await runOracle(scenariosOf(SEED, 0, CASES, PACKETS), gather(findings));
    assert.equal(findings.map(describe).join('\n'), '');
    assert.deepEqual([tally.cases, tally.different], [CASES, 0]);
    assert.ok(tally.ambiguous <= CASES / 4, `${tally.ambiguous} cases were cut short`);
    assert.ok(tally.packets >= (CASES * PACKETS * 3) / 4, `only ${tally.packets} packets were compared`);
  });

  test('a scheduler that is broken on purpose is found out, with a short scenario', async (t) => {
    const pick = RoundRobin.prototype.pick;
    let picks = 0;
    RoundRobin.prototype.pick = function (this: RoundRobin) {
      const server = pick.call(this);
      // Every fifth pick is skipped.
      return ++picks % 5 === 0 ? pick.call(this) : server;
    };
    t.after(() => {
      RoundRobin.prototype.pick = pick;
    });
    const findings: Finding[] = [];
    const tally = await runOracle(roundRobin(), gather(findings));
    assert.equal(tally.different, 1);
    const [finding] = findings;
    assert.ok(finding.scenario.steps.length <= 12, describe(finding));
    const text = describe(finding);
    assert.match(text, /frames that leave/);
    assert.match(text, /ipvsadm -A -t 10\.0\.0\.1:80 -s rr/);
  });
});

const CONVERSATION = { protocol: 'tcp', family: 4, client: '10.7.0.3', virtual: '10.0.0.1', virtualPort: 80 } as const;
const SYN = {
  kind: 'packet',
  direction: 'request',
  server: 1,
  flags: 'S',
  chunks: [],
  payload: '',
  ttl: 64,
  checksum: true,
} as const;

/** Thirty connections among two servers. */
function roundRobin(): ReturnType<typeof scenariosOf> {
  const steps = [
    { kind: 'ipvsadm', line: '-A -t 10.0.0.1:80 -s rr' },
    { kind: 'ipvsadm', line: '-a -t 10.0.0.1:80 -r 192.168.1.1:80 -m' },
    { kind: 'ipvsadm', line: '-a -t 10.0.0.1:80 -r 192.168.1.2:80 -m' },
    ...Array.from({ length: 30 }, (_, i) => ({ ...CONVERSATION, ...SYN, clientPort: 2000 + i })),
  ] as const;
  return [{ name: 'round robin', marks: [], steps }];
}
