// SPDX-License-Identifier: Apache-2.0
// The API's resources about firewall marks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localDataPlane } from '../../test/support/local-dataplane.ts';
import type { DataPlane } from '../dataplane/dataplane.ts';
import { createApi } from './api.ts';
import { createLog } from './log.ts';

interface Answer {
  readonly status: number;
  readonly location: string | null;
  readonly body: { rules?: object[]; error?: { code: string; message: string } } & Record<string, unknown>;
}

function api(dataplane: DataPlane = localDataPlane(), lines: string[] = []) {
  const log = createLog({ level: 'info', write: (line) => lines.push(line) });
  const app = createApi({ version: '1.2.3', pid: 42, uptimeSeconds: () => 7 }, { dataplane, log });
  return async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await app.request(path, { method, ...(body !== undefined && { body: JSON.stringify(body) }) });
    const text = await response.text();
    const { status, headers } = response;
    return { status, location: headers.get('location'), body: text === '' ? {} : JSON.parse(text) };
  };
}

const RULE = { mark: 7, protocol: 'tcp', destination: '192.0.2.9/24', destinationPorts: '8080,80' };
const CANONICAL = { number: 1, mark: 7, protocol: 'tcp', destination: '192.0.2.0/24', destinationPorts: '80,8080' };

test('a rule is added, listed and deleted under its number', async () => {
  const lines: string[] = [];
  const call = api(localDataPlane(), lines);
  assert.deepEqual((await call('GET', '/v1/marks')).body, { rules: [] });
  const made = await call('POST', '/v1/marks', RULE);
  assert.deepEqual([made.status, made.location, made.body], [201, '/v1/marks/1', CANONICAL]);
  assert.match(
    lines[0],
    /change=add-mark rule="--mark 7 --protocol tcp --destination 192.0.2.0\/24 --destination-port 80,8080"/,
  );
  assert.deepEqual((await call('GET', '/v1/marks')).body.rules, [CANONICAL]);
  const snapshot = (await call('GET', '/v1/snapshot')).body as { marks?: { rules: object[] } };
  assert.deepEqual(snapshot.marks?.rules, [CANONICAL]);
  assert.equal((await call('DELETE', '/v1/marks/1')).status, 204);
  assert.deepEqual((await call('GET', '/v1/marks')).body.rules, []);
});

test('a change adds and deletes by the rule itself', async () => {
  const call = api();
  assert.equal((await call('POST', '/v1/changes', { type: 'add-mark', rule: RULE })).status, 204);
  assert.equal((await call('POST', '/v1/changes', { type: 'delete-mark', rule: RULE })).status, 204);
  assert.equal((await call('POST', '/v1/changes', { type: 'add-mark', rule: RULE })).status, 204);
  assert.equal((await call('POST', '/v1/changes', { type: 'delete-mark', rule: 2 })).status, 204);
});

test('refusals have their status and change nothing', async () => {
  const call = api();
  await call('POST', '/v1/marks', RULE);
  const cases: readonly [string, string, unknown, number, RegExp][] = [
    ['POST', '/v1/marks', RULE, 409, /^the rule '.*' exists$/],
    ['POST', '/v1/marks', { ...RULE, mark: 0 }, 422, /'mark' of the body/],
    ['POST', '/v1/marks', { ...RULE, destination: '192.0.2.0/33' }, 422, /not an address or prefix such as/],
    ['POST', '/v1/marks', { ...RULE, destinationPorts: '80-' }, 422, /not a list of ports such as/],
    ['POST', '/v1/marks', { ...RULE, source: '::1' }, 422, /of two address families$/],
    ['POST', '/v1/marks', { ...RULE, interface: 'a/b' }, 422, /is no device's name/],
    ['POST', '/v1/marks', { ...RULE, colour: 'red' }, 422, /colour/],
    ['DELETE', '/v1/marks/2', undefined, 404, /^there is no rule of number 2$/],
    ['DELETE', '/v1/marks/x', undefined, 422, /the number of the rule/],
  ];
  for (const [method, path, body, status, message] of cases) {
    const answer = await call(method, path, body);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(answer.body.error?.message ?? '', message);
  }
  assert.deepEqual((await call('GET', '/v1/marks')).body.rules, [CANONICAL]);
});
