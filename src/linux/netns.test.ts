// SPDX-License-Identifier: Apache-2.0
// Named namespaces, really made. What `ip netns` sees is compared where iproute2 is installed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { requirements } from '../../test/support/requirements.ts';
import {
  createNamespace,
  enterNamespace,
  inNamespace,
  listNamespaces,
  namespaceExists,
  namespaceId,
  namespacePath,
  openNamespace,
  removeNamespace,
} from './netns.ts';
import { runInNamespace, spawnInNamespace } from './process-namespace.ts';

const root = { skip: requirements('root') };
const own = (): string => readlinkSync('/proc/thread-self/ns/net');
const name = `blst-test-ns-${process.pid}`;

afterEach(() => {
  if (namespaceExists(name)) removeNamespace(name);
});

test('a namespace is listed from its creation to its removal, and the creator stays where it was', root, () => {
  const before = own();
  createNamespace(name);
  assert.equal(own(), before);
  assert.equal(namespaceExists(name), true);
  assert.ok(listNamespaces().includes(name));
  assert.throws(() => createNamespace(name), { name: 'SysError', errno: 'EEXIST' });
  removeNamespace(name);
  assert.equal(namespaceExists(name), false);
  assert.throws(() => removeNamespace(name), { name: 'SysError', errno: 'ENOENT' });
});

test('a namespace has an identity that no other has, also none that comes after it by the same name', root, () => {
  createNamespace(name);
  const first = inNamespace(name, namespaceId);
  assert.equal(inNamespace(name, namespaceId), first);
  assert.notEqual(namespaceId(), first);
  removeNamespace(name);
  createNamespace(name);
  assert.notEqual(inNamespace(name, namespaceId), first);
});

test('a body runs in the namespace, sees only its devices, and the thread is back afterwards', root, () => {
  createNamespace(name);
  const before = own();
  const [inside, devices] = inNamespace(
    name,
    () => [own(), readFileSync('/proc/thread-self/net/dev', 'utf8')] as const,
  );
  assert.notEqual(inside, before);
  assert.deepEqual(
    devices.match(/^ *\S+:/gm)?.map((line) => line.trim()),
    ['lo:'],
  );
  assert.equal(own(), before);
  const thrown = new Error('body');
  assert.throws(
    () =>
      inNamespace(name, () => {
        throw thrown;
      }),
    thrown,
  );
  assert.equal(own(), before);
});

test('a program started in a namespace runs there', root, async () => {
  createNamespace(name);
  const inside = inNamespace(name, own);
  const script = 'console.log(require("node:fs").readlinkSync("/proc/self/ns/net"))';
  assert.equal(runInNamespace(name, process.execPath, ['-e', script]).stdout.trim(), inside);
  const child = spawnInNamespace(name, process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await once(child, 'close');
  assert.equal(output.trim(), inside);
  assert.notEqual(own(), inside);
});

test('iproute2 lists the namespace, enters it, and removes it', { skip: requirements('root', 'program:ip') }, () => {
  createNamespace(name);
  const ip = (...args: string[]): string => spawnSync('ip', args, { encoding: 'utf8' }).stdout;
  assert.match(ip('netns', 'list'), new RegExp(`^${name}\\b`, 'm'));
  assert.match(ip('-n', name, 'link', 'show'), /1: lo:/);
  ip('netns', 'delete', name);
  assert.equal(namespaceExists(name), false);
});

test('a namespace of iproute2 can be entered and removed here', { skip: requirements('root', 'program:ip') }, () => {
  assert.equal(spawnSync('ip', ['netns', 'add', name]).status, 0);
  assert.notEqual(inNamespace(name, own), own());
  removeNamespace(name);
  assert.equal(namespaceExists(name), false);
});

test('a file left by a creation that died can be removed, and entering it says what is wrong', root, () => {
  createNamespace(name);
  const stale = `${name}-stale`;
  try {
    writeFileSync(namespacePath(stale), '');
    assert.throws(() => inNamespace(stale, own), {
      message: `setns: EINVAL (enter namespace '${stale}'): the file is not a namespace: remove it`,
    });
    removeNamespace(stale);
    assert.equal(namespaceExists(stale), false);
  } finally {
    rmSync(namespacePath(stale), { force: true });
  }
});

test('a name that would leave the folder is refused', () => {
  for (const bad of ['', '.', '..', 'a/b', '../x', 'x\0y', 'x'.repeat(256)]) {
    assert.throws(() => namespacePath(bad), RangeError);
  }
});

test('an unknown namespace is reported with its path', () => {
  assert.throws(() => openNamespace('blst-none'), { message: "open: ENOENT ('/run/netns/blst-none')" });
  assert.throws(() => enterNamespace('blst-none'), { errno: 'ENOENT' });
});

test('a plain user is told what is missing', root, () => {
  createNamespace(name);
  const script = `
    const { createNamespace, enterNamespace } = await import(${JSON.stringify(new URL('./netns.js', import.meta.url).href)});
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    for (const attempt of [() => createNamespace('blst-user'), () => enterNamespace(${JSON.stringify(name)})]) {
      try { attempt(); console.log('no error'); } catch (error) { console.log(error.message); }
    }`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.deepEqual(stdout.trim().split('\n'), [
    'mount: EPERM (share /run/netns): run as root, or grant CAP_SYS_ADMIN (systemd: AmbientCapabilities=CAP_SYS_ADMIN)',
    `setns: EPERM (enter namespace '${name}'): run as root, or grant CAP_SYS_ADMIN (systemd: AmbientCapabilities=CAP_SYS_ADMIN)`,
  ]);
});
