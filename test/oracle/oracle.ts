// SPDX-License-Identifier: Apache-2.0
// `npm run oracle`: random scenarios, played into a real kernel's IPVS in User Mode Linux and into the director, compared
// frame by frame and listing by listing. Status 0 when they never differ, 1 when they do, 2 for a wrong command line.

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installPrograms } from '../../scripts/debian.ts';
import { ORACLE_PROGRAMS } from '../../scripts/packages.ts';
import { OracleKernel } from './kernel.ts';
import type { TimedOutcome } from './outcome.ts';
import { describe, writePcap } from './report.ts';
import { forwardScenariosOf, type OracleTally, runOracle, scenariosOf } from './run-oracle.ts';
import type { Scenario } from './scenario.ts';
import type { Finding } from './shrink.ts';

const HELP = `usage: npm run oracle -- [OPTIONS]

  --seed N        which scenarios (default 1)
  --cases C       how many (default 40)
  --first I       number of the first (default 0)
  --packets P     packets in each (default 200)
  --record FILE   write every scenario with what the kernel made of it, a line of JSON each
  --about WHAT    scheduling (default), or forwarding: methods, tunnels, path MTU, ICMP errors
  --fragments     with forwarding: also packets that have to be cut, or come in fragments
  --replay FILE   compare the director with what was recorded; needs neither root nor the kernel
  --output DIR    where scenarios and captures of differences go (default oracle-differences)
`;

interface Recorded {
  readonly scenario: Scenario;
  readonly outcomes: readonly TimedOutcome[];
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const findings: Finding[] = [];
  const onFinding = (finding: Finding): void => {
    findings.push(finding);
    report(finding, options.output, findings.length);
  };
  const tally =
    options.replay === undefined ? await live(options, onFinding) : await recorded(options.replay, onFinding);
  console.log(summary(tally));
  return tally.different === 0 ? 0 : 1;
}

function readOptions(args: readonly string[]): {
  seed: number;
  first: number;
  cases: number;
  packets: number;
  about: string;
  fragments: boolean;
  record: string | undefined;
  replay: string | undefined;
  output: string;
  help: boolean;
} {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      first: { type: 'string', default: '0' },
      cases: { type: 'string', default: '40' },
      packets: { type: 'string', default: '200' },
      about: { type: 'string', default: 'scheduling' },
      fragments: { type: 'boolean', default: false },
      record: { type: 'string' },
      replay: { type: 'string' },
      output: { type: 'string', default: 'oracle-differences' },
      help: { type: 'boolean', default: false },
    },
  });
  const { about, fragments, record, replay, output, help } = values;
  if (about !== 'scheduling' && about !== 'forwarding') {
    throw new RangeError(`--about '${about}' is neither scheduling nor forwarding`);
  }
  const number = (name: 'seed' | 'first' | 'cases' | 'packets', least = 1): number => {
    const value = Number(values[name]);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new RangeError(`--${name} '${values[name]}' is not a whole number from ${least} on`);
  };
  const numbers = {
    seed: number('seed'),
    first: number('first', 0),
    cases: number('cases'),
    packets: number('packets'),
  };
  return { ...numbers, about, fragments, record, replay, output, help };
}

async function live(
  options: ReturnType<typeof readOptions>,
  onFinding: (finding: Finding) => void,
): Promise<OracleTally> {
  const { seed, first, cases, packets, about, fragments, record } = options;
  const scenarios =
    about === 'forwarding'
      ? forwardScenariosOf(seed, first, cases, packets, { fragments })
      : scenariosOf(seed, first, cases, packets);
  installPrograms(ORACLE_PROGRAMS, console.log);
  if (record !== undefined) writeFileSync(record, '');
  const kernel = await OracleKernel.boot();
  try {
    return await runOracle(scenarios, {
      play: (scenarios) => kernel.play(scenarios),
      say: console.log,
      ...(record !== undefined && {
        record: (scenario, outcomes) => appendFileSync(record, `${JSON.stringify({ scenario, outcomes })}\n`),
      }),
      onFinding,
    });
  } finally {
    await kernel.close();
  }
}

async function recorded(path: string, onFinding: (finding: Finding) => void): Promise<OracleTally> {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const cases = lines.map((line) => JSON.parse(line) as Recorded);
  const known = new Map(cases.map(({ scenario, outcomes }) => [scenario.name, outcomes]));
  return await runOracle(
    cases.map(({ scenario }) => scenario),
    // Scenarios that nobody has played, those of a shrinking, are not there.
    {
      play: async (scenarios) => scenarios.map(({ name, steps }) => (known.get(name) ?? []).slice(0, steps.length)),
      say: console.log,
      onFinding,
    },
  );
}

function report(finding: Finding, folder: string, number: number): void {
  console.log(describe(finding));
  mkdirSync(folder, { recursive: true });
  const path = (name: string): string => join(folder, `${number}-${name}`);
  writeFileSync(path('scenario.json'), JSON.stringify(finding.scenario, undefined, 2));
  writePcap(path('kernel.pcap'), finding.outcomes);
  writePcap(path('director.pcap'), finding.director);
  console.log(`  scenario and captures: ${folder}/${number}-*`);
}

function summary({ cases, packets, different, unsteady, ambiguous }: OracleTally): string {
  const notes = [
    ...(unsteady === 0 ? [] : [`${unsteady} differed once and not again`]),
    ...(ambiguous === 0 ? [] : [`${ambiguous} cut short where the kernel's timer wheel decides`]),
  ];
  return [`${cases} cases, ${packets} packets compared, ${different} cases different`, ...notes].join('; ');
}
