// SPDX-License-Identifier: Apache-2.0
// A real server of a real kernel that has tunnel devices: User Mode Linux behind a tap, with a web server in it, and the
// tests' client at the tap.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommandResult } from '../../src/lab/director.ts';
import { UserModeLinux } from '../oracle/uml.ts';

const AGENT = fileURLToPath(new URL('./agent.js', import.meta.url));
const WEB = fileURLToPath(new URL('../../src/lab/server-process.js', import.meta.url));
const PATIENCE_MS = 120_000;

export interface KernelServerOptions {
  /** Namespace and name of the tap that is its cable. */
  readonly namespace: string;
  readonly tap: string;
  /** Addresses of its device, with the lengths of their prefixes. */
  readonly addresses: readonly string[];
}

export class KernelServer {
  readonly #uml: UserModeLinux;
  #serial = 0;

  private constructor(uml: UserModeLinux) {
    this.#uml = uml;
  }

  /** Boots it; resolves when its web server listens on port 80. No tunnel module is loaded. */
  static async boot({ namespace, tap, addresses }: KernelServerOptions): Promise<KernelServer> {
    const uml = await UserModeLinux.boot({
      modules: ['ipv6'],
      program: ['--enable-source-maps', AGENT],
      patienceMs: PATIENCE_MS,
      cables: { eth0: tap },
      namespace,
    });
    const server = new KernelServer(uml);
    try {
      await server.must('sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.eth0.accept_dad=0');
      await server.must('ip', 'link', 'set', 'eth0', 'up');
      for (const address of addresses) {
        const nodad = address.includes(':') ? ['nodad'] : [];
        await server.must('ip', 'address', 'add', address, 'dev', 'eth0', ...nodad);
      }
      await server.#ask('start', [process.execPath, WEB, 'rs1', '80']);
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** Runs a program to its end. */
  run(...command: readonly string[]): Promise<CommandResult> {
    return this.#result('run', command);
  }

  /** Runs `ballast realserver ARGS`, which must succeed, and returns its output. */
  async ballast(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.#result('ballast', args);
    if (status !== 0) throw new Error(`ballast realserver ${args.join(' ')}: status ${status}: ${stderr}`);
    return stdout;
  }

  async #result(word: string, command: readonly string[]): Promise<CommandResult> {
    const path = await this.#ask(word, command);
    const result = JSON.parse(readFileSync(`${path}.out`, 'utf8')) as CommandResult;
    rmSync(`${path}.out`);
    return result;
  }

  /** {@link run} for commands that must succeed: their output. */
  async must(...command: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...command);
    if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}: ${stderr}`);
    return stdout;
  }

  /** All that a real server may change, as text. */
  async look(): Promise<string> {
    const name = `look-${++this.#serial}`;
    await this.#uml.ask(`look ${name}`);
    const path = join(this.#uml.folder, name);
    const text = readFileSync(path, 'utf8');
    rmSync(path);
    return text;
  }

  /** Makes a file that both see and returns its path. */
  write(name: string, text: string): string {
    const path = join(this.#uml.folder, name);
    writeFileSync(path, text);
    return path;
  }

  async mac(): Promise<string> {
    return (await this.must('cat', '/sys/class/net/eth0/address')).trim();
  }

  close(): Promise<void> {
    return this.#uml.close();
  }

  async #ask(word: string, command: readonly string[]): Promise<string> {
    const name = `command-${++this.#serial}`;
    const path = this.write(name, JSON.stringify(command));
    const [answer] = await this.#uml.ask(`${word} ${name}`);
    rmSync(path);
    if (answer !== 'done') throw new Error(`${command.join(' ')} ${answer}`);
    return path;
  }
}
