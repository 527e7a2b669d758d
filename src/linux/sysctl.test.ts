// SPDX-License-Identifier: Apache-2.0
// Settings of the kernel, changed in namespaces of the test's own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryNamespace } from '../../test/support/namespaces.ts';
import { requirements } from '../../test/support/requirements.ts';
import { inNamespace } from './netns.ts';
import { runInNamespace } from './process-namespace.ts';
import { readSysctl, sysctlPath, writeSysctl } from './sysctl.ts';

const root = { skip: requirements('root') };

test('a setting is changed in the namespace that the thread visits, and nowhere else', root, (t) => {
  const [a, b] = [temporaryNamespace(t, 'a'), temporaryNamespace(t, 'b')];
  const before = readSysctl('net.ipv4.ip_default_ttl');
  inNamespace(a, () => writeSysctl('net.ipv4.ip_default_ttl', 33));
  inNamespace(b, () => writeSysctl('net.ipv4.ip_default_ttl', '44'));
  assert.equal(
    inNamespace(a, () => readSysctl('net.ipv4.ip_default_ttl')),
    '33',
  );
  assert.equal(
    inNamespace(b, () => readSysctl('net.ipv4.ip_default_ttl')),
    '44',
  );
  assert.equal(readSysctl('net.ipv4.ip_default_ttl'), before);
});

test('a value that the kernel refuses and a setting that is not there are told apart', root, (t) => {
  const namespace = temporaryNamespace(t, 'a');
  inNamespace(namespace, () => {
    assert.throws(() => writeSysctl('net.ipv4.ip_default_ttl', 'many'), {
      message: 'write: EINVAL (sysctl net.ipv4.ip_default_ttl=many)',
    });
    assert.throws(() => readSysctl('net.ipv4.conf.eth9.forwarding'), { name: 'UnsupportedError' });
  });
});

test('dots part a name, slashes do where a device has dots in its own', () => {
  assert.equal(sysctlPath('net.ipv4.ip_forward'), '/proc/sys/net/ipv4/ip_forward');
  assert.equal(sysctlPath('net/ipv4/conf/eth0.100/rp_filter'), '/proc/sys/net/ipv4/conf/eth0.100/rp_filter');
});

test('a name outside of the network settings is refused', () => {
  for (const name of ['', 'net', 'kernel.panic', 'net/../kernel/panic', 'net..x', 'net/./x', '/net/x', 'net/x\0y']) {
    assert.throws(() => sysctlPath(name), RangeError, name);
  }
});

test('a plain user is told what is missing', root, (t) => {
  const namespace = temporaryNamespace(t, 'a');
  const script = `
    const { writeSysctl } = await import(${JSON.stringify(new URL('./sysctl.js', import.meta.url).href)});
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    try { writeSysctl('net.ipv4.ip_forward', 1); } catch (error) { console.log(error.message); }`;
  const { stdout } = runInNamespace(namespace, process.execPath, ['--input-type=module', '-e', script]);
  assert.equal(
    stdout.trim(),
    'write: EACCES (sysctl net.ipv4.ip_forward=1): run as root, or grant CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN)',
  );
});
