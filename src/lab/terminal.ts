// SPDX-License-Identifier: Apache-2.0
// The terminal of a lab's story: commands as somebody types them on one of its hosts, printed with what they answer.

import { spawnInNamespace } from '../linux/process-namespace.ts';
import { abortable } from './abortable.ts';
import type { CommandResult } from './director.ts';
import { BALLAST, outcome } from './director.ts';
import { LabError } from './lab-error.ts';
import type { Narrator } from './nat.ts';
import type { HostPlan } from './plan.ts';
import { type LabProgram, programPath } from './programs.ts';
import type { StandingLab } from './standing-lab.ts';

export class Terminal {
  readonly #lab: StandingLab;
  readonly #narrator: Narrator;
  readonly #signal: AbortSignal;

  constructor(lab: StandingLab, narrator: Narrator, signal: AbortSignal) {
    this.#lab = lab;
    this.#narrator = narrator;
    this.#signal = signal;
  }

  say(text: string): void {
    this.#narrator.say(text);
  }

  /** Runs `ipvsadm` against the director. Rejects with a LabError when it fails. */
  ipvsadm(...args: readonly string[]): Promise<string> {
    return this.#must('director', ['ipvsadm', ...args], this.#lab.director.ipvsadm(args));
  }

  /** Runs `ballast` against the director. */
  ballast(...args: readonly string[]): Promise<string> {
    return this.#must('director', ['ballast', ...args], this.#lab.director.ballast(args));
  }

  /** Runs a program on the director. */
  onDirector(program: LabProgram, ...args: readonly string[]): Promise<string> {
    return this.#run('director', this.#lab.plan.director.namespace, program, args);
  }

  /** Runs a program on the client. */
  onClient(program: LabProgram, ...args: readonly string[]): Promise<string> {
    return this.#run('client', this.#lab.plan.client.namespace, program, args);
  }

  /** Runs a program on any host. */
  on(
    host: { readonly name: string; readonly namespace: string },
    program: LabProgram,
    ...args: readonly string[]
  ): Promise<string> {
    return this.#run(host.name, host.namespace, program, args);
  }

  /** Runs `ballast` on a server. */
  async ballastOn(server: HostPlan, shown: readonly string[], hidden: readonly string[] = []): Promise<string> {
    const running = runBallast(server.namespace, [...shown, ...hidden]);
    return await this.#must(server.name, ['ballast', ...shown], running);
  }

  /** {@link onClient} for a command that may fail: its status and output. */
  async tryOnClient(program: LabProgram, ...args: readonly string[]): Promise<CommandResult> {
    const result = await abortable(start(this.#lab.plan.client.namespace, program, args), this.#signal);
    this.#print('client', [program, ...args], result);
    return result;
  }

  #run(host: string, namespace: string, program: LabProgram, args: readonly string[]): Promise<string> {
    return this.#must(host, [program, ...args], start(namespace, program, args));
  }

  async #must(host: string, words: readonly string[], running: Promise<CommandResult>): Promise<string> {
    const result = await abortable(running, this.#signal);
    this.#print(host, words, result);
    if (result.status === 0) return result.stdout;
    const said = result.stderr.trim() || result.stdout.trim() || 'it said nothing';
    throw new LabError(`${words.join(' ')}: status ${result.status}: ${said}`);
  }

  #print(host: string, words: readonly string[], { status, stdout, stderr }: CommandResult): void {
    this.say(`${host}$ ${words.map(quoted).join(' ')}`);
    const text = `${stdout}${status === 0 ? '' : stderr}`.trimEnd();
    if (text !== '') this.say(text);
  }
}

function runBallast(namespace: string, args: readonly string[]): Promise<CommandResult> {
  return outcome(
    spawnInNamespace(namespace, process.execPath, [BALLAST, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    }),
  );
}

/** A word as a shell wants it; brackets of addresses are harmless. */
function quoted(word: string): string {
  return /[\s;'"$&|<>()*]/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : word;
}

function start(namespace: string, program: LabProgram, args: readonly string[]): Promise<CommandResult> {
  // Its own group: a Ctrl-C at the terminal is for the lab alone, which ends what runs.
  const options = { stdio: ['ignore', 'pipe', 'pipe'], detached: true } as const;
  return outcome(spawnInNamespace(namespace, programPath(program), args, { ...options, stdio: [...options.stdio] }));
}
