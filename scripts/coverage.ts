// SPDX-License-Identifier: Apache-2.0
// Coverage of the compiled src/ from what V8 writes for NODE_V8_COVERAGE: every process of a test run leaves one file,
// child processes too. Used by scripts/test.ts. It stands in for the runner's own report, which in Node 20 fails on some
// source maps ("Cannot read properties of undefined (reading 'line')") and knows nothing of files that no test loads.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scan } from './source-scan.ts';

interface V8Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface V8Function {
  readonly ranges: readonly V8Range[];
}
interface V8Script {
  readonly url: string;
  readonly functions: readonly V8Function[];
}

export interface FileCoverage {
  readonly path: string;
  /** Lines that hold code, and how many of them ran. */
  readonly lines: number;
  readonly coveredLines: number;
  /** Functions that V8 knows of, the module itself among them. */
  readonly functions: number;
  readonly coveredFunctions: number;
}

/** Coverage of each of `files` (absolute paths of compiled modules) from the reports in `folder`. */
export function readCoverage(folder: string, files: readonly string[]): FileCoverage[] {
  const merged = new Map(files.map((path) => [path, new MergedScript(readFileSync(path, 'utf8'))]));
  for (const name of readdirSync(folder)) {
    for (const script of readReport(join(folder, name))) {
      if (script.url.startsWith('file:')) merged.get(fileURLToPath(script.url))?.add(script.functions);
    }
  }
  return [...merged].map(([path, script]) => ({ path, ...script.count() }));
}

/** Scripts of one process's report; none when the process was killed while it wrote. */
function readReport(file: string): readonly V8Script[] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { result: readonly V8Script[] }).result;
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/** What ran of one module, over all processes. */
export class MergedScript {
  readonly #text: string;
  readonly #ran: Uint8Array;
  readonly #functions = new Map<string, boolean>();

  constructor(text: string) {
    this.#text = text;
    this.#ran = new Uint8Array(text.length);
  }

  /** Adds one process's report: ranges come outermost first, and an inner one overrides. */
  add(functions: readonly V8Function[]): void {
    const ran = new Uint8Array(this.#text.length);
    for (const { ranges } of functions) {
      for (const range of ranges) ran.fill(range.count > 0 ? 1 : 0, range.startOffset, range.endOffset);
      const key = `${ranges[0].startOffset}-${ranges[0].endOffset}`;
      this.#functions.set(key, this.#functions.get(key) === true || ranges[0].count > 0);
    }
    for (let i = 0; i < ran.length; i++) this.#ran[i] |= ran[i];
  }

  count(): Omit<FileCoverage, 'path'> {
    const withCode = new Set(scan(this.#text).map((token) => token.line));
    let coveredLines = 0;
    let start = 0;
    this.#text.split('\n').forEach((line, i) => {
      if (withCode.has(i + 1) && this.#lineRan(line, start)) coveredLines++;
      start += line.length + 1;
    });
    const functions = [...this.#functions.values()];
    return {
      lines: withCode.size,
      coveredLines,
      functions: Math.max(1, functions.length),
      coveredFunctions: functions.filter((covered) => covered).length,
    };
  }

  #lineRan(line: string, start: number): boolean {
    for (let i = 0; i < line.length; i++) if (line[i] !== ' ' && this.#ran[start + i] === 1) return true;
    return false;
  }
}
