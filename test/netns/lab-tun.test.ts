// SPDX-License-Identifier: Apache-2.0
// `ballast lab tun` as a user runs it: tunnels of every kind in both families, answers past the director, and a smaller
// MTU on the way that everybody learns of.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { removeLab } from '../../src/lab/claim.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';
import type { TunReport } from '../../src/lab/tun-report.ts';
import { assertNothingLeft, lab, printed, startLab } from '../support/lab-process.ts';
import { requirements } from '../support/requirements.ts';

const skip = requirements('root', 'xdp', 'program:curl', 'program:ip', 'program:ping', 'program:traceroute');

describe('ballast lab tun', { skip }, () => {
  after(() => removeLab(DEFAULT_PREFIX));

  test('--json: every tunnel in both families, no answer at the director, path MTU learned', async () => {
    const { status, stdout, stderr } = await lab('tun', '--json');
    assert.equal(stderr, '');
    const { problem, tunnels, narrow } = JSON.parse(stdout) as TunReport;
    assert.equal(problem, null);
    assert.equal(status, 0);
    for (const [type, mtu4, mtu6] of [
      ['ipip', 1480, 1460],
      ['gre', 1476, 1456],
      ['gue', 1468, 1448],
    ] as const) {
      const { ipv4, ipv6 } = tunnels[type];
      assert.deepEqual([ipv4.mtu, ipv6.mtu], [mtu4, mtu6], type);
      for (const { answers, frames, forwarded, downloaded, uploaded } of [ipv4, ipv6]) {
        assert.deepEqual([...answers].sort(), ['rs1', 'rs1', 'rs2', 'rs2']);
        assert.deepEqual([downloaded, uploaded], [true, true]);
        assert.ok(frames.rs1.sent + frames.rs2.sent > 1300);
        assert.ok(frames.director.received >= forwarded && frames.director.received < forwarded + 40);
        assert.ok(frames.director.sent >= forwarded && frames.director.sent < forwarded + 40);
      }
    }
    assert.deepEqual([narrow.ipv4.mtu, narrow.ipv6.mtu], [1380, 1360]);
    for (const { uploaded, downloaded, datagrams, pinged, hops } of [narrow.ipv4, narrow.ipv6]) {
      assert.deepEqual([uploaded, downloaded, datagrams, pinged], [true, true, 20, true]);
      assert.ok(hops.length > 2, hops.join());
    }
    assertNothingLeft();
  });

  test('Ctrl-C ends it and leaves nothing behind', async () => {
    const child = startLab('tun');
    await printed(child, 'director$ ipvsadm -A');
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assertNothingLeft();
  });
});
