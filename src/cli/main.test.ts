// SPDX-License-Identifier: Apache-2.0
// The program from outside: commands, names, exit statuses, and messages for what goes wrong.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BALLAST, ballast } from '../../test/support/ballast-process.ts';
import { requirements } from '../../test/support/requirements.ts';
import { scratchFolder } from '../../test/support/scratch.ts';
import { testDaemon } from '../../test/support/test-daemon.ts';

const NOBODY = 65534;

test('help goes to stdout when asked for, and to stderr with status 2 when there is no command', async () => {
  const asked = await ballast(['--help']);
  assert.deepEqual([asked.status, asked.stderr], [0, '']);
  assert.match(asked.stdout, /^usage: ballast COMMAND/);
  const none = await ballast([]);
  assert.deepEqual([none.status, none.stdout, none.stderr], [2, '', asked.stdout]);
  assert.match((await ballast(['help', 'run'])).stdout, /^usage: ballast run/);
});

test('an unknown command or option is named, with status 2', async () => {
  const command = await ballast(['fly']);
  assert.deepEqual([command.status, command.stderr], [2, "ballast: unknown command 'fly', see 'ballast help'\n"]);
  const option = await ballast(['run', '--wings']);
  assert.equal(option.status, 2);
  assert.match(option.stderr, /^ballast: .*'--wings'/);
});

test('the version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  assert.equal((await ballast(['version'])).stdout, `ballast ${version}\n`);
});

test('wrong values of run are refused before anything is touched', async (t) => {
  const socket = join(scratchFolder(t), 'run', 'a.sock');
  const cases: readonly [string[], RegExp, number][] = [
    [['--max-connections', '0'], /^ballast: --max-connections '0' is not a number/, 2],
    [['--log-level', 'loud'], /^ballast: --log-level 'loud' is none of debug, info, warn, error\n$/, 2],
    [['--rules', '/nonexistent/rules'], /^ballast: cannot read the rules '\/nonexistent\/rules' \(ENOENT\)\n$/, 1],
  ];
  for (const [args, message, expected] of cases) {
    const { status, stderr } = await ballast(['run', '--socket', socket, ...args]);
    assert.equal(status, expected);
    assert.match(stderr, message);
    assert.equal(existsSync(join(socket, '..')), false);
  }
});

test('without a daemon every command that needs one says how to start it', async (t) => {
  const socket = join(scratchFolder(t), 'none.sock');
  const env = { BALLAST_SOCKET: socket };
  const remedy = `no Ballast daemon answers at ${socket} (ENOENT): start one with 'ballast run'\n`;
  const status = await ballast(['status'], { env });
  assert.deepEqual([status.status, status.stderr], [1, `ballast: ${remedy}`]);
  const listing = await ballast(['ipvsadm', '-Ln'], { env });
  assert.equal(listing.status, 2);
  assert.ok(listing.stderr.includes(remedy), listing.stderr);
});

test('ipvsadm works through the daemon, by command and by name', async (t) => {
  const { env, dataplane } = await testDaemon(t);
  const link = join(scratchFolder(t), 'ipvsadm');
  symlinkSync(BALLAST, link);
  const entry = BALLAST.replace(/ballast\.js$/, 'ipvsadm.js');
  assert.equal((await ballast(['ipvsadm', '-A', '-t', '10.0.0.1:80', '-s', 'rr'], { env })).status, 0);
  const add = ['-a', '-t', '10.0.0.1:80', '-r', '10.0.0.2:8080', '-m'];
  assert.deepEqual(await ballast(add, { env, entry: link }), { status: 0, signal: null, stdout: '', stderr: '' });
  const listed = await ballast(['-Ln'], { env, entry });
  assert.match(listed.stdout, /TCP {2}10\.0\.0\.1:80 rr\n {2}-> 10\.0\.0\.2:8080 +Masq {4}1 /);
  assert.equal((await dataplane.snapshot()).services[0].servers.length, 1);
});

test('status is a table for people and JSON for programs', async (t) => {
  const { env } = await testDaemon(t);
  const table = await ballast(['status'], { env });
  assert.match(table.stdout, /^data plane {3}engine \(in this thread\)$/m);
  const json = JSON.parse((await ballast(['status', '--json'], { env })).stdout);
  assert.equal(json.pid, process.pid);
});

test('a reader that goes away ends the program silently', async (t) => {
  const { env } = await testDaemon(t);
  const child = spawn(process.execPath, [BALLAST, 'status', '--json'], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  assert.deepEqual([status, stderr], [0, '']);
});

test('a user without privilege is told what to do, in the foreground and detached', async (t) => {
  const isRoot = process.getuid?.() === 0;
  const uid = isRoot ? { uid: NOBODY } : {};
  const folder = scratchFolder(t);
  for (const args of [['--foreground'], []]) {
    const socket = join(folder, 'run', 'a.sock');
    const { status, stdout, stderr } = await ballast(
      ['run', '--socket', isRoot ? socket : '/run/x/a.sock', ...args],
      uid,
    );
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^ballast: [^\n]*EACCES[^\n]*run as root\n$/);
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('a user who may write the socket but not open devices is told so, and nothing is left', {
  skip: requirements('root'),
}, async (t) => {
  const folder = scratchFolder(t);
  const { chmodSync } = await import('node:fs');
  chmodSync(folder, 0o777);
  for (const args of [['--foreground'], []]) {
    const { status, stdout, stderr } = await ballast(['run', '--socket', join(folder, 'a.sock'), ...args], {
      uid: NOBODY,
    });
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^ballast: [^\n]*(root|CAP_)[^\n]*\n$/);
    assert.deepEqual(readdirSync(folder), []);
  }
});
