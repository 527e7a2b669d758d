// SPDX-License-Identifier: Apache-2.0
// `ballast lab ftp` as a user runs it: vsftpd behind the director, curl and lftp in every mode, files compared, and nothing
// left.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { removeLab } from '../../src/lab/claim.ts';
import type { FtpReport } from '../../src/lab/ftp.ts';
import { DEFAULT_PREFIX } from '../../src/lab/plan.ts';
import { assertNothingLeft, lab, printed, startLab } from '../support/lab-process.ts';
import { requirements } from '../support/requirements.ts';

const skip = requirements('root', 'xdp', 'program:curl', 'program:lftp', 'program:vsftpd');

describe('ballast lab ftp', { skip }, () => {
  after(() => removeLab(DEFAULT_PREFIX));

  test('--json: files arrive whole both ways in every mode, over IPv4 and IPv6, 100 MB too', async () => {
    const { status, stdout, stderr } = await lab('ftp', '--json');
    assert.equal(stderr, '');
    const { problem, passiveReply, expected, transfers, servers, listing, frames } = JSON.parse(stdout) as FtpReport;
    assert.equal(problem, null);
    assert.equal(status, 0);
    assert.match(passiveReply, /^227 .*\(10,77,1,100,\d+,\d+\)/);
    assert.match(
      expected.join('\n'),
      /^TCP 01:5\d {2}LISTEN {6}10\.77\.1\.2:0 +10\.77\.1\.100:(\d+) +10\.77\.2\.1[12]:\1$/,
    );
    assert.deepEqual(
      transfers.map(({ what, mode, family, isIntact }) => [what, mode, family, isIntact]),
      [
        ...(['PASV', 'EPSV', 'PORT', 'EPRT'] as const).flatMap((mode) => both(mode, 4)),
        ...(['EPSV', 'EPRT'] as const).flatMap((mode) => both(mode, 6)),
        ['big.bin', 'PASV', 4, true],
      ],
    );
    assert.deepEqual(new Set(servers), new Set(['rs1', 'rs2']));
    assert.deepEqual(listing.slice(0, 5), ['big.bin', 'incoming/', 'server', 'small.bin', 'incoming/own.bin']);
    assert.ok(frames.client0.sent > 66_000 && frames.servers0.received > 66_000, 'data passes the director');
    assertNothingLeft();
  });

  test('it prints the commands of the recipe and the picture of the path', async () => {
    const { status, stdout } = await lab('ftp', '--megabytes', '1');
    assert.equal(status, 0, stdout);
    for (const line of [
      'director$ ipvsadm -a -t 10.77.1.100:21 -r 10.77.2.11:21 -m\n',
      "client$ lftp -c 'open ftp://10.77.1.100; quote PASV'\n227 Entering Passive Mode (10,77,1,100,",
      'director$ ipvsadm -Lnc\n',
      ' ftp://[fd77:1::64]/small.bin\n',
      '   requests  client   ──→ director ──→ rs1, rs2\n',
      '   answers   rs1, rs2 ──→ director ──→ client\n',
      'ok: every file arrived as it was',
    ]) {
      assert.ok(stdout.includes(line), `${line}\n--- in ---\n${stdout}`);
    }
    assertNothingLeft();
  });

  test('Ctrl-C ends it with vsftpd and leaves nothing behind', async () => {
    const child = startLab('ftp', '--megabytes', '1');
    await printed(child, 'director$ ipvsadm -A');
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assertNothingLeft();
  });
});

function both(mode: string, family: number): [string, string, number, boolean][] {
  return [
    ['small.bin', mode, family, true],
    ['upload', mode, family, true],
  ];
}
