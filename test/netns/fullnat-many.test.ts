// SPDX-License-Identifier: Apache-2.0
// FULLNAT with as many connections at once as one local address nearly has ports: real sockets at both ends. Every one has a
// port of its own, seen by the server, and all of them still move data when the last is open.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { addresses, HOST_DEVICE, socketAddress } from '../../src/lab/plan.ts';
import { endChild } from '../../src/lab/processes.ts';
import { RemoteLab } from '../../src/lab/remote.ts';
import { CLIENT_NET, DIRECTOR_NET } from '../../src/lab/remote-plan.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { addAddress } from '../../src/linux/route/address.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';
import { eventually } from '../support/eventually.ts';
import type { ManyCounts } from '../support/many-server.ts';
import { requirements } from '../support/requirements.ts';

/** Of 64511 ports; MANY_CONNECTIONS=60000 takes minutes on a small machine. */
const CONNECTIONS = Number(process.env.MANY_CONNECTIONS ?? 5_000);
/** Processes at either end, since a process may not have so many files; each client has an address of its own. */
const PROCESSES = 4;
const PARALLEL = 50;
const PORT = 9100;
const FIRST_CLIENT = 10;

function start(namespace: string, script: string, args: readonly string[]): ChildProcess {
  return spawnInNamespace(namespace, process.execPath, [join(import.meta.dirname, '..', 'support', script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

function linesOf(child: ChildProcess): () => Promise<string> {
  assert.ok(child.stdout);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => String((await lines.next()).value);
}

test(`${CONNECTIONS} connections over one local address to one server`, {
  skip: requirements('root', 'xdp'),
}, async (t) => {
  const lab = await RemoteLab.open({ servers: 1, serverRoutes: 'director', withServers: false, prefix: 'blstm' });
  const children: ChildProcess[] = [];
  t.after(async () => {
    await Promise.all(children.map(endChild));
    await lab.close();
  });
  const { client, director, servers, virtual } = lab.plan;
  const [server] = servers;
  const local = addresses(DIRECTOR_NET, 5).v4.address;
  const clients = Array.from({ length: PROCESSES }, (_, i) => addresses(CLIENT_NET, FIRST_CLIENT + i).v4.address);
  for (const [namespace, list] of [
    [client.namespace, clients],
    [director.namespace, [local]],
  ] as const) {
    const socket = openRouteSocket(namespace);
    for (const address of list) addAddress(socket, HOST_DEVICE, address, namespace === client.namespace ? 24 : 32);
    socket.close();
  }
  const service = socketAddress(virtual.v4, PORT);
  assert.equal((await lab.director.ballast(['local', 'add', local])).stderr, '');
  await lab.director.mustIpvsadm('-A', '-t', service, '-s', 'rr');
  await lab.director.mustIpvsadm('-a', '-t', service, '-r', socketAddress(server.v4.address, PORT), '--fullnat');

  const echo = start(server.namespace, 'many-server.js', [String(PORT), String(PROCESSES)]);
  children.push(echo);
  const fromServer = linesOf(echo);
  assert.equal(await fromServer(), 'ready');
  const share = CONNECTIONS / PROCESSES;
  const crowd = clients.map((address) => {
    const child = start(client.namespace, 'many-client.js', [
      virtual.v4,
      String(PORT),
      String(share),
      String(PARALLEL),
      address,
    ]);
    children.push(child);
    return { child, line: linesOf(child) };
  });
  for (const { line } of crowd) assert.deepEqual(JSON.parse(await line()), { open: share, failed: 0 });

  // Its kernel has accepted all of them; that its processes have shared them out takes as long as it takes.
  let counts: ManyCounts = { open: 0, ports: 0, sources: [] };
  while (counts.open < CONNECTIONS) {
    const { open } = counts;
    counts = await eventually('the server takes more connections', async () => {
      echo.stdin?.write('\n');
      const now = JSON.parse(await fromServer()) as ManyCounts;
      return now.open > open ? now : undefined;
    });
  }
  const { ports, sources } = counts;
  assert.deepEqual(sources, [`::ffff:${local}`]);
  assert.equal(ports, CONNECTIONS, 'no two connections have the same local port');
  for (const { child } of crowd) child.stdin?.write('\n');
  for (const { line } of crowd) assert.deepEqual(JSON.parse(await line()), { right: share });

  const { stdout } = await lab.director.ballast(['local', 'list', '--json']);
  const { pools } = JSON.parse(stdout) as { pools: { connections: number; exhausted: number }[] };
  assert.equal(pools[0].exhausted, 0);
  assert.ok(pools[0].connections >= CONNECTIONS, stdout);
});
