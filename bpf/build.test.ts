// SPDX-License-Identifier: Apache-2.0
// The committed module is what the C source gives, and only well-formed objects are taken.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { requirements } from '../test/support/requirements.ts';
import { buildModule, XDP_SOURCES } from './build.ts';
import { readElf } from './elf.ts';

const skip = requirements('program:clang');
const folder = mkdtempSync(join(tmpdir(), 'ballast-bpf-test-'));
after(() => rmSync(folder, { recursive: true }));

test('what is no object for BPF is refused', () => {
  const message = 'not an ELF file for BPF';
  assert.throws(() => readElf(new Uint8Array(0), 'xdp'), { name: 'SyntaxError', message });
  assert.throws(() => readElf(new Uint8Array(64), 'xdp'), { name: 'SyntaxError', message });
  assert.throws(() => readElf(readFileSync(process.execPath).subarray(0, 4096), 'xdp'), { message });
});

for (const program of XDP_SOURCES) {
  test(`the committed program is what ${program.source} gives`, { skip: skip || notDebian12() }, () => {
    assert.equal(buildModule(program), readFileSync(program.module, 'utf8'));
  });

  test(`two builds of ${program.source} give the same text`, { skip }, () => {
    assert.equal(buildModule(program), buildModule(program));
  });
}

test('a program that refers to something other than a map is refused', { skip }, () => {
  const source = join(folder, 'global.c');
  writeFileSync(
    source,
    `int counter = 1; int words[5] __attribute__((section("maps"), used)) = {1};
     __attribute__((section("xdp"))) int run(void *ctx) { (void)ctx; return counter; }
     char text[] __attribute__((section("license"), used)) = "GPL";`,
  );
  assert.throws(() => buildModule({ ...XDP_SOURCES[0], source }), {
    name: 'SyntaxError',
    message: "the program refers to 'counter', which is not a map",
  });
});

test("a compiler error shows the compiler's words", { skip }, () => {
  const source = join(folder, 'broken.c');
  writeFileSync(source, 'int broken(void) { return nothing; }\n');
  assert.throws(() => buildModule({ ...XDP_SOURCES[0], source }), /use of undeclared identifier 'nothing'/);
});

/** Other versions of clang give other, equally good instructions. */
function notDebian12(): string | false {
  const version = spawnSync('clang', ['--version'], { encoding: 'utf8' }).stdout ?? '';
  return version.includes('Debian clang version 14.')
    ? false
    : "compares with the instructions of Debian 12's clang 14";
}
