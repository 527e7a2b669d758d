// SPDX-License-Identifier: Apache-2.0
// `ballast lab …`: checks, stands the lab up, lets it tell its story, and takes it down again whatever happens: at the
// end, after Ctrl-C, after an error. What a killed lab left is removed by the next one. Called by the main program.

import { basename, relative } from 'node:path';
import { SysError, UnsupportedError } from '../linux/errno.ts';
import { abortable } from './abortable.ts';
import { removeLab, removeLabAtExit } from './claim.ts';
import { LabError } from './lab-error.ts';
import type { Narrator } from './nat.ts';
import { LAB_HELP, type LabOptions, LabUsageError, parseLabOptions } from './options.ts';
import { DEFAULT_PREFIX } from './plan.ts';
import type { StandingLab } from './standing-lab.ts';
import { STORIES, type Story, type Told } from './stories.ts';
import { TablePainter } from './table.ts';

const SIGNALS: Readonly<Partial<Record<NodeJS.Signals, number>>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

/** Runs `ballast lab ARGS` and returns the exit status: 0 when every request was answered and the shares are right. */
export async function runLab(args: readonly string[]): Promise<number> {
  let options: LabOptions | 'help';
  try {
    options = parseLabOptions(args);
  } catch (error) {
    if (!(error instanceof LabUsageError)) throw error;
    process.stderr.write(`ballast lab: ${error.message}\n${LAB_HELP}`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(LAB_HELP);
    return 0;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write(
      'ballast lab: needs root, to make network namespaces and load XDP programs: run it with sudo\n',
    );
    return 1;
  }
  return withSignals((signal) => (options.down ? down() : runStory(STORIES[options.name], options, signal)));
}

/** Runs `body` with a signal that SIGINT, SIGTERM and SIGHUP abort; errors for the user become a line and a status. */
async function withSignals(body: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const controller = new AbortController();
  let interrupted: number | undefined;
  const onSignal = (name: NodeJS.Signals): void => {
    interrupted ??= SIGNALS[name];
    controller.abort(new LabError(`interrupted by ${name}; everything is removed`));
  };
  for (const name of Object.keys(SIGNALS)) process.on(name, onSignal);
  try {
    return await body(controller.signal);
  } catch (error) {
    if (!isForUser(error)) throw error;
    process.stderr.write(`ballast lab: ${error.message}\n`);
    return interrupted ?? 1;
  } finally {
    for (const name of Object.keys(SIGNALS)) process.off(name, onSignal);
  }
}

function isForUser(error: unknown): error is Error {
  return error instanceof LabError || error instanceof SysError || error instanceof UnsupportedError;
}

async function down(): Promise<number> {
  const removed = await removeLab(DEFAULT_PREFIX);
  process.stdout.write(removed === undefined ? 'there is no lab to remove\n' : `removed ${removed}\n`);
  return 0;
}

async function runStory(story: Story, options: LabOptions, signal: AbortSignal): Promise<number> {
  const narrator: Narrator = options.json
    ? { say: () => {}, painter: undefined }
    : { say: (text) => process.stdout.write(`${text}\n`), painter: new TablePainter(process.stdout) };
  story.check();
  const opening = story.open(options);
  let lab: StandingLab;
  try {
    lab = await abortable(opening, signal);
  } catch (error) {
    // Interrupted while it was built: wait until it stands or has failed, then take it down.
    await opening.then(
      (standing) => standing.close(),
      () => {},
    );
    throw error;
  }
  // For ends that no finally sees: an output that nobody reads any more, an error of our own.
  const onExit = (): void => removeLabAtExit(DEFAULT_PREFIX);
  process.on('exit', onExit);
  let keep = false;
  try {
    if (lab.claim.removed !== undefined) narrator.say(`removed what an earlier lab left: ${lab.claim.removed}\n`);
    narrator.say(story.draw(lab));
    const told = await story.tell(lab, options, narrator, signal);
    keep = options.keep;
    conclude(told, lab, options, narrator);
    return told.report.problem === null ? 0 : 1;
  } finally {
    if (!keep) await lab.close();
    process.off('exit', onExit);
  }
}

function conclude({ report, verdict, details }: Told, lab: StandingLab, options: LabOptions, narrator: Narrator): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  narrator.say(`\n${report.problem === null ? `ok: ${verdict}` : `FAILED: ${report.problem}`}`);
  for (const detail of details) narrator.say(`  ${detail}`);
  if (options.keep) narrator.say(keptText(lab, options));
}

function keptText(lab: StandingLab, { name }: LabOptions): string {
  const { plan, director } = lab;
  const enter = (namespace: string): string => `nsenter --net=/run/netns/${namespace}`;
  return [
    '\nThe lab stays:',
    `  ${enter(plan.client.namespace)} curl ${name === 'ftp' ? 'ftp' : 'http'}://${plan.virtual.v4}/`,
    `  ${enter(plan.director.namespace)} bash`,
    `  BALLAST_SOCKET=${director.socket} ${program()} ipvsadm -Ln`,
    `Remove it with: ${program()} lab ${name} --down`,
  ].join('\n');
}

/** How this program was called, for commands to copy: from a checkout it is in nobody's PATH. */
function program(): string {
  const path = process.argv[1];
  return basename(path) === 'ballast' ? 'ballast' : `node ${relative('', path)}`;
}
