// SPDX-License-Identifier: Apache-2.0
// `ballast lab fullnat` as a user runs it: servers that know no way to clients, and learn from headers and options who they are.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { removeLab } from '../../src/lab/claim.ts';
import type { FullnatReport } from '../../src/lab/fullnat-report.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';
import { assertNothingLeft, lab, printed, startLab } from '../support/lab-process.ts';
import { requirements } from '../support/requirements.ts';

const skip = requirements(
  'root',
  'xdp',
  'program:curl',
  'program:haproxy',
  'program:ip',
  'program:nginx',
  'program:ping',
  'program:tcpdump',
  'program:traceroute',
);

describe('ballast lab fullnat', { skip }, () => {
  after(() => removeLab(DEFAULT_PREFIX));

  test('--json: every server knows every client, also under loss; a pool that is used up says so', async () => {
    const { status, stdout, stderr } = await lab('fullnat', '--json');
    assert.equal(stderr, '');
    const { problem, ipv4, ipv6, exhaustion } = JSON.parse(stdout) as FullnatReport;
    assert.equal(problem, null);
    assert.equal(status, 0);
    for (const family of [ipv4, ipv6]) {
      for (const requests of [family.proxyV1, family.proxyV2]) {
        assert.deepEqual(new Set(requests.map(({ server }) => server)), new Set(['rs1', 'rs2']));
        for (const { client, seen } of requests) assert.equal(seen, client);
      }
      assert.equal(family.hairpin.seen, family.hairpin.client);
      assert.match(family.toa, /^fe(08|14)/);
      assert.deepEqual([family.connections.made, family.connections.right], [400, 400]);
      assert.deepEqual([family.datagrams.made, family.datagrams.right], [200, 200]);
      assert.deepEqual(family.connections.servers, ['rs1', 'rs2']);
      assert.ok(family.frames.client.received > 1300);
      assert.ok(family.frames.director.sent >= family.forwarded);
    }
    assert.deepEqual([exhaustion.answered, exhaustion.refused], [4, 2]);
    assert.match(exhaustion.listed, /^pool few: \d+ connections found no port/);
    assert.match(exhaustion.logged, /level=warn .*pool=few/);
    assertNothingLeft();
  });

  test('Ctrl-C ends it and leaves nothing behind', async () => {
    const child = startLab('fullnat');
    await printed(child, 'director$ ballast local add');
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assertNothingLeft();
  });
});
