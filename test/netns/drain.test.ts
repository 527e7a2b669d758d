// SPDX-License-Identifier: Apache-2.0
// `ballast drain` under real connections: idle ones and a download go on until the deadline, then both kernels see a
// reset; new connections meanwhile all go to the other server.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { socketAddress } from '../../src/lab/plan.ts';
import { NatLab } from '../../src/lab/session.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { ballast } from '../support/ballast-process.ts';
import { eventually } from '../support/eventually.ts';
import { hasOpenTcp, runIn, tcpCounters } from '../support/in-lab.ts';
import { requirements } from '../support/requirements.ts';

const IDLE = 8;
const DEADLINE_SECONDS = 3;
/** curl's status for a connection that was reset while it received. */
const CURL_RECEIVE_ERROR = 56;

describe('draining a server', { skip: requirements('root', 'xdp', 'program:curl') }, () => {
  let lab: NatLab;

  before(async () => {
    lab = await NatLab.open({ servers: 2, prefix: 'blstd' });
  });
  after(() => lab?.close());

  for (const family of [4, 6] as const) {
    test(`at the deadline client and server see a reset, over IPv${family}; until then nobody notices`, async () => {
      const { virtual, servers, serverPort, client } = lab.plan;
      const address = family === 4 ? virtual.v4 : virtual.v6;
      const service = socketAddress(address, virtual.port);
      const real = (server: number): string =>
        socketAddress((family === 4 ? servers[server].v4 : servers[server].v6).address, serverPort);
      const env = { BALLAST_SOCKET: lab.director.socket };
      const resets = (): number[] =>
        [client, servers[0], servers[1]].map((host) => tcpCounters(host.namespace).EstabResets);

      // All connections that are there before go to the first server, since there is no other.
      await lab.director.mustIpvsadm('-A', '-t', service, '-s', 'rr');
      await lab.director.mustIpvsadm('-a', '-t', service, '-r', real(0), '-m');
      const script = join(import.meta.dirname, '..', 'support', 'held-connections.js');
      const held = spawnInNamespace(
        client.namespace,
        process.execPath,
        [script, address, String(virtual.port), String(IDLE)],
        {
          stdio: ['pipe', 'pipe', 'inherit'],
        },
      );
      const url = `http://${service}/bytes/1000000000`;
      const download = spawnInNamespace(
        client.namespace,
        'curl',
        ['-sS', '--limit-rate', '2M', '-o', '/dev/null', url],
        {
          stdio: ['ignore', 'ignore', 'pipe'],
        },
      );
      try {
        assert.ok(held.stdout);
        const lines = createInterface({ input: held.stdout })[Symbol.asyncIterator]();
        assert.equal((await lines.next()).value, Array(IDLE).fill('hello from rs1').join(', '));
        const downloaded = once(download, 'exit') as Promise<[number | null]>;
        await lab.director.mustIpvsadm('-a', '-t', service, '-r', real(1), '-m');
        await eventually('the download is under way', async () => ((await left(env)) === IDLE + 1 ? true : undefined));

        const before = resets();
        const started = performance.now();
        const words = ['drain', '-t', service, '-r', real(0), '--deadline', String(DEADLINE_SECONDS), '--wait'];
        let isDrained = false;
        const drained = ballast(words, { env }).then((outcome) => {
          isDrained = true;
          return outcome;
        });
        let requests = 0;
        let beforeTheDeadline = before;
        await eventually('the drain has begun', async () =>
          /^draining /m.test((await ballast(['status'], { env })).stdout) ? true : undefined,
        );
        while (!isDrained) {
          const { status, stdout, stderr } = await runIn(client.namespace, 'curl', '-sS', `http://${service}/`);
          assert.deepEqual([status, stdout, stderr], [0, 'hello from rs2\n', '']);
          requests++;
          if (performance.now() - started < DEADLINE_SECONDS * 1000) beforeTheDeadline = resets();
        }
        assert.ok(requests > 20, `${requests} requests meanwhile`);
        assert.deepEqual(beforeTheDeadline, before, 'no connection was reset before the deadline');

        const outcome = await drained;
        assert.deepEqual([outcome.status, outcome.stderr], [0, '']);
        assert.match(outcome.stdout, /; 9 are left, reset in 3 s\n.* is drained: no connection is left\n$/);
        const ends: string[] = [];
        for (let i = 0; i < IDLE; i++) ends.push((await lines.next()).value);
        assert.deepEqual(ends, Array(IDLE).fill('ECONNRESET'));
        assert.deepEqual(await downloaded, [CURL_RECEIVE_ERROR, null]);
        await eventually('no connection is open on the drained server', () =>
          hasOpenTcp(servers[0].namespace) ? undefined : true,
        );
        const [atClient, atFirst, atSecond] = resets().map((count, i) => count - before[i]);
        assert.deepEqual([atClient, atFirst, atSecond], [IDLE + 1, IDLE + 1, 0]);
      } finally {
        held.kill();
        download.kill();
        await lab.director.mustIpvsadm('-C');
      }
    });
  }

  /** Connections of the first server. */
  async function left(env: { BALLAST_SOCKET: string }): Promise<number> {
    const { stdout } = await ballast(['ipvsadm', '-Lcn'], { env });
    return stdout.split('\n').filter((line) => line.includes(' ESTABLISHED ')).length;
  }
});
