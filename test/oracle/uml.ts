// SPDX-License-Identifier: Apache-2.0
// Boots a real kernel with IPVS and tunnels: Debian's User Mode Linux, on this machine's own files, with an init script
// that loads modules and starts one program of ours in it. Spoken with by lines over the console; its network devices may
// be taps of this machine.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';

/** Tells the program's lines from the kernel's on the console. */
export const LINE_MARK = '\u0002';

const MEMORY = '1024M';
const BOOT_MS = 60_000;

export interface UmlOptions {
  /** Kernel modules to load. */
  readonly modules: readonly string[];
  /** Node program to start, with its arguments; the folder is added as the last one. */
  readonly program: readonly string[];
  /** Most time that an answer may take. */
  readonly patienceMs: number;
  /** Tap devices of `namespace` by the devices that they are to the kernel, as cables: `{ eth0: 'tap0' }`. */
  readonly cables?: Readonly<Record<string, string>>;
  /** Network namespace that the kernel runs in as a process of this machine; this process's own unless given. */
  readonly namespace?: string;
}

export class UserModeLinux {
  /** Seen by both: for what is too long for a line. */
  readonly folder: string;
  readonly #process: ChildProcess;
  readonly #patienceMs: number;
  readonly #lines: string[] = [];
  readonly #console: string[] = [];
  #wake: () => void = () => {};
  #hasEnded = false;

  private constructor(folder: string, child: ChildProcess, patienceMs: number) {
    this.folder = folder;
    this.#process = child;
    this.#patienceMs = patienceMs;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const at = line.indexOf(LINE_MARK);
      if (at === -1) {
        this.#console.push(line);
        if (process.env.SHOW) console.log(line);
      } else this.#lines.push(line.slice(at + 1).trimEnd());
      this.#wake();
    });
    child.once('exit', () => {
      this.#hasEnded = true;
      this.#wake();
    });
  }

  /** Resolves when the program has said `ready`. */
  static async boot(options: UmlOptions): Promise<UserModeLinux> {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-uml-'));
    const init = join(folder, 'init');
    writeFileSync(init, initScript(options, folder));
    chmodSync(init, 0o755);
    const kernel = ['rootfstype=hostfs', 'rootflags=/', 'rw', `mem=${MEMORY}`, `init=${init}`];
    const cables = Object.entries(options.cables ?? {}).map(([device, tap]) => `${device}=tuntap,${tap}`);
    const args = [...kernel, ...cables, 'con=null', 'con0=fd:0,fd:1', 'quiet', 'loglevel=0'];
    const how: SpawnOptions = {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: process.env.PATH, TMPDIR: folder, HOME: folder },
      detached: true,
    };
    const { namespace } = options;
    const child =
      namespace === undefined ? spawn('linux.uml', args, how) : spawnInNamespace(namespace, 'linux.uml', args, how);
    const uml = new UserModeLinux(folder, child, options.patienceMs);
    try {
      const [word] = await uml.#answer(BOOT_MS);
      if (word !== 'ready') throw uml.#failure(`said ${word} instead of ready`);
      return uml;
    } catch (error) {
      await uml.close();
      throw error;
    }
  }

  /** Sends a line and returns the words of the answer. Throws when the kernel or the program ends instead. */
  async ask(line: string): Promise<string[]> {
    this.#process.stdin!.write(`${line}\n`);
    return await this.#answer(this.#patienceMs);
  }

  /** Ends the kernel and everything in it, and removes the folder. */
  async close(): Promise<void> {
    if (!this.#hasEnded) {
      const exited = once(this.#process, 'exit');
      // The kernel runs as several processes; they are a group.
      process.kill(-this.#process.pid!, 'SIGKILL');
      await exited;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #answer(patienceMs: number): Promise<string[]> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, patienceMs);
    try {
      while (this.#lines.length === 0) {
        if (isLate) throw this.#failure(`did not answer in ${patienceMs / 1000} s`);
        if (this.#hasEnded) throw this.#failure('has ended');
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
    const [word, ...rest] = this.#lines.shift()!.split(' ');
    return [word, rest.join(' ')];
  }

  #failure(what: string): Error {
    return new Error(`the kernel in User Mode Linux ${what}:\n${this.#console.slice(-30).join('\n')}`);
  }
}

function initScript({ modules, program }: UmlOptions, folder: string): string {
  return `#!/bin/bash
export PATH=${process.env.PATH}:/usr/sbin:/sbin HOME=/run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/modules/lib
ln -s /usr/lib/uml/modules /run/modules/lib/modules
# For the kernel, which loads what is asked for, and for whoever calls modprobe.
mkdir /run/bin
printf '#!/bin/sh\\nexec %s -d /run/modules "$@"\\n' "$(command -v modprobe)" > /run/bin/modprobe
chmod +x /run/bin/modprobe
export PATH=/run/bin:$PATH
echo /run/bin/modprobe > /proc/sys/kernel/modprobe
for module in ${modules.join(' ')}; do
  modprobe $module || echo "module $module cannot be loaded"
done
ip link set lo up
stty raw -echo < /dev/console
chrt --idle 0 ${[process.execPath, ...program, folder].join(' ')} < /dev/console
# The program has ended, so whoever started it is gone.
rm -rf ${folder}
halt -f
`;
}
