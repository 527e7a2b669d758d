// SPDX-License-Identifier: Apache-2.0
// The NAT director under programs that nobody here wrote: curl, wrk, and plain sockets, in the lab's network.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { socketAddress } from '../../src/lab/plan.ts';
import { NatLab } from '../../src/lab/session.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { eventually } from '../support/eventually.ts';
import { runIn } from '../support/in-lab.ts';
import { requirements } from '../support/requirements.ts';
import { assertDownload, assertSteadyLoad, CONNECTIONS } from '../support/traffic.ts';

const DOWNLOAD_BYTES = 100_000_000;

describe('the NAT director', { skip: requirements('root', 'xdp', 'program:curl', 'program:wrk') }, () => {
  let lab: NatLab;
  let service: Record<4 | 6, string>;

  before(async () => {
    lab = await NatLab.open({ servers: 2, prefix: 'blstt' });
    const { virtual, servers, serverPort } = lab.plan;
    service = { 4: socketAddress(virtual.v4, virtual.port), 6: socketAddress(virtual.v6, virtual.port) };
    for (const [family, protocol] of [
      [4, '-t'],
      [6, '-t'],
      [4, '-u'],
      [6, '-u'],
    ] as const) {
      await lab.director.mustIpvsadm('-A', protocol, service[family], '-s', 'rr');
      for (const server of servers) {
        const { address } = family === 4 ? server.v4 : server.v6;
        const real = socketAddress(address, serverPort);
        await lab.director.mustIpvsadm('-a', protocol, service[family], '-r', real, '-m');
      }
    }
  });
  after(() => lab?.close());

  for (const family of [4, 6] as const) {
    test(`curl in a loop alternates between the servers, over IPv${family}`, async () => {
      const bodies: string[] = [];
      for (let i = 0; i < 8; i++) {
        const { stdout, stderr } = await runIn(lab.plan.client.namespace, 'curl', '-sS', `http://${service[family]}/`);
        assert.equal(stderr, '');
        bodies.push(stdout);
      }
      assert.deepEqual(new Set(bodies), new Set(['hello from rs1\n', 'hello from rs2\n']));
      for (let i = 1; i < bodies.length; i++) assert.notEqual(bodies[i], bodies[i - 1]);
    });
  }

  for (const [family, seconds, name, headers] of [
    [4, 10, 'keep-alive', []],
    [4, 10, 'a connection per request', ['Connection: close']],
    [6, 10, 'keep-alive', []],
    [6, 10, 'a connection per request', ['Connection: close']],
  ] as const) {
    test(`wrk with ${CONNECTIONS} connections, ${name}, IPv${family}, ${seconds} s: no socket error, no reset`, async () => {
      const { client, director, servers } = lab.plan;
      const namespaces = [client, director, ...servers].map((host) => host.namespace);
      await assertSteadyLoad({ namespaces, url: `http://${service[family]}/`, seconds, headers });
    });
  }

  test('a download of 100 MB arrives as it was sent', async () => {
    await assertDownload(lab.plan.client.namespace, `http://${service[4]}`, DOWNLOAD_BYTES);
  });

  for (const family of [4, 6] as const) {
    test(`UDP datagrams are answered from the virtual address, over IPv${family}`, async () => {
      const { virtual } = lab.plan;
      const address = family === 4 ? virtual.v4 : virtual.v6;
      // A connected socket takes nothing from any other address.
      const script = `
        const socket = require('node:dgram').createSocket('udp${family}');
        socket.on('message', (text) => { console.log(String(text)); socket.close(); });
        socket.connect(${virtual.port}, '${address}', () => socket.send('ping'));
        setTimeout(() => process.exit(3), 5000).unref();`;
      const { stdout } = await runIn(lab.plan.client.namespace, process.execPath, '-e', script);
      assert.match(stdout, /^rs[12] ping\n$/);
    });
  }

  test('an idle connection stays; one that expired is gone from the listing', async () => {
    const { director, plan } = lab;
    const args = [
      join(import.meta.dirname, '..', 'support', 'steady-client.js'),
      plan.virtual.v4,
      String(plan.virtual.port),
    ];
    const client = spawnInNamespace(plan.client.namespace, process.execPath, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      assert.ok(client.stdin && client.stdout);
      const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
      const port = (await lines.next()).value;
      const entry = async (): Promise<string | undefined> =>
        (await director.mustIpvsadm('-Lcn'))
          .split('\n')
          .find((line) => line.includes(`${plan.client.v4.address}:${port} `));
      const ask = async (): Promise<string> => {
        client.stdin?.write('\n');
        return (await lines.next()).value;
      };
      const first = await ask();
      assert.match(first, /^hello from rs[12]$/);
      assert.match((await entry()) ?? '', /^TCP (15:00|14:5\d) {2}ESTABLISHED /);
      await eventually('the idle connection counts down', async () =>
        / 14:5[0-7] /.test((await entry()) ?? '') ? true : undefined,
      );
      assert.equal(await ask(), first, 'the idle connection goes on, on its server');

      await director.mustIpvsadm('--set', '2', '2', '2');
      assert.equal(await ask(), first, 'a packet takes the new timeout');
      await eventually('the expired connection is gone', async () =>
        (await entry()) === undefined ? true : undefined,
      );
    } finally {
      client.kill();
      await director.mustIpvsadm('--set', '900', '120', '300');
    }
  });

  test('nothing was dropped as malformed', async () => {
    const { verdicts } = await lab.director.status();
    const malformed = Object.entries(verdicts).filter(([name]) => /malformed|bad/i.test(name));
    assert.ok(malformed.length > 0, 'malformed frames are counted by reason');
    for (const [name, count] of malformed) assert.equal(count, 0, name);
  });
});
