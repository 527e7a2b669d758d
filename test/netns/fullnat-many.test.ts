// SPDX-License-Identifier: Apache-2.0
// FULLNAT with as many connections at once as one local address nearly has ports: real sockets at both ends. Every one has a
// port of its own, seen by the server, and all of them still move data when the last is open.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { addresses, HOST_DEVICE, socketAddress } from '../../src/lab/plan.ts';
import { endChild } from '../../src/lab/processes.ts';
import { RemoteLab } from '../../src/lab/remote.ts';
import { CLIENT_NET, DIRECTOR_NET } from '../../src/lab/remote-plan.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { addAddress } from '../../src/linux/route/address.ts';
import { openRouteSocket } from '../../src/linux/route/route-socket.ts';
import { requirements } from '../support/requirements.ts';

/** Of 64511 ports; MANY_CONNECTIONS=60000 takes minutes on a small machine. */
const CONNECTIONS = Number(process.env.MANY_CONNECTIONS ?? 5_000);
/** Processes at either end, since a process may not have so many files; each client has an address of its own. */
const PROCESSES = 4;
const PARALLEL = 50;
const PORT = 9100;
const FIRST_CLIENT = 10;

/** Echoes in several processes; asked by a line on its input, it says how many connections it has, and from where. */
const SERVER = `
const cluster = require('node:cluster');
if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_RR;
  let ready = 0, counts = [];
  for (let i = 0; i < ${PROCESSES}; i++) cluster.fork();
  cluster.on('message', (worker, message) => {
    if (message === 'ready') { if (++ready === ${PROCESSES}) console.log('ready'); return; }
    counts.push(message);
    if (counts.length < ${PROCESSES}) return;
    const ends = counts.flatMap(({ ports }) => ports);
    const sources = [...new Set(counts.flatMap(({ sources }) => sources))];
    console.log(JSON.stringify({ open: ends.length, ports: new Set(ends).size, sources }));
    counts = [];
  });
  process.stdin.on('data', () => { for (const worker of Object.values(cluster.workers)) worker.send('count'); });
  process.on('SIGTERM', () => process.exit());
} else {
  const open = new Set(); const sources = new Set();
  require('node:net').createServer((socket) => {
    const port = socket.remotePort; open.add(port); sources.add(socket.remoteAddress);
    socket.on('error', () => {}); socket.on('close', () => open.delete(port));
    socket.pipe(socket);
  }).listen({ port: ${PORT}, host: '::', backlog: 8192 }, () => process.send('ready'));
  process.on('message', () => process.send({ ports: [...open], sources: [...sources] }));
  process.on('disconnect', () => process.exit());
}
`;

/** Opens all, says 'open', and on a line of input sends its number through each and counts what comes back. */
const CLIENT = `
const [host, port, count, parallel, ...addresses] = process.argv.slice(1);
const net = require('node:net'); const sockets = []; let next = 0; let failed = 0;
const connect = (i, tries) => new Promise((done) => {
  const socket = net.connect({ host, port: Number(port), localAddress: addresses[i % addresses.length] });
  let connected = false;
  socket.once('connect', () => { connected = true; sockets.push(socket); done(); });
  socket.on('error', () => { if (connected) return; if (tries === 0) { failed++; done(); } else connect(i, tries - 1).then(done); });
});
const work = async () => { while (next < Number(count)) await connect(next++, 3); };
Promise.all(Array.from({ length: Number(parallel) }, work)).then(() => console.log(JSON.stringify({ open: sockets.length, failed })));
process.stdin.once('data', async () => {
  let right = 0;
  for (let at = 0; at < sockets.length; at += Number(parallel)) {
    await Promise.all(sockets.slice(at, at + Number(parallel)).map((socket, i) => new Promise((done) => {
      const text = String(at + i) + '\\n';
      const timer = setTimeout(done, 30000);
      const finish = () => { clearTimeout(timer); done(); };
      socket.once('data', (data) => { if (String(data) === text) right++; finish(); });
      socket.once('close', finish);
      socket.write(text);
    })));
  }
  console.log(JSON.stringify({ right }));
});
`;

function start(namespace: string, script: string, args: readonly string[] = []): ChildProcess {
  return spawnInNamespace(namespace, process.execPath, ['-e', script, '--', ...args], {
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

  const echo = start(server.namespace, SERVER);
  children.push(echo);
  const fromServer = linesOf(echo);
  assert.equal(await fromServer(), 'ready');
  const share = CONNECTIONS / PROCESSES;
  const crowd = clients.map((address) => {
    const child = start(client.namespace, CLIENT, [virtual.v4, String(PORT), String(share), String(PARALLEL), address]);
    children.push(child);
    return { child, line: linesOf(child) };
  });
  for (const { line } of crowd) assert.deepEqual(JSON.parse(await line()), { open: share, failed: 0 });

  echo.stdin?.write('\n');
  const { open, ports, sources } = JSON.parse(await fromServer()) as { open: number; ports: number; sources: string[] };
  assert.deepEqual(sources, [`::ffff:${local}`]);
  assert.equal(open, CONNECTIONS);
  assert.equal(ports, CONNECTIONS, 'no two connections have the same local port');
  for (const { child } of crowd) child.stdin?.write('\n');
  for (const { line } of crowd) assert.deepEqual(JSON.parse(await line()), { right: share });

  const { stdout } = await lab.director.ballast(['local', 'list', '--json']);
  const { pools } = JSON.parse(stdout) as { pools: { connections: number; exhausted: number }[] };
  assert.equal(pools[0].exhausted, 0);
  assert.ok(pools[0].connections >= CONNECTIONS, stdout);
});
