// SPDX-License-Identifier: Apache-2.0
// Mappings: reservation, files, borrowing by another thread, refusals.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { openFd } from './fd.ts';
import { MAX_MAPPING, Mapping } from './memory.ts';

test('a reservation of 4 GiB reads as zeros and keeps what is written at its ends', () => {
  const mapping = Mapping.anonymous(MAX_MAPPING, { hugePages: true });
  const view = new DataView(mapping.buffer);
  assert.equal(view.getInt32(MAX_MAPPING - 4), 0);
  view.setInt32(0, 1);
  view.setInt32(MAX_MAPPING - 4, -2);
  assert.equal(view.getInt32(0), 1);
  assert.equal(view.getInt32(MAX_MAPPING - 4), -2);
  mapping.close();
  mapping.close();
});

test('a length that no mapping can have is refused before the kernel sees it', () => {
  for (const length of [0, -1, 1.5, Number.NaN, MAX_MAPPING + 1]) {
    assert.throws(() => Mapping.anonymous(length), RangeError);
    assert.throws(() => Mapping.attach(4096n, length), RangeError);
  }
});

test('another thread that attaches by address reads and writes the same bytes', async () => {
  const mapping = Mapping.anonymous(4096);
  const words = new Int32Array(mapping.buffer);
  words[0] = 41;
  const source = `
    const { workerData } = require('node:worker_threads');
    import(workerData.module).then(({ Mapping }) => {
      const words = new Int32Array(Mapping.attach(workerData.address, workerData.length).buffer);
      words[1] = words[0] + 1;
    });`;
  const worker = new Worker(source, {
    eval: true,
    workerData: {
      module: new URL('./memory.js', import.meta.url).href,
      address: mapping.address,
      length: mapping.length,
    },
  });
  const [code] = await once(worker, 'exit');
  assert.equal(code, 0);
  assert.equal(words[1], 42);
  mapping.close();
});

test('a shared mapping of a file changes the file, from the offset asked for', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-memory-'));
  try {
    const path = join(folder, 'file');
    writeFileSync(path, new Uint8Array(8192));
    const file = openFd(path, constants.O_RDWR);
    const mapping = Mapping.shared(file.number, 4096, path, { offset: 4096 });
    file.close();
    new Uint8Array(mapping.buffer)[0] = 0x5a;
    mapping.close();
    assert.equal(readFileSync(path)[4096], 0x5a);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a mapping that the kernel refuses names the call, the errno and the subject', () => {
  assert.throws(() => Mapping.shared(-1, 4096, 'ring of eth0'), {
    name: 'SysError',
    message: 'mmap: EBADF (ring of eth0)',
  });
});
