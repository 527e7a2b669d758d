// SPDX-License-Identifier: Apache-2.0
// Holds the import direction of docs/architecture.md: `npm run layers`, and as a test in layers.test.ts.
// packet ← lvs ← dataplane ← config, health, ha, cluster ← daemon ← lab ← cli, with realserver beside (packet ← realserver
// ← lab, cli); the kernel (src/linux) is for those that must speak to it. src/packet and src/lvs are pure: no Node, no npm, no clock, no randomness, no timers.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importsOf, isMember, scan, type Token } from './source-scan.ts';

/** Folder of src → the other folders of src that it may import. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  packet: [],
  lvs: ['packet'],
  linux: ['packet'],
  dataplane: ['packet', 'lvs', 'linux'],
  realserver: ['packet', 'linux'],
  config: ['packet', 'lvs', 'dataplane'],
  health: ['packet', 'lvs', 'dataplane', 'config'],
  ha: ['packet', 'lvs', 'dataplane', 'config', 'linux'],
  cluster: ['packet', 'lvs', 'dataplane', 'config'],
  daemon: ['packet', 'lvs', 'dataplane', 'config', 'health', 'ha', 'cluster', 'linux'],
  lab: ['packet', 'lvs', 'dataplane', 'config', 'health', 'ha', 'cluster', 'linux', 'daemon', 'realserver'],
  cli: ['packet', 'lvs', 'dataplane', 'config', 'health', 'ha', 'cluster', 'daemon', 'realserver', 'lab'],
};

const PURE = ['packet', 'lvs'];

/** npm packages that only one folder may import. */
const ONLY_IN: Readonly<Record<string, string>> = { koffi: 'linux' };

/** Globals of the platform that pure code may not touch; `Math.random` is told apart below. */
const IMPURE = new Set(
  [
    'Date performance Temporal process Buffer global globalThis require module __dirname __filename eval Function',
    'setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate queueMicrotask fetch crypto',
    'console navigator Worker MessageChannel BroadcastChannel WebSocket Atomics SharedArrayBuffer structuredClone',
  ].flatMap((line) => line.split(' ')),
);

/** A source file by its path from the project's root. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Every breach of the layers in `files`, as `path:line: what`. Test files are free. */
export function findBreaches(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const [top, folder] = file.path.split('/');
    if (top !== 'src' || file.path.endsWith('.test.ts')) return [];
    if (!(folder in ALLOWED)) return [`${file.path}:1: '${folder}' is no layer of scripts/layers.ts`];
    const tokens = scan(file.text);
    const breaches = [...importBreaches(file.path, folder, tokens)];
    if (PURE.includes(folder)) breaches.push(...purityBreaches(file.path, tokens));
    return breaches;
  });
}

function importBreaches(path: string, folder: string, tokens: readonly Token[]): string[] {
  return importsOf(tokens).flatMap(({ specifier, line }) => {
    const reason = specifier === undefined ? computedImport(folder) : breachOf(path, folder, specifier);
    return reason === undefined ? [] : [`${path}:${line}: ${reason}`];
  });
}

function computedImport(folder: string): string | undefined {
  return PURE.includes(folder) ? 'a computed import() cannot be checked' : undefined;
}

function breachOf(path: string, folder: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) {
    if (PURE.includes(folder)) return `src/${folder} is pure and may not import '${specifier}'`;
    const only = ONLY_IN[specifier.split('/')[0]];
    return only === undefined || only === folder ? undefined : `only src/${only} may import '${specifier}'`;
  }
  const [top, target] = normalize(join(dirname(path), specifier)).split('/');
  if (top !== 'src') return `src may not import '${specifier}' from outside src`;
  if (target === folder || ALLOWED[folder].includes(target)) return undefined;
  return `src/${folder} may not import src/${target} ('${specifier}')`;
}

function purityBreaches(path: string, tokens: readonly Token[]): string[] {
  return tokens.flatMap((token, i) => {
    if (token.kind !== 'word' || isMember(tokens, i)) return [];
    const name = impureName(tokens, i);
    return name === undefined || isKey(tokens, i) ? [] : [`${path}:${token.line}: pure code may not use ${name}`];
  });
}

function impureName(tokens: readonly Token[], i: number): string | undefined {
  const { value } = tokens[i];
  if (IMPURE.has(value)) return value;
  if (value === 'Math' && tokens[i + 2]?.value === 'random') return 'Math.random';
  if (value === 'import' && tokens[i + 1]?.value === '.') return 'import.meta';
  return undefined;
}

/** `{ process: … }` names a property (`a ? process : b` has the `?` before it), `process(…) {` in a class a method. */
function isKey(tokens: readonly Token[], i: number): boolean {
  const before = tokens[i - 1]?.value ?? '{';
  if (tokens[i + 1]?.value === ':') return '{,;'.includes(before);
  if (tokens[i + 1]?.value !== '(' || !('{},;'.includes(before) || MODIFIERS.has(before))) return false;
  const after = tokens[closingParenthesis(tokens, i + 1) + 1]?.value;
  return after === '{' || after === ':';
}

const MODIFIERS = new Set(['async', 'static', 'override', 'private', 'protected', 'public', 'get', 'set']);

function closingParenthesis(tokens: readonly Token[], open: number): number {
  for (let i = open, depth = 0; i < tokens.length; i++) {
    if (tokens[i].kind !== 'mark') continue;
    if (tokens[i].value === '(') depth++;
    if (tokens[i].value === ')' && --depth === 0) return i;
  }
  return tokens.length;
}

/** The TypeScript files of `root`/src. */
export function readSources(root: string): SourceFile[] {
  return readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function main(): void {
  const files = readSources(process.cwd());
  const breaches = findBreaches(files);
  for (const breach of breaches) console.error(breach);
  console.log(`layers: ${files.length} files, ${breaches.length} breaches`);
  if (breaches.length > 0 || files.length === 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
