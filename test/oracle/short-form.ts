// SPDX-License-Identifier: Apache-2.0
// What the oracle's short forms, the tests, have in common: what they need, how they judge, and a conversation to begin with.

import assert from 'node:assert/strict';
import { requirements } from '../support/requirements.ts';
import type { OracleKernel } from './kernel.ts';
import { describe } from './report.ts';
import { type OracleTally, runOracle } from './run-oracle.ts';
import type { Scenario } from './scenario.ts';
import type { Finding } from './shrink.ts';

/** Why the oracle cannot run here, or false. */
export const SKIP: string | false = requirements(
  'root',
  'program:linux.uml',
  'program:modprobe',
  'program:ipvsadm',
  'program:iptables-legacy',
);

export const CONVERSATION = {
  protocol: 'tcp',
  family: 4,
  client: '10.7.0.3',
  virtual: '10.0.0.1',
  virtualPort: 80,
} as const;

export const SYN = {
  kind: 'packet',
  direction: 'request',
  server: 1,
  flags: 'S',
  chunks: [],
  payload: '',
  ttl: 64,
  checksum: true,
} as const;

/** Plays the scenarios into kernel and director, and gathers where they differ. */
export async function compare(
  kernel: OracleKernel,
  scenarios: readonly Scenario[],
): Promise<{ readonly tally: OracleTally; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = [];
  const tally = await runOracle(scenarios, {
    play: (some) => kernel.play(some),
    say: () => {},
    onFinding: (finding) => findings.push(finding),
  });
  return { tally, findings };
}

/** No difference, and most of `cases` scenarios with `packets` packets each were compared to their end. */
export async function assertAgreement(
  kernel: OracleKernel,
  scenarios: readonly Scenario[],
  cases: number,
  packets: number,
): Promise<void> {
  const { tally, findings } = await compare(kernel, scenarios);
  assert.equal(findings.map(describe).join('\n'), '');
  assert.deepEqual([tally.cases, tally.different], [cases, 0]);
  assert.ok(tally.ambiguous <= cases / 4, `${tally.ambiguous} cases were cut short`);
  assert.ok(tally.packets >= (cases * packets * 3) / 4, `only ${tally.packets} packets were compared`);
}
