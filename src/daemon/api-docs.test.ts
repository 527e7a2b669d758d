// SPDX-License-Identifier: Apache-2.0
// docs/api.md lists the API's resources and error codes, docs/compatibility.md the sysctls, all of them and no others.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { localDataPlane } from '../../test/support/local-dataplane.ts';
import { SYSCTL_NAMES, SYSCTLS_WITHOUT_EFFECT, Sysctls } from '../lvs/sysctl.ts';
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

test('every sysctl is documented with its default, and whether it has an effect', () => {
  const page = readFileSync(new URL('../../../docs/compatibility.md', import.meta.url), 'utf8');
  const section = page.slice(page.indexOf('\n## Sysctls\n')).split('\n## ')[1];
  const effective = new Map<string, number>();
  const others: string[] = [];
  for (const [, names, initial, effect] of section.matchAll(/^\| (.*`.*) \| (\d*) ?\| (.+) \|$/gm)) {
    for (const [, name] of names.matchAll(/`(\w+)`/g)) {
      if (effect.startsWith('none')) others.push(name);
      else effective.set(name, Number(initial));
    }
  }
  assert.deepEqual(Object.fromEntries([...effective].sort()), new Sysctls().snapshot());
  assert.deepEqual([...effective.keys()].sort(), SYSCTL_NAMES);
  assert.deepEqual(others.sort(), SYSCTLS_WITHOUT_EFFECT);
});
