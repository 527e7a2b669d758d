// SPDX-License-Identifier: Apache-2.0
// Transcripts of the real ipvsadm (test/golden/ipvsadm): reads them and replays their commands through ours.
// `$ command`, its output, `stderr| ` before lines of the standard error, `[exit N]` for a status that is not 0.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Names } from '../../src/cli/ipvsadm/names.ts';
import { runIpvsadm } from '../../src/cli/ipvsadm/run.ts';
import { parseServices } from '../../src/cli/ipvsadm/services-table.ts';
import type { DataPlane } from '../../src/dataplane/dataplane.ts';
import type { Address } from '../../src/packet/address.ts';

/** The golden files, seen from dist/test/ipvsadm. */
const GOLDEN = new URL('../../../test/golden/ipvsadm/', import.meta.url);

const SERVICES = parseServices(`
ftp 21/tcp
ssh 22/tcp   # SSH Remote Login Protocol
smtp 25/tcp mail
domain 53/tcp
domain 53/udp
http 80/tcp www
https 443/tcp
https 443/udp
sip 5060/tcp
sip 5060/udp
sip-tls 5061/tcp
sip-tls 5061/udp
http-alt 8080/tcp webcache
tproxy 8081/tcp
`);

/** Names as on the machine of the transcripts, which knew no host but itself. */
export const NAMES: Names = {
  services: async () => SERVICES,
  hostAddress: async (name) => (name === 'localhost' ? ('127.0.0.1' as Address) : undefined),
  hostName: async (address) => (address === '127.0.0.1' ? 'localhost' : undefined),
};

export interface Exchange {
  readonly line: number;
  readonly words: readonly string[];
  readonly transcript: string;
}

/** The exchanges of one golden file. */
export function readTranscript(name: string): Exchange[] {
  const exchanges: Exchange[] = [];
  let line = 1;
  for (const block of readFileSync(new URL(name, GOLDEN), 'utf8').split(/^(?=\$ )/m)) {
    const command = block.slice(2, block.indexOf('\n'));
    exchanges.push({ line, words: command.split(' ').slice(1), transcript: block });
    line += block.split('\n').length - 1;
  }
  return exchanges;
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs our ipvsadm. */
export async function run(words: readonly string[], dataplane: DataPlane, input = '', names = NAMES): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  const io = {
    stdin: [input],
    stdout: (text: string): void => {
      stdout += text;
    },
    stderr: (text: string): void => {
      stderr += text;
    },
  };
  const status = await runIpvsadm(words, io, async () => dataplane, names);
  return { status, stdout, stderr };
}

/** What {@link run} had to say, as a transcript writes it: without empty lines of the standard error. */
export function asTranscript(words: readonly string[], { status, stdout, stderr }: Outcome): string {
  const complaints = stderr.replace(/^\n/gm, '').replace(/^(?=.)/gm, 'stderr| ');
  return `$ ${['ipvsadm', ...words].join(' ')}\n${stdout}${complaints}${status === 0 ? '' : `[exit ${status}]\n`}`;
}

/** Replays golden files one after the other on one table; each exchange is a test. */
export async function replay(files: readonly string[], dataplane: DataPlane): Promise<void> {
  for (const file of files) {
    for (const { words, transcript, line } of readTranscript(file)) {
      await test(`${file}:${line} ipvsadm ${words.join(' ')}`, async () => {
        assert.equal(asTranscript(words, await run(words, dataplane)), transcript);
      });
    }
  }
}
