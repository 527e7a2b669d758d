// SPDX-License-Identifier: Apache-2.0
// `ballast mark` from outside, against a daemon over a table, and its listing.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ballast } from '../../test/support/ballast-process.ts';
import { localDataPlane } from '../../test/support/local-dataplane.ts';
import { scratchFolder } from '../../test/support/scratch.ts';
import { Daemon } from '../daemon/daemon.ts';
import { createLog } from '../daemon/log.ts';
import type { Prefix } from '../packet/prefix.ts';
import { formatMarks } from './mark-listing.ts';

async function program(t: TestContext) {
  const socket = join(scratchFolder(t), 'a.sock');
  const log = createLog({ level: 'error', write: assert.fail });
  const daemon = await Daemon.start({ socket }, { open: async () => localDataPlane(), log });
  t.after(() => daemon.close());
  return async (line: string): Promise<string> => {
    const { status, stdout, stderr } = await ballast(['mark', ...line.split(' ')], { env: { BALLAST_SOCKET: socket } });
    return `${status} ${stdout}${stderr}`;
  };
}

test('rules are added, listed, and deleted by number or by what they say', async (t) => {
  const mark = await program(t);
  const web = '--mark 0x7 --protocol tcp --destination 192.0.2.10 --destination-port 8080,80';
  assert.equal(await mark(`add ${web}`), '0 rule 1 added\n');
  assert.equal(await mark('add --mark 8 --source 2001:db8::/32 --source-port 53 --interface eth0'), '0 rule 2 added\n');
  assert.equal(
    await mark('list'),
    `0 Rules of 'ballast mark', by number:
  1  --mark 7 --protocol tcp --destination 192.0.2.10 --destination-port 80,8080
  2  --mark 8 --source 2001:db8::/32 --source-port 53 --interface eth0
`,
  );
  assert.equal(await mark(`del ${web}`), '0 ');
  assert.equal(await mark('del 2'), '0 ');
  assert.equal(await mark('list --json'), '0 {\n  "rules": []\n}\n');
});

test('refusals are one line: status 1 for what the director refuses, 2 for what is no rule', async (t) => {
  const mark = await program(t);
  const cases: readonly [string, string][] = [
    ['del 3', '1 ballast: there is no rule of number 3\n'],
    [
      'add --mark 1 --source 10.0.0.1 --destination ::1',
      '1 ballast: source 10.0.0.1/32 and destination ::1/128 are of two address families\n',
    ],
    ['add', '2 ballast: mark: --mark N is missing\n'],
    ['add --mark 0', "2 ballast: mark: --mark '0' is not 1 to 4294967295\n"],
    ['add --mark 4294967296', "2 ballast: mark: --mark '4294967296' is not 1 to 4294967295\n"],
    ['add --mark 7 --protocol icmp', "2 ballast: mark: --protocol 'icmp' is not tcp, udp or sctp\n"],
    [
      'add --mark 7 --source 10.0.0.0/33',
      "2 ballast: mark: --source '10.0.0.0/33' is no address or prefix such as 192.0.2.0/24\n",
    ],
    [
      'add --mark 7 --destination-port http',
      "2 ballast: mark: --destination-port 'http' is no list of ports such as 80,8080-8090\n",
    ],
    ['add 7', "2 ballast: mark: unexpected argument '7'\n"],
    ['del x', "2 ballast: mark del: 'x' is no number of a rule\n"],
    ['del 1 --mark 7', '2 ballast: mark del: a number or a rule, not both\n'],
    ['show', "2 ballast: mark: unknown command 'show': there is add, del and list\n"],
  ];
  for (const [line, expected] of cases) assert.equal(await mark(line), expected, line);
  assert.match(await mark('--help'), /^0 usage: ballast mark add --mark N/);
});

test('the listing shows the kernel’s rules as read and those left out, before the user’s own', () => {
  const place = { source: 'nftables', family: 'ip', table: 'mangle', chain: 'PREROUTING', number: 4 } as const;
  const text = formatMarks({
    kernel: {
      rules: [{ ...place, text: 'meta mark set 0x7' }],
      unreadable: [
        { ...place, number: 12, reason: "expression 'limit'" },
        { ...place, source: 'iptables-legacy', number: 3, reason: "match 'set'" },
      ],
      problem: 'nfnetlink: EPERM',
    },
    rules: [{ number: 9, mark: 7, destination: '192.0.2.1/32' as Prefix }],
  });
  assert.equal(
    text,
    `Rules of the kernel that mark packets:
  ip mangle PREROUTING handle 4  meta mark set 0x7

Rules of the kernel that are left out, because not all that they say can be done:
  ip mangle PREROUTING handle 12          expression 'limit'
  iptables-legacy ip mangle PREROUTING 3  match 'set'

These are not read anew: nfnetlink: EPERM

Rules of 'ballast mark', by number:
  9  --mark 7 --destination 192.0.2.1
`,
  );
});
