// SPDX-License-Identifier: Apache-2.0
// The real ipvsadm of Debian as an oracle, on machines without ip_vs: it runs with shim.c in front of the kernel, which
// prints what ipvsadm asks for and answers what a test lays down.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../../scripts/packages.ts';

const SHIM = fileURLToPath(new URL('../../../test/ipvsadm/shim.c', import.meta.url));
const GET_INFO = '15 -';
/** IPVS_INFO_ATTR_VERSION 1.2.1 and IPVS_INFO_ATTR_CONN_TAB_SIZE 4096. */
const INFO = '08000100010201000800020000100000';

/** One netlink request: number of the command and payload in hex, `-` when empty. */
export interface Request {
  readonly command: number;
  readonly payload: string;
}

export interface RealOutcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly requests: readonly Request[];
}

/** An answer to a request, one for each message of a dump. */
export interface Answer {
  readonly to: Request;
  readonly command: number;
  readonly payload: string;
}

/** Owns a temporary folder with the compiled shim; close it. */
export class RealIpvsadm {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ballast-ipvsadm-'));
  readonly #program = findProgram('ipvsadm')!;
  readonly #answers = join(this.#folder, 'answers');
  readonly #connections = join(this.#folder, 'connections');
  readonly #shim = join(this.#folder, 'shim.so');

  constructor() {
    execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-o', this.#shim, SHIM, '-ldl']);
    this.answer([]);
    this.connections('');
  }

  /** What the kernel answers from now on. */
  answer(answers: readonly Answer[]): void {
    const lines = answers.map(({ to, command, payload }) => `${to.command} ${to.payload} ${command} ${payload}\n`);
    writeFileSync(this.#answers, `${GET_INFO} ${15} ${INFO}\n${lines.join('')}`);
  }

  /** Rows of /proc/net/ip_vs_conn from now on. */
  connections(rows: string): void {
    const header = 'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n';
    writeFileSync(this.#connections, header + rows);
  }

  run(words: readonly string[], input = ''): RealOutcome {
    const result = spawnSync(this.#program, words, {
      argv0: 'ipvsadm',
      input,
      encoding: 'utf8',
      env: { LD_PRELOAD: this.#shim, IPVSADM_ANSWERS: this.#answers, IPVSADM_CONNECTIONS: this.#connections },
    });
    if (result.error !== undefined) throw result.error;
    const requests: Request[] = [];
    const stderr = result.stderr.replace(/\[nl (\d+) ([0-9a-f]+|-)\]\n/g, (_, command, payload) => {
      if (`${command} ${payload}` !== GET_INFO) requests.push({ command: Number(command), payload });
      return '';
    });
    return { status: result.status, stdout: result.stdout, stderr, requests };
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
