// SPDX-License-Identifier: Apache-2.0
// SCTP through the director between programs that nobody here wrote: usrsctp's echo server and client, which bring their own
// SCTP, since this machine's kernel need not have any.

import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { socketAddress } from '../../src/lab/plan.ts';
import { NatLab } from '../../src/lab/session.ts';
import { spawnInNamespace } from '../../src/linux/process-namespace.ts';
import { eventually } from '../support/eventually.ts';
import { requirements } from '../support/requirements.ts';

const FOLDER = '/usr/lib/usrsctp';
/** The port of usrsctp's echo server (RFC 862). */
const ECHO = 7;
const WORDS = Array.from({ length: 20 }, (_, i) => `word ${i} ${'x'.repeat(i * 50)}`);

describe('SCTP through the NAT director', { skip: requirements('root', 'xdp', 'program:usrsctp') }, () => {
  let lab: NatLab;
  const servers: { kill(signal: NodeJS.Signals): boolean; readonly exited: Promise<unknown> }[] = [];

  before(async () => {
    lab = await NatLab.open({ servers: 2, prefix: 'blsts' });
    for (const { namespace } of lab.plan.servers) {
      const server = spawnInNamespace(namespace, `${FOLDER}/echo_server`, [], { stdio: 'ignore' });
      const exited = new Promise((resolve) => server.once('exit', resolve));
      servers.push({ kill: (signal) => server.kill(signal), exited });
    }
  });
  after(async () => {
    for (const server of servers) server.kill('SIGKILL');
    await Promise.all(servers.map(({ exited }) => exited));
    await lab?.close();
  });

  for (const family of [4, 6] as const) {
    test(`what a client says comes back in its order, over IPv${family}`, async () => {
      const { virtual, client } = lab.plan;
      const address = family === 4 ? virtual.v4 : virtual.v6;
      const service = socketAddress(address, ECHO);
      await lab.director.mustIpvsadm('-A', '--sctp-service', service, '-s', 'rr');
      for (const server of lab.plan.servers) {
        const own = family === 4 ? server.v4.address : server.v6.address;
        await lab.director.mustIpvsadm('-a', '--sctp-service', service, '-r', socketAddress(own, ECHO), '-m');
      }
      const program = spawnInNamespace(client.namespace, 'stdbuf', ['-oL', `${FOLDER}/client`, address, `${ECHO}`], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      const exited = new Promise((resolve) => program.once('exit', resolve));
      try {
        const lines = createInterface({ input: program.stdout! })[Symbol.asyncIterator]();
        const next = async (): Promise<string> => {
          for (;;) {
            const { value, done } = await lines.next();
            assert.notEqual(done, true, 'the client ended');
            if (value.startsWith('word ')) return value;
          }
        };
        for (const word of WORDS) {
          program.stdin!.write(`${word}\n`);
          assert.equal(await next(), word);
        }
        await eventually('the association is established', async () => {
          const listing = await lab.director.mustIpvsadm('-Lnc');
          return new RegExp(`SCTP .* ESTABLISHED .*${address.replaceAll('.', '\\.')}`).test(listing) ? true : undefined;
        });
      } finally {
        program.kill('SIGKILL');
        await exited;
      }
    });
  }
});
