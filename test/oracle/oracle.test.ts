// SPDX-License-Identifier: Apache-2.0
// The oracle in short: a fixed set of random scenarios in which the kernel and the director never differ, and the proof that
// it would tell. At length it is `npm run oracle`.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { RoundRobin } from '../../src/lvs/schedule/round-robin.ts';
import { OracleKernel } from './kernel.ts';
import { describe } from './report.ts';
import { scenariosOf } from './run-oracle.ts';
import type { Scenario } from './scenario.ts';
import { assertAgreement, CONVERSATION, compare, SKIP, SYN } from './short-form.ts';

const SEED = 20261127;
const CASES = 40;
const PACKETS = 100;

suite('the oracle', { skip: SKIP }, () => {
  let kernel: OracleKernel;
  before(async () => {
    kernel = await OracleKernel.boot();
  });
  after(() => kernel.close());

  test('kernel and director agree about every frame, listing and counter', async () => {
    await assertAgreement(kernel, scenariosOf(SEED, 0, CASES, PACKETS), CASES, PACKETS);
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
    const { tally, findings } = await compare(kernel, roundRobin());
    assert.equal(tally.different, 1);
    const [finding] = findings;
    assert.ok(finding.scenario.steps.length <= 12, describe(finding));
    const text = describe(finding);
    assert.match(text, /frames that leave/);
    assert.match(text, /ipvsadm -A -t 10\.0\.0\.1:80 -s rr/);
  });
});

/** Thirty connections among two servers. */
function roundRobin(): Scenario[] {
  const steps = [
    { kind: 'ipvsadm', line: '-A -t 10.0.0.1:80 -s rr' },
    { kind: 'ipvsadm', line: '-a -t 10.0.0.1:80 -r 192.168.1.1:80 -m' },
    { kind: 'ipvsadm', line: '-a -t 10.0.0.1:80 -r 192.168.1.2:80 -m' },
    ...Array.from({ length: 30 }, (_, i) => ({ ...CONVERSATION, ...SYN, clientPort: 2000 + i })),
  ] as const;
  return [{ name: 'round robin', marks: [], steps }];
}
