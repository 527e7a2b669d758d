// SPDX-License-Identifier: Apache-2.0
// The client and the daemon together over a real Unix socket.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { localDataPlane } from '../../test/support/local-dataplane.ts';
import { scratchFolder } from '../../test/support/scratch.ts';
import { Daemon } from '../daemon/daemon.ts';
import { createLog } from '../daemon/log.ts';
import type { Change, DataPlane } from '../dataplane/dataplane.ts';
import { LvsError, type LvsErrorCode } from '../lvs/model.ts';
import { ApiDataPlane, DaemonError } from './client.ts';

const log = createLog({ level: 'error', write: assert.fail });
const service = { kind: 'address', protocol: 'tcp', address: '10.0.0.1', port: 80 };
const ADD = {
  type: 'add-service',
  service,
  options: { scheduler: 'rr', schedulerFlags: [], onePacket: false },
} as unknown as Change;

async function start(t: TestContext): Promise<{ client: ApiDataPlane; daemon: Daemon; dataplane: DataPlane }> {
  const dataplane = localDataPlane();
  const socket = join(scratchFolder(t), 'a.sock');
  const daemon = await Daemon.start({ socket }, { open: async () => dataplane, log });
  const client = new ApiDataPlane(socket);
  t.after(() => Promise.all([client.close(), daemon.close()]));
  return { client, daemon, dataplane };
}

test('changes, snapshots and connections pass through unchanged', async (t) => {
  const { client, dataplane } = await start(t);
  await client.apply(ADD);
  assert.deepEqual(await client.snapshot(), await dataplane.snapshot());
  assert.deepEqual(await client.connections(0), { entries: [], next: -1 });
  assert.equal((await client.status()).pid, process.pid);
});

test('every refusal of the director arrives as the same LvsError', async (t) => {
  const { client, dataplane } = await start(t);
  const codes: readonly LvsErrorCode[] = [
    ...(['EEXIST', 'ENOENT', 'ESRCH', 'EINVAL', 'ERANGE', 'ENOMEM', 'EAFNOSUPPORT', 'EOPNOTSUPP'] as const),
  ];
  for (const code of codes) {
    dataplane.apply = () => Promise.reject(new LvsError(code, `because of ${code}`));
    await assert.rejects(client.apply(ADD), { name: 'LvsError', code, message: `because of ${code}` });
  }
});

test('a change that the API finds malformed is EINVAL', async (t) => {
  const { client } = await start(t);
  await assert.rejects(client.apply({ ...ADD, colour: 'red' } as unknown as Change), {
    name: 'LvsError',
    code: 'EINVAL',
  });
});

test('without a daemon the message says how to start one', async (t) => {
  const socket = join(scratchFolder(t), 'none.sock');
  await assert.rejects(new ApiDataPlane(socket).snapshot(), {
    name: 'DaemonError',
    message: `no Ballast daemon answers at ${socket} (ENOENT): start one with 'ballast run'`,
  });
});

test('another program behind the socket is recognized', async (t) => {
  const socket = join(scratchFolder(t), 'other.sock');
  const other = createServer((_, response) => response.writeHead(200).end('<html>'));
  await new Promise<void>((resolve) => other.listen(socket, resolve));
  t.after(() => other.close());
  const client = new ApiDataPlane(socket);
  t.after(() => client.close());
  await assert.rejects(client.snapshot(), (error: Error) => {
    assert.ok(error instanceof DaemonError);
    assert.match(error.message, /\(status 200\) is not Ballast's$/);
    return true;
  });
});

test('closing the daemon closes the data plane and removes the socket', async (t) => {
  const { client, daemon, dataplane } = await start(t);
  let isClosed = false;
  dataplane.close = async () => {
    isClosed = true;
  };
  await client.snapshot();
  await daemon.close();
  assert.equal(isClosed, true);
  assert.equal(existsSync(daemon.socket), false);
  await assert.rejects(client.snapshot(), DaemonError);
});

test('a client that comes while the data plane opens is answered once it is open', async (t) => {
  const socket = join(scratchFolder(t), 'a.sock');
  const dataplane = localDataPlane();
  const client = new ApiDataPlane(socket);
  let early: Promise<unknown> = Promise.resolve();
  const open = async (): Promise<DataPlane> => {
    early = client.apply(ADD);
    return dataplane;
  };
  const daemon = await Daemon.start({ socket }, { open, log });
  t.after(() => Promise.all([client.close(), daemon.close()]));
  await early;
  assert.equal((await dataplane.snapshot()).services.length, 1);
});

test('when the data plane does not open nothing is left behind', async (t) => {
  const socket = join(scratchFolder(t), 'a.sock');
  const open = (): Promise<DataPlane> => Promise.reject(new Error('no such device'));
  await assert.rejects(Daemon.start({ socket }, { open, log }), /no such device/);
  assert.equal(existsSync(socket), false);
});

test('bytes that are not HTTP, and requests without a host, get an answer and harm nobody', async (t) => {
  const { client, daemon } = await start(t);
  const send = async (bytes: string): Promise<string> => await text(connect(daemon.socket).end(bytes));
  assert.match(await send('\x16\x03\x01\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await send('GET /v1/status HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /);
  assert.match(await send('GET /v1/x HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 4\d\d /);
  assert.equal((await client.status()).services, 0);
});
