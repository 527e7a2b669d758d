// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MergedScript } from './coverage.ts';

const TEXT = '// a comment\nfunction f(x) {\n  if (x)\n    return 1;\n  return 2;\n}\nf(0);\n';
const END = TEXT.length;
const BODY = TEXT.indexOf('function');
const BODY_END = TEXT.indexOf('f(0)') - 1;
const BRANCH = TEXT.indexOf('return 1');
const report = (functionCount: number, branchCount: number) => [
  { ranges: [{ startOffset: 0, endOffset: END, count: 1 }] },
  {
    ranges: [
      { startOffset: BODY, endOffset: BODY_END, count: functionCount },
      { startOffset: BRANCH, endOffset: BRANCH + 'return 1;'.length, count: branchCount },
    ],
  },
];

test('a branch that did not run is a line that is not covered; comments are not counted', () => {
  const script = new MergedScript(TEXT);
  script.add(report(1, 0));
  assert.deepEqual(script.count(), { lines: 6, coveredLines: 5, functions: 2, coveredFunctions: 2 });
});

test('what ran in any process is covered', () => {
  const script = new MergedScript(TEXT);
  script.add(report(0, 0));
  assert.deepEqual(script.count(), { lines: 6, coveredLines: 1, functions: 2, coveredFunctions: 1 });
  script.add(report(1, 1));
  assert.deepEqual(script.count(), { lines: 6, coveredLines: 6, functions: 2, coveredFunctions: 2 });
});

test('a module that no test loaded is not covered', () => {
  const { coveredLines, coveredFunctions } = new MergedScript(TEXT).count();
  assert.deepEqual([coveredLines, coveredFunctions], [0, 0]);
});
