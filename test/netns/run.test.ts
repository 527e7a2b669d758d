// SPDX-License-Identifier: Apache-2.0
// `ballast run` with the real engine, in a namespace of its own: it starts, says so, stops, and fails cleanly.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ApiDataPlane } from '../../src/cli/client.ts';
import { addAddress } from '../../src/linux/route/address.ts';
import { changeLink, createVeth } from '../../src/linux/route/link.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';
import type { Address } from '../../src/packet/address.ts';
import { ballast, type Outcome } from '../support/ballast-process.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryNamespace } from '../support/namespaces.ts';
import { requirements } from '../support/requirements.ts';
import { scratchFolder } from '../support/scratch.ts';

const skip = requirements('root', 'xdp');

interface Host {
  readonly folder: string;
  readonly socket: string;
  /** Runs the program in the namespace, with its own socket. */
  readonly run: (...args: readonly string[]) => Promise<Outcome>;
}

/** A namespace with the device `blst0`, up and with an address, and an end of all daemons that the test started there. */
function host(t: TestContext): Host {
  let socket = '';
  // Hooks run in this order: the daemon ends before its folder and its namespace go.
  t.after(() => stop(socket));
  const folder = scratchFolder(t);
  socket = join(folder, 'a.sock');
  const namespace = temporaryNamespace(t, 'run');
  const route = openRouteSocket(namespace);
  createVeth(route, { name: 'blst0' }, { name: 'far0' });
  for (const name of ['blst0', 'far0']) changeLink(route, name, { up: true });
  addAddress(route, 'blst0', '192.0.2.1' as Address, 24);
  route.close();
  const run = (...args: readonly string[]): Promise<Outcome> =>
    ballast(args, { namespace, env: { BALLAST_SOCKET: socket } });
  return { folder, socket, run };
}

/** Ends the daemon at `socket`, if one runs, and waits until it is gone. */
async function stop(socket: string): Promise<void> {
  const client = new ApiDataPlane(socket);
  const pid = await client.status().then(
    (status) => status.pid,
    () => undefined,
  );
  await client.close();
  if (pid === undefined) return;
  process.kill(pid, 'SIGTERM');
  await ended(pid);
}

function ended(pid: number): Promise<true> {
  return eventually(`the end of daemon ${pid}`, () => (isRunning(pid) ? undefined : true));
}

/** A detached daemon is the machine's to bury: one that is only waiting for that has ended. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}

test('run starts a daemon that goes on, tells what it serves, and ends with SIGTERM', { skip }, async (t) => {
  const at = host(t);
  const { status, stdout, stderr } = await at.run('run');
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /^ballast: running, pid \d+, engine \(af-xdp \w+: blst0\), socket .+a\.sock\n$/);
  assert.match((await at.run('status')).stdout, /^blst0 +(native|generic) +1 /m);
  await stop(at.socket);
  assert.deepEqual(readdirSync(at.folder), ['a.log']);
  assert.equal((await at.run('run')).status, 0);
});

test('a second daemon on the same socket is refused and the first goes on', { skip }, async (t) => {
  const at = host(t);
  assert.equal((await at.run('run')).status, 0);
  const { status, stdout, stderr } = await at.run('run');
  assert.deepEqual([status, stdout], [1, '']);
  assert.equal(
    stderr,
    `ballast: a Ballast daemon already answers at ${at.socket}: stop it, or choose another --socket\n`,
  );
  assert.equal((await at.run('status')).status, 0);
});

test('a daemon that was killed is replaced', { skip }, async (t) => {
  const at = host(t);
  const first = await at.run('run');
  const pid = Number(/pid (\d+)/.exec(first.stdout)?.[1]);
  process.kill(pid, 'SIGKILL');
  await ended(pid);
  assert.equal(existsSync(at.socket), true);
  const second = await at.run('run');
  assert.deepEqual([second.status, second.stderr], [0, '']);
});

test('a device that is not there fails the start in one line and leaves nothing behind', { skip }, async (t) => {
  const at = host(t);
  for (const args of [[], ['--foreground']]) {
    const { status, stdout, stderr } = await at.run('run', '--interface', 'nowhere0', ...args);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^(time=[^\n]+\n)*ballast: [^\n]*nowhere0[^\n]*\n$/);
    assert.deepEqual(readdirSync(at.folder), []);
  }
});

test('services of a rules file are there when run returns, and saved rules come back the same', { skip }, async (t) => {
  const at = host(t);
  const rules = join(scratchFolder(t), 'rules');
  const text = '-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.20:8080 -m -w 3\n';
  writeFileSync(rules, text);
  const { status, stderr } = await at.run('run', '--rules', rules);
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal((await at.run('ipvsadm', '-S', '-n')).stdout, text);
});

test('a rule that is refused fails the start with ipvsadm’s words', { skip }, async (t) => {
  const at = host(t);
  const rules = join(scratchFolder(t), 'rules');
  writeFileSync(rules, '-A -t 192.0.2.10:80 -s rr\n-A -t 192.0.2.10:80 -s rr\n');
  const { status, stderr } = await at.run('run', '--rules', rules);
  assert.equal(status, 1);
  assert.equal(stderr, `ballast: rules '${rules}': Service already exists\n`);
  assert.deepEqual(readdirSync(at.folder), []);
});
