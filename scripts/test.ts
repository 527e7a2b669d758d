// SPDX-License-Identifier: Apache-2.0
// What `npm test` runs after the build: installs missing Debian packages as root, then node's test runner twice: unit
// tests side by side with coverage of src/, and the tests of test/netns, which own the machine's devices, one at a time.
// Closes with the skipped tests by reason and the sum of both runs. With CI=true a skipped test is a failure.
// `npm test -- WORD …` runs the test files whose path contains one of the words.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { type FileCoverage, readCoverage } from './coverage.ts';
import { installPrograms } from './debian.ts';
import { TEST_PROGRAMS } from './packages.ts';
import { noTotals, REPORT_FILE_VARIABLE, type RunReport, TOTALS } from './test-reporter.ts';

const OUT = resolve(import.meta.dirname, '..');
const NETNS = join('test', 'netns');
const TEST_TIMEOUT_MS = 300_000;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

interface Run {
  readonly status: number;
  readonly report: RunReport | undefined;
}

/** Whether a signal has asked for the end. */
let interrupted = false;

const say = (line: string): void => console.log(line);
process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  installPrograms(TEST_PROGRAMS, say);
  const files = testFiles().filter(
    (file) => words.length === 0 || words.some((word) => relative(OUT, file).includes(word)),
  );
  if (files.length === 0) {
    say(`no test file matches ${words.join(' ')}`);
    return 1;
  }
  const isNetns = (file: string): boolean => relative(OUT, file).startsWith(NETNS);
  const units = files.filter((file) => !isNetns(file));
  const netns = files.filter(isNetns);
  const runs: Run[] = [];
  const coverageFolder = mkdtempSync(join(tmpdir(), 'ballast-coverage-'));
  // Tests start processes as plain users, and those report too.
  chmodSync(coverageFolder, 0o1777);
  try {
    if (units.length > 0)
      runs.push(await runTests(units, availableParallelism(), { NODE_V8_COVERAGE: coverageFolder }));
    if (netns.length > 0 && !interrupted) runs.push(await runTests(netns, 1, {}));
    if (words.length === 0 && !interrupted) sayCoverage(readCoverage(coverageFolder, sourceModules()));
  } finally {
    rmSync(coverageFolder, { recursive: true, force: true });
  }
  return close(runs);
}

/** Compiled tests that still have their source. */
function testFiles(): string[] {
  return readdirSync(OUT, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.js') && existsSync(path.replace(/\.js$/, '.ts')))
    .map((path) => join(OUT, path))
    .sort();
}

/** Compiled modules of src/ that still have their source, without the tests. */
function sourceModules(): string[] {
  return readdirSync(join(OUT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.js') && !path.endsWith('.test.js'))
    .filter((path) => existsSync(join('src', path.replace(/\.js$/, '.ts'))))
    .map((path) => join(OUT, 'src', path));
}

async function runTests(files: readonly string[], concurrency: number, variables: NodeJS.ProcessEnv): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-test-'));
  const reportFile = join(folder, 'report.json');
  const args = [
    '--enable-source-maps',
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    `--test-reporter=${join(import.meta.dirname, 'test-reporter.js')}`,
    '--test-reporter-destination=stdout',
    ...files,
  ];
  try {
    const status = await runNode(args, { ...process.env, ...variables, [REPORT_FILE_VARIABLE]: reportFile });
    const report = existsSync(reportFile) ? (JSON.parse(readFileSync(reportFile, 'utf8')) as RunReport) : undefined;
    return { status, report };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Ctrl-C ends the child, not this process: it has folders to remove. */
async function runNode(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(process.execPath, args, { env, stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => {
    interrupted = true;
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, pass);
  try {
    const [status] = (await once(child, 'exit')) as [number | null];
    return status ?? 1;
  } finally {
    for (const signal of SIGNALS) process.off(signal, pass);
  }
}

/** Prints the summary of all runs and returns the exit status. */
function close(runs: readonly Run[]): number {
  const totals = noTotals();
  for (const run of runs) for (const name of TOTALS) totals[name] += run.report?.totals[name] ?? 0;
  const skipped = runs.flatMap((run) => run.report?.skipped ?? []);
  saySkipped(skipped);
  say('');
  for (const name of TOTALS) say(`# ${name} ${totals[name]}`);
  const failed = runs.some((run) => run.status !== 0 || run.report === undefined) || totals.fail + totals.cancelled > 0;
  if (!failed && totals.pass === 0) return 1;
  if (process.env.CI === 'true' && skipped.length > 0) {
    say('# CI=true: a skipped test is a failure');
    return 1;
  }
  return failed ? 1 : 0;
}

function saySkipped(skipped: RunReport['skipped']): void {
  if (skipped.length === 0) return;
  const counts = new Map<string, number>();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const suites = skipped.filter(({ isSuite }) => isSuite).length;
  const whole = suites === 0 ? '' : ` and ${suites} whole suites`;
  say(`\nskipped ${skipped.length - suites} tests${whole}:`);
  for (const [reason, count] of counts) say(`  ${String(count).padStart(4)}  ${reason}`);
}

/** One line for each folder of src/: how much of its lines and functions the unit tests ran. */
function sayCoverage(files: readonly FileCoverage[]): void {
  const folders = new Map<string, FileCoverage[]>();
  for (const file of files) {
    const folder = relative(OUT, file.path).split('/').slice(0, 2).join('/');
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  const line = (name: string, of: readonly FileCoverage[]): void => {
    const sum = (count: (file: FileCoverage) => number): number => of.reduce((total, file) => total + count(file), 0);
    const lines = percent(
      sum((file) => file.coveredLines),
      sum((file) => file.lines),
    );
    const functions = percent(
      sum((file) => file.coveredFunctions),
      sum((file) => file.functions),
    );
    say(`  ${name.padEnd(22)} ${lines.padStart(8)} ${functions.padStart(10)}`);
  };
  say('\ncoverage by unit tests      lines  functions');
  for (const [name, of] of [...folders].sort()) line(name, of);
  line('all', files);
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`;
}
