// SPDX-License-Identifier: Apache-2.0
// Compiles the XDP programs and writes each as a TypeScript module, so that nobody who runs Ballast needs a compiler.
// `npm run bpf` writes the modules, `npm run bpf -- --check` says whether the committed ones are what the sources give.
// The output depends on the source and on clang's version alone; the committed modules are made by Debian 12's clang 14.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import type { BpfObject } from '../src/linux/bpf-object.ts';
import { readElf } from './elf.ts';

/** A program, and the module that it becomes. */
export interface XdpSource {
  readonly source: string;
  readonly module: string;
  /** What the module exports. */
  readonly name: string;
}

export const XDP_SOURCES: readonly XdpSource[] = [
  { source: 'bpf/xdp.c', module: 'src/dataplane/engine/xdp-object.ts', name: 'XDP_OBJECT' },
  { source: 'bpf/decap.c', module: 'src/realserver/decap-object.ts', name: 'DECAP_OBJECT' },
];

const CLANG_FLAGS = ['-O2', '-target', 'bpfel', '-mcpu=v2', '-Wall', '-Wextra', '-Werror'];
const DIGITS_PER_LINE = 96;

/** The module's text for a C program. */
export function buildModule(program: XdpSource): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-bpf-'));
  try {
    const object = join(folder, 'program.o');
    clang([...CLANG_FLAGS, '-c', program.source, '-o', object]);
    return moduleText(program, readElf(readFileSync(object), 'xdp'));
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

function moduleText({ source, module, name }: XdpSource, object: BpfObject): string {
  const lines = object.instructions.match(new RegExp(`.{1,${DIGITS_PER_LINE}}`, 'g')) ?? [];
  const list = (items: readonly object[]): string => items.map((item) => `    { ${fields(item)} },`).join('\n');
  const types = relative(dirname(module), 'src/linux/bpf-object.ts');
  return `// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Generated from ${source} by \`npm run bpf\` with Debian 12's clang; do not edit. \`npm run bpf -- --check\` compares.

import type { BpfObject } from '${types}';

export const ${name}: BpfObject = {
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
  const isCheck = args.includes('--check');
  let status = 0;
  for (const program of XDP_SOURCES) {
    const { source, module } = program;
    const built = buildModule(program);
    if (!isCheck) {
      writeFileSync(module, built);
      console.log(`wrote ${module}`);
    } else if (readFileSync(module, 'utf8') === built) {
      console.log(`${module} is what ${source} gives`);
    } else {
      const remedy = 'run `npm run bpf` and commit it';
      console.error(`${module} differs from what ${source} gives with ${clangVersion()}: ${remedy}`);
      status = 1;
    }
  }
  return status;
}

if (process.argv[1] === import.meta.filename) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
