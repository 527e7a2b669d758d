// SPDX-License-Identifier: Apache-2.0
// docs/api.md lists the API's resources and error codes, all of them and no others.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { localDataPlane } from '../../test/support/local-dataplane.ts';
import { createApi } from './api.ts';
import { createLog } from './log.ts';
import { ERROR_STATUS } from './request.ts';

const text = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8');

test('every resource is documented and every documented one exists', () => {
  const log = createLog({ level: 'error', write: assert.fail });
  const app = createApi({ version: '', pid: 1, uptimeSeconds: () => 0 }, { dataplane: localDataPlane(), log });
  const routes = app.routes.map((route) => `${route.method} ${route.path}`);
  const documented = [...text.matchAll(/^\| `([A-Z]+ \/\S+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(documented.sort(), routes.sort());
});

test('every error code is documented with its status', () => {
  const documented = [...text.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \| (\d+) \|/gm)].flatMap(([, codes, status]) =>
    [...codes.matchAll(/`(\w+)`/g)].map((code) => [code[1], Number(status)]),
  );
  assert.deepEqual(Object.fromEntries(documented), ERROR_STATUS);
});
