// SPDX-License-Identifier: Apache-2.0
// The API's resources: what each answers, with which status, and that no input makes it fail.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Answer, api } from '../../test/support/api-calls.ts';
import { localDataPlane } from '../../test/support/local-dataplane.ts';
import { createApi } from './api.ts';
import { createLog } from './log.ts';
import { BODY_MAX } from './request.ts';

const WEB = '/v1/services/tcp:10.0.0.1:80';

test('a service is made, read, changed and deleted under the text of its key', async () => {
  const call = api();
  const made = await call('POST', '/v1/services', { key: 'tcp:10.0.0.1:80', scheduler: 'rr' });
  assert.equal(made.status, 201);
  assert.equal(made.headers.get('location'), '/v1/services/tcp%3A10.0.0.1%3A80');
  assert.equal(made.body.id, 'tcp:10.0.0.1:80');
  assert.deepEqual(made.body.key, { kind: 'address', protocol: 'tcp', address: '10.0.0.1', port: 80 });

  assert.equal((await call('PUT', WEB, { scheduler: 'wrr' })).body.scheduler, 'wrr');
  assert.equal((await call('GET', made.headers.get('location')!)).body.scheduler, 'wrr');
  assert.equal((await call('DELETE', WEB)).status, 204);
  assert.equal((await call('GET', WEB)).body.error?.code, 'ESRCH');
});

test('a service on an IPv6 address may be named by object and has brackets in its id', async () => {
  const call = api();
  const key = { kind: 'address', protocol: 'udp', address: '2001:DB8:0::1', port: 53 };
  assert.equal((await call('POST', '/v1/services', { key, scheduler: 'rr' })).body.id, 'udp:[2001:db8::1]:53');
  assert.equal((await call('GET', '/v1/services/udp:[2001:db8::1]:53')).status, 200);
  assert.equal((await call('GET', '/v1/services/udp%3A%5B2001%3Adb8%3A%3A1%5D%3A53')).status, 200);
});

test('servers are added, changed and removed below their service', async () => {
  const call = api();
  await call('POST', '/v1/services', { key: 'tcp:10.0.0.1:80', scheduler: 'wrr' });
  const server = { address: '10.0.0.2', port: 8080, method: 'nat' };
  const made = await call('POST', `${WEB}/servers`, server);
  assert.equal(made.status, 201);
  assert.equal(made.headers.get('location'), '/v1/services/tcp%3A10.0.0.1%3A80/servers/10.0.0.2%3A8080');
  assert.equal(made.body.weight, 1);
  assert.equal((await call('POST', `${WEB}/servers`, server)).status, 409);

  const changed = await call('PUT', `${WEB}/servers/10.0.0.2:8080`, { method: 'nat', weight: 5 });
  assert.deepEqual([changed.status, changed.body.id, changed.body.weight], [200, '10.0.0.2:8080', 5]);
  assert.equal(((await call('GET', WEB)).body.servers as unknown[]).length, 1);
  assert.equal((await call('DELETE', `${WEB}/servers/10.0.0.2:8080`)).status, 204);
  assert.equal((await call('DELETE', `${WEB}/servers/10.0.0.2:8080`)).body.error?.code, 'ENOENT');
});

test('deleting all services flushes the table', async () => {
  const call = api();
  for (const port of [80, 443]) await call('POST', '/v1/services', { key: `tcp:10.0.0.1:${port}`, scheduler: 'rr' });
  assert.equal(((await call('GET', '/v1/services')).body.services as unknown[]).length, 2);
  assert.equal((await call('DELETE', '/v1/services')).status, 204);
  assert.deepEqual((await call('GET', '/v1/services')).body, { services: [] });
});

test('status tells who runs and what was counted', async () => {
  const call = api();
  await call('POST', '/v1/services', { key: 'tcp:10.0.0.1:80', scheduler: 'rr' });
  const { body } = await call('GET', '/v1/status');
  assert.deepEqual(
    [body.version, body.pid, body.uptimeSeconds, body.dataplane, body.services, body.servers],
    ['1.2.3', 42, 7, 'engine (in this thread)', 1, 0],
  );
  assert.equal((body.verdicts as Record<string, number>).forward, 0);
  assert.deepEqual([body.connections, body.links], [{ current: 0, maximum: 1024 }, []]);
});

test('a timeout of zero stays as it was', async () => {
  const call = api();
  assert.deepEqual((await call('PUT', '/v1/timeouts', { tcp: 60, tcpFin: 0, udp: 5 })).body, {
    tcp: 60,
    tcpFin: 120,
    udp: 5,
  });
  assert.equal((await call('GET', '/v1/timeouts')).body.tcp, 60);
});

test('counters are zeroed for all services or for one', async () => {
  const call = api();
  assert.equal((await call('POST', '/v1/zero')).status, 204);
  assert.equal((await call('POST', `${WEB}/zero`)).status, 404);
});

test('a change in the model’s own form is applied, and logged with its keys', async () => {
  const lines: string[] = [];
  const call = api(localDataPlane(), lines);
  const service = { kind: 'address', protocol: 'tcp', address: '10.0.0.1', port: 80 };
  const options = { scheduler: 'rr', schedulerFlags: [], onePacket: false };
  assert.equal((await call('POST', '/v1/changes', { type: 'add-service', service, options })).status, 204);
  assert.equal((await call('GET', '/v1/snapshot')).body.tableSize, 4096);
  assert.match(lines.join(''), /level=info msg="change applied" change=add-service service=tcp:10\.0\.0\.1:80\n$/);
});

test('refusals of the director keep their code and get a fitting status', async () => {
  const call = api();
  const add = (key: string, scheduler: string): Promise<Answer> => call('POST', '/v1/services', { key, scheduler });
  await add('tcp:10.0.0.1:80', 'rr');
  const cases: readonly [Promise<Answer>, number, string][] = [
    [add('tcp:10.0.0.1:80', 'rr'), 409, 'EEXIST'],
    [add('tcp:10.0.0.1:81', 'nope'), 404, 'ENOENT'],
    [call('POST', `${WEB}/servers`, { address: '224.0.0.1', port: 80, method: 'nat' }), 422, 'EINVAL'],
    [call('POST', `${WEB}/servers`, { address: '10.0.0.2', port: 80, method: 'local' }), 501, 'EOPNOTSUPP'],
  ];
  for (const [answer, status, code] of cases) {
    const { status: actual, body } = await answer;
    assert.deepEqual([actual, body.error?.code], [status, code]);
    assert.ok(body.error?.message);
  }
});

test('a body that is wrong is refused with the place of each fault', async () => {
  const call = api();
  const unknown = await call('POST', '/v1/services', { key: 'tcp:10.0.0.1:80', scheduler: 'rr', colour: 'red' });
  assert.deepEqual([unknown.status, unknown.body.error?.code], [422, 'INVALID']);
  const persistence = { timeoutSeconds: 0, prefixLength: 'x' };
  const nested = await call('POST', '/v1/services', { key: 'tcp:10.0.0.1:80', scheduler: 'rr', persistence });
  const paths = nested.body.error?.issues?.map((issue) => issue.path);
  assert.deepEqual(paths, ['persistence.timeoutSeconds', 'persistence.prefixLength']);
  assert.equal((await call('POST', '/v1/services', '{"key":')).body.error?.code, 'BAD_REQUEST');
  assert.equal((await call('POST', '/v1/services')).status, 400);
  assert.equal((await call('GET', '/v1/services/tcp:10.0.0.1')).status, 400);
  assert.equal((await call('PUT', `${WEB}/servers/nowhere`, {})).status, 400);
  assert.equal((await call('GET', '/v1/connections?cursor=-1')).status, 422);
  assert.equal((await call('PATCH', '/v1/services')).status, 404);
});

test('a body over the limit is refused whether its length is declared or not', async () => {
  const log = createLog({ level: 'error', write: assert.fail });
  const app = createApi({ version: '', pid: 1, uptimeSeconds: () => 0 }, { dataplane: localDataPlane(), log });
  const text = `"${'x'.repeat(BODY_MAX)}"`;
  for (const headers of [{ 'content-length': String(text.length) }, {}]) {
    const response = await app.request('/v1/changes', { method: 'POST', body: text, headers });
    assert.equal(response.status, 413);
  }
});

test('a fault of the data plane is a 500 that tells nothing, and is logged', async () => {
  const lines: string[] = [];
  const dataplane = localDataPlane();
  dataplane.snapshot = () => Promise.reject(new TypeError('secret'));
  const { status, body } = await api(dataplane, lines)('GET', '/v1/status');
  assert.deepEqual([status, body.error?.code], [500, 'INTERNAL']);
  assert.doesNotMatch(JSON.stringify(body), /secret/);
  assert.match(lines.join(''), /level=error msg="request failed" method=GET .*secret/);
});

// ---- whatever comes in ----

const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH');
const segment = fc.oneof(
  fc.constantFrom('v1', 'services', 'servers', 'status', 'snapshot', 'changes', 'connections', 'timeouts', 'zero'),
  fc.constantFrom('sysctls', 'drop_entry', 'conntrack', '__proto__', 'tuning', 'drain'),
  fc.constantFrom('tcp:10.0.0.1:80', 'udp:[2001:db8::1]:53', 'fwm:7', '10.0.0.2:8080', '%', '%ff', '..', '%2f'),
  fc.string({ maxLength: 12 }).map((text) => text.replace(/[?#]/g, '')),
);
const path = fc
  .tuple(fc.constantFrom('/v1/', '/v1/services/', '/'), fc.array(segment, { maxLength: 4 }))
  .map(([head, tail]) => head + tail.join('/'));
const value = fc.oneof(
  fc.constantFrom('tcp:10.0.0.1:80', '10.0.0.1', 'rr', 'nat', 'add-service', 'add-server', 'address', 'tcp', 0, 1, -1),
  fc.jsonValue({ maxDepth: 3 }),
);
const fields = fc.dictionary(
  fc.constantFrom('type', 'key', 'service', 'server', 'options', 'scheduler', 'address', 'port', 'method', 'kind'),
  fc.oneof(value, fc.dictionary(fc.constantFrom('kind', 'protocol', 'address', 'port', 'mark', '__proto__'), value)),
);
const body = fc.oneof(
  fc.string(),
  fields.map((f) => JSON.stringify(f)),
  fc.json(),
  fc.constant(undefined),
);

test('no method, path or body makes a handler fail', async () => {
  const call = api(localDataPlane());
  await fc.assert(
    fc.asyncProperty(method, path, body, async (m, p, b) => {
      const { status } = await call(m, p, m === 'GET' ? undefined : b);
      assert.ok(status < 500 || status === 501, `${m} ${p} ${b}: ${status}`);
    }),
    { numRuns: 2000 },
  );
});
