// SPDX-License-Identifier: Apache-2.0
// The layers check itself: it holds on the project as it is, and it fails on each kind of breach.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findBreaches, readSources } from './layers.ts';

const breaches = (path: string, text: string): string[] => findBreaches([{ path, text }]);

test('the sources of the project keep the import direction', () => {
  const files = readSources(process.cwd());
  assert.ok(files.length > 5, 'the sources were found');
  assert.deepEqual(findBreaches(files), []);
});

test('an import against the direction is a breach, whatever its form', () => {
  const forms = [
    "import { a } from '../dataplane/a.ts';",
    "import type { A } from '../dataplane/a.ts';",
    "import '../dataplane/a.ts';",
    "export * from '../dataplane/a.ts';",
    "const a = await import('../dataplane/a.ts');",
    "type A = import('../dataplane/a.ts').A;",
    "import {\n  a,\n} from '../../src/dataplane/a.ts';",
    "import { a } from '../../bench/a.ts';",
  ];
  for (const form of forms) assert.equal(breaches('src/lvs/x.ts', form).length, 1, form);
});

test('an import along the direction is none', () => {
  assert.deepEqual(breaches('src/lvs/deep/x.ts', "import { a } from '../../packet/a.ts';\nimport './b.ts';"), []);
  assert.deepEqual(breaches('src/daemon/x.ts', "import fs from 'node:fs'; import { Hono } from 'hono';"), []);
  assert.deepEqual(breaches('src/cli/x.ts', "await import('../lab/lab.ts');"), []);
});

test('the kernel is for those that must speak to it, and FFI for src/linux alone', () => {
  const linux = "import { a } from '../linux/a.ts';";
  for (const folder of ['dataplane', 'ha', 'daemon', 'lab'])
    assert.deepEqual(breaches(`src/${folder}/x.ts`, linux), []);
  for (const folder of ['packet', 'lvs', 'config', 'health', 'cli']) {
    assert.equal(breaches(`src/${folder}/x.ts`, linux).length, 1, folder);
  }
  assert.equal(breaches('src/daemon/x.ts', "import koffi from 'koffi';").length, 1);
});

test('pure code may import nothing of Node or npm', () => {
  for (const module of ['node:fs', 'fs', 'koffi', 'zod']) {
    assert.equal(breaches('src/packet/x.ts', `import x from '${module}';`).length, 1, module);
  }
  assert.equal(breaches('src/packet/x.ts', 'await import(name);').length, 1);
});

test('pure code may use no clock, no randomness and nothing of the platform', () => {
  const uses = [
    'const now = Date.now();',
    'performance.now();',
    'return Math.random();',
    'process.env.X;',
    'Buffer.alloc(1);',
    'setTimeout(f, 1);',
    'const x = { process };',
    'const x = ok ? Date : undefined;',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source text under test
    'const x = `${Date.now()}`;',
    'globalThis.x;',
    'import.meta.url;',
    'const x = [...process.argv];',
    'class C { f(): void { fetch(1); } }',
    '{ setTimeout(() => {}, 1); }',
  ];
  for (const use of uses) assert.equal(breaches('src/lvs/x.ts', use).length, 1, use);
});

test('names in comments, strings, regular expressions and members are not uses', () => {
  const text = [
    "// Date.now() and import x from 'node:fs'",
    '/* process */',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source text under test
    'const a = \'Date\', b = "process", c = `Buffer ${a} fetch`;',
    'const d = /process[/"]Date/.test(a), e = 4 / 2 / 1;',
    'row.Date; row.process.x; const f = { process: 1, Date: 2 };',
    'Math.floor(1);',
    'class C { process(a: (b: number) => void): void { this.process(a); } async fetch() {} }',
    'interface I { process(x: number): void; fetch(): void }',
  ].join('\n');
  assert.deepEqual(breaches('src/lvs/x.ts', text), []);
});

test('a breach names file and line', () => {
  const text = '// one\nconst a = `two\n`;\nDate.now();';
  assert.deepEqual(breaches('src/lvs/x.ts', text), ['src/lvs/x.ts:4: pure code may not use Date']);
});

test('a folder without a layer is a breach, test files are free', () => {
  assert.equal(breaches('src/misc/x.ts', '').length, 1);
  assert.deepEqual(breaches('src/lvs/x.test.ts', "import 'node:test'; Date.now();"), []);
});
