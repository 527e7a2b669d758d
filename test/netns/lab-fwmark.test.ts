// SPDX-License-Identifier: Apache-2.0
// `ballast lab fwmark` as a user runs it: real iptables, real HTTP, and nothing left behind.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { removeLab } from '../../src/lab/claim.ts';
import type { FwmarkReport } from '../../src/lab/fwmark.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';
import { assertNothingLeft, lab, printed, startLab } from '../support/lab-process.ts';
import { requirements } from '../support/requirements.ts';

const skip = requirements('root', 'xdp', 'program:curl', 'program:iptables');

describe('ballast lab fwmark', { skip }, () => {
  after(() => removeLab(DEFAULT_PREFIX));

  test('--json: both ports are one service over IPv4 and IPv6, by either mark, and none without', async () => {
    const { status, stdout, stderr } = await lab('fwmark', '--json', '--servers', '3');
    assert.equal(stderr, '');
    const report = JSON.parse(stdout) as FwmarkReport;
    assert.equal(report.problem, null);
    assert.equal(status, 0);
    for (const made of [report.ipv4, report.ipv6, report.ballast]) {
      assert.equal(made.length, 6);
      for (const round of [made.slice(0, 3), made.slice(3)]) {
        assert.deepEqual(new Set(round.map(({ server }) => server)), new Set(['rs1', 'rs2', 'rs3']));
      }
      for (const port of ['80', '8080']) assert.equal(made.filter(({ url }) => url.endsWith(`:${port}/`)).length, 3);
    }
    assert.deepEqual(
      report.unmarked.map(({ server }) => server),
      [''],
    );
    assertNothingLeft();
  });

  test('it prints the commands of the recipe, and what has become of the rule', async () => {
    const { status, stdout } = await lab('fwmark');
    assert.equal(status, 0, stdout);
    for (const line of [
      'director$ iptables -t mangle -A PREROUTING -d 10.77.1.100 -p tcp -m multiport --dports 80,8080 -j MARK --set-mark 7',
      'director$ ipvsadm -A -f 7 -s wrr',
      'director$ ipvsadm -a -f 7 -r 10.77.2.12:0 -m',
      'director$ ipvsadm -A -f 7 -6 -s wrr',
      'th dport { 80, 8080 } meta mark set 0x7',
      'client$ curl -sS --max-time 5 http://10.77.1.100:8080/',
      'FWM  7 wrr',
      'FWM  7 IPv6 wrr',
      'ok: ports 80 and 8080 are one service',
    ]) {
      assert.ok(stdout.includes(line), `${line}\n--- in ---\n${stdout}`);
    }
    assertNothingLeft();
  });

  test('Ctrl-C ends it and leaves nothing behind', async () => {
    const child = startLab('fwmark');
    await printed(child, 'director$ iptables');
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assertNothingLeft();
  });
});
