// SPDX-License-Identifier: Apache-2.0
// Maps and programs in the running kernel, and the words of its refusals.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { requirements } from '../../test/support/requirements.ts';
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_ARRAY, BpfMap, possibleCpus } from './bpf-map.ts';
import type { BpfObject } from './bpf-object.ts';
import { BpfProgram, XDP_DROP, XDP_PASS } from './bpf-program.ts';

const skip = requirements('xdp');

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function hash(maxEntries: number): BpfMap {
  return new BpfMap({ name: 'test', type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 2, maxEntries, flags: 0 });
}

function object(instructions: string, relocations: BpfObject['relocations'] = []): BpfObject {
  return { name: 'test', license: 'Dual BSD/GPL', maps: [], relocations, instructions };
}

test('a hash map keeps what was last written and forgets what was deleted', { skip }, () => {
  const map = hash(8);
  assert.equal(map.lookup(bytes(1, 2, 3, 4)), undefined);
  map.update(bytes(1, 2, 3, 4), bytes(5, 6));
  map.update(bytes(1, 2, 3, 4), bytes(7, 8));
  assert.deepEqual(map.lookup(bytes(1, 2, 3, 4)), bytes(7, 8));
  assert.equal(map.delete(bytes(1, 2, 3, 4)), true);
  assert.equal(map.delete(bytes(1, 2, 3, 4)), false);
  map.close();
});

test('keys are listed once each', { skip }, () => {
  const map = hash(64);
  for (let i = 0; i < 50; i++) map.update(bytes(i, 0, 0, 0), bytes(0, i));
  assert.deepEqual(
    map
      .keys()
      .map((key) => key[0])
      .sort((a, b) => a - b),
    Array.from({ length: 50 }, (_, i) => i),
  );
  map.close();
});

test('a per-CPU map reads as one value for each possible CPU', { skip }, () => {
  const definition = {
    name: 'cpus',
    type: BPF_MAP_TYPE_PERCPU_ARRAY,
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
    flags: 0,
  };
  const map = new BpfMap(definition);
  assert.equal(map.readSize, 8 * possibleCpus());
  assert.deepEqual(map.lookup(bytes(0, 0, 0, 0)), new Uint8Array(map.readSize));
  map.close();
});

test('a full map says so', { skip }, () => {
  const map = hash(1);
  map.update(bytes(1, 0, 0, 0), bytes(0, 0));
  assert.throws(() => map.update(bytes(2, 0, 0, 0), bytes(0, 0)), {
    code: 'BALLAST_SYS',
    message: "bpf: E2BIG (update map 'test'): the map is full",
  });
  map.close();
});

test('keys and values of another size are refused before the kernel reads past them', { skip }, () => {
  const map = hash(1);
  assert.throws(() => map.lookup(bytes(1)), { name: 'RangeError', message: "a key of map 'test' has 4 bytes, not 1" });
  assert.throws(() => map.update(bytes(1, 2, 3, 4), bytes(1)), {
    name: 'RangeError',
    message: "a value of map 'test' has 2 bytes, not 1",
  });
  map.close();
});

test('a program runs on a packet', { skip }, () => {
  // r0 = 1; exit
  const drop = new BpfProgram(object('b7000000010000009500000000000000'), new Map());
  assert.equal(drop.run(new Uint8Array(60)).action, XDP_DROP);
  drop.close();
});

test('a program finds its maps', { skip }, () => {
  const definition = { name: 'verdict', type: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };
  const map = new BpfMap(definition);
  map.update(bytes(0, 0, 0, 0), bytes(XDP_PASS, 0, 0, 0));
  const code = [
    'b701000000000000', // r1 = 0
    '631afcff00000000', // *(u32 *)(r10 - 4) = r1
    'bfa2000000000000', // r2 = r10
    '07020000fcffffff', // r2 += -4
    '1801000000000000', // r1 = map
    '0000000000000000',
    '8500000001000000', // call map_lookup_elem
    '1500010000000000', // if r0 == 0 goto +1
    '6100000000000000', // r0 = *(u32 *)(r0 + 0)
    '9500000000000000', // exit
  ].join('');
  const spec = object(code, [{ instruction: 4, map: 'verdict' }]);
  const program = new BpfProgram(spec, new Map([['verdict', map]]));
  assert.equal(program.run(new Uint8Array(60)).action, XDP_PASS);
  program.close();
  map.close();
  assert.throws(() => new BpfProgram(spec, new Map()), { message: /names map 'verdict', which was not given/ });
});

test("a refused program carries the verifier's words", { skip }, () => {
  // exit without setting r0
  assert.throws(() => new BpfProgram(object('9500000000000000'), new Map()), {
    code: 'BALLAST_SYS',
    errno: 'EACCES',
    message: /^bpf: EACCES \(load program 'test'\): the verifier says:\n.*R0 !read_ok/s,
  });
});

test('a plain user is told which capabilities are missing', { skip }, () => {
  const script = `
    const { BpfMap } = await import(${JSON.stringify(new URL('./bpf-map.js', import.meta.url).href)});
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    try {
      new BpfMap({ name: 'test', type: 1, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 });
      console.log('made');
    } catch (error) { console.log(error.message); }`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  // Where the kernel lets everybody make maps (kernel.unprivileged_bpf_disabled=0), there is nothing to refuse.
  assert.match(run.stdout, /^made\n$|^bpf: EPERM \(create map 'test'\): run as root, or grant CAP_BPF/);
});
