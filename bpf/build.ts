// SPDX-License-Identifier: Apache-2.0
// Compiles bpf/xdp.c and writes it as a TypeScript module, so that nobody who runs Ballast needs a compiler.
// `npm run bpf` writes the module, `npm run bpf -- --check` says whether the committed one is what the source gives.
// The output depends on the source and on clang's version alone; the committed module is made by Debian 12's clang 14.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BpfObject } from '../src/linux/bpf-object.ts';
import { readElf } from './elf.ts';

const SOURCE = 'bpf/xdp.c';
const MODULE = 'src/dataplane/engine/xdp-object.ts';
const CLANG_FLAGS = ['-O2', '-target', 'bpfel', '-mcpu=v2', '-Wall', '-Wextra', '-Werror'];
const DIGITS_PER_LINE = 96;

/** The module's text for the C program at `source`. */
export function buildModule(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-bpf-'));
  try {
    const object = join(folder, 'xdp.o');
    clang([...CLANG_FLAGS, '-c', source, '-o', object]);
    return moduleText(readElf(readFileSync(object), 'xdp'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What `clang --version` says first, for messages. */
function clangVersion(): string {
  return clang(['--version']).split('\n')[0];
}

function clang(args: readonly string[]): string {
  const run = spawnSync('clang', args, { encoding: 'utf8' });
  if (run.error !== undefined) {
    const missing = (run.error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new Error(missing ? 'clang is not installed: apt-get install clang' : `clang: ${run.error.message}`);
  }
  if (run.status !== 0) throw new Error(`clang ${args.join(' ')} failed:\n${run.stderr}`);
  return run.stdout;
}

function moduleText(object: BpfObject): string {
  const lines = object.instructions.match(new RegExp(`.{1,${DIGITS_PER_LINE}}`, 'g')) ?? [];
  const list = (items: readonly object[]): string => items.map((item) => `    { ${fields(item)} },`).join('\n');
  return `// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Generated from ${SOURCE} by \`npm run bpf\` with Debian 12's clang; do not edit. \`npm run bpf -- --check\` compares.

import type { BpfObject } from '../../linux/bpf-object.ts';

export const XDP_OBJECT: BpfObject = {
  name: '${object.name}',
  license: '${object.license}',
  maps: [
${list(object.maps)}
  ],
  relocations: [
${list(object.relocations)}
  ],
  instructions: [
${lines.map((line) => `    '${line}',`).join('\n')}
  ].join(''),
};
`;
}

function fields(item: object): string {
  return Object.entries(item)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? `'${value}'` : value}`)
    .join(', ');
}

function main(args: readonly string[]): number {
  const built = buildModule(SOURCE);
  if (!args.includes('--check')) {
    writeFileSync(MODULE, built);
    console.log(`wrote ${MODULE}`);
    return 0;
  }
  if (readFileSync(MODULE, 'utf8') === built) {
    console.log(`${MODULE} is what ${SOURCE} gives`);
    return 0;
  }
  console.error(
    `${MODULE} differs from what ${SOURCE} gives with ${clangVersion()}: run \`npm run bpf\` and commit it`,
  );
  return 1;
}

if (process.argv[1] === import.meta.filename) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
