// SPDX-License-Identifier: Apache-2.0
// ipvsadm on the real director: what it changes, lists, refuses and says about what is not there yet.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NAMES, type Outcome, run } from '../../../test/ipvsadm/transcript.ts';
import { tcp } from '../../../test/support/frames.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import type { DataPlane } from '../../dataplane/dataplane.ts';
import { runIpvsadm } from './run.ts';

const SILENT: Outcome = { status: 0, stdout: '', stderr: '' };
const refused = (text: string, status = 255): Outcome => ({ status, stdout: '', stderr: `${text}\n` });

/** A director with an ipvsadm in front of it: `await ipvsadm('-A -t 10.0.0.1:80')`. */
function bench(): { lab: TestDirector; ipvsadm: (line: string, input?: string) => Promise<Outcome> } {
  const lab = new TestDirector();
  return { lab, ipvsadm: (line, input) => run(line === '' ? [] : line.split(' '), lab.dataplane, input) };
}

/** Runs without a data plane: any use of it fails the test. */
function alone(words: readonly string[], input = ''): Promise<Outcome> {
  const fail = (): never => assert.fail('the data plane was contacted');
  return run(words, new Proxy({} as DataPlane, { get: (_, name) => (name === 'then' ? undefined : fail()) }), input);
}

test('services and servers are added, listed, edited and deleted', async () => {
  const { ipvsadm } = bench();
  assert.deepEqual(await ipvsadm('-A -t 10.0.0.1:80 -s wrr'), SILENT);
  assert.deepEqual(await ipvsadm('-a -t 10.0.0.1:80 -r 192.168.1.10:8080 -m -w 3'), SILENT);
  assert.deepEqual(await ipvsadm('-a -t 10.0.0.1:http -r 192.168.1.9 -m'), SILENT);
  const listing = (weight: number): string => `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.1:80 wrr
  -> 192.168.1.9:80               Masq    1      0          0         
  -> 192.168.1.10:8080            Masq    ${weight}      0          0         
`;
  assert.equal((await ipvsadm('-Ln')).stdout, listing(3));
  assert.deepEqual(await ipvsadm('-e -t 10.0.0.1:80 -r 192.168.1.10:8080 -m'), SILENT);
  assert.equal((await ipvsadm('-Ln')).stdout, listing(1));
  assert.deepEqual(await ipvsadm('-d -t 10.0.0.1:80 -r 192.168.1.9'), SILENT);
  assert.deepEqual(await ipvsadm('-E -t 10.0.0.1:80 -s rr'), SILENT);
  assert.deepEqual(await ipvsadm('-S'), {
    ...SILENT,
    stdout: '-A -t 10.0.0.1:http -s rr\n-a -t 10.0.0.1:http -r 192.168.1.10:http-alt -m -w 1\n',
  });
  assert.deepEqual(await ipvsadm('-D -t 10.0.0.1:80'), SILENT);
  assert.equal((await ipvsadm('-S')).stdout, '');
});

test('a connection through the director is listed and counted, and zeroed', async () => {
  const { lab, ipvsadm } = bench();
  await ipvsadm('-R', '-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 192.168.1.10:8080 -m\n');
  lab.packet(tcp({ src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80, flags: 'S' }));
  const { stdout } = await ipvsadm('-Lnc');
  assert.match(stdout, /\nTCP 0[01]:\d\d {2}SYN_RECV {4}10\.7\.0\.1:4000 {6}10\.0\.0\.1:80 {8}192\.168\.1\.10:8080\n$/);
  const statistics = async (): Promise<string[]> =>
    (await ipvsadm('-Ln --stats')).stdout.split('\n')[3].split(/ +/).slice(2);
  assert.deepEqual(await statistics(), ['1', '1', '0', '40', '0']);
  assert.deepEqual(await ipvsadm('-Z'), SILENT);
  assert.deepEqual(await statistics(), ['0', '0', '0', '0', '0']);
});

test('timeouts are set, and a zero keeps one', async () => {
  const { ipvsadm } = bench();
  assert.deepEqual(await ipvsadm('--set 100 0 10'), SILENT);
  assert.equal((await ipvsadm('-L --timeout')).stdout, 'Timeout (tcp tcpfin udp): 100 120 10\n');
});

test('what the director refuses reads as from the kernel', async () => {
  const { ipvsadm } = bench();
  await ipvsadm('-A -t 10.0.0.1:80 -s rr');
  await ipvsadm('-a -t 10.0.0.1:80 -r 192.168.1.10:80 -m');
  assert.deepEqual(await ipvsadm('-A -t 10.0.0.1:80 -s rr'), refused('Service already exists'));
  assert.deepEqual(await ipvsadm('-A -t 10.0.0.1:81 -s nosuch'), refused('Scheduler or persistence engine not found'));
  assert.deepEqual(await ipvsadm('-D -t 10.0.0.1:81'), refused('No such service'));
  assert.deepEqual(await ipvsadm('-Z -t 10.0.0.1:81'), refused('No such service'));
  assert.deepEqual(await ipvsadm('-L -t 10.0.0.1:81'), refused('No such service', 1));
  assert.deepEqual(await ipvsadm('-a -t 10.0.0.1:81 -r 192.168.1.10:80 -m'), refused('Service not defined'));
  assert.deepEqual(await ipvsadm('-a -t 10.0.0.1:80 -r 192.168.1.10:80 -m'), refused('Destination already exists'));
  assert.deepEqual(await ipvsadm('-d -t 10.0.0.1:80 -r 192.168.1.11:80'), refused('No such destination'));
  assert.deepEqual(
    await ipvsadm('-a -t 10.0.0.1:80 -r 224.0.0.1:80 -m'),
    refused('Invalid operation.  Possibly wrong module version, address not unicast, ...'),
  );
});

test('what Ballast cannot do is said in one line that names it', async () => {
  const { ipvsadm } = bench();
  await ipvsadm('-A -t 10.0.0.1:80 -s rr');
  for (const [line, word] of [
    ['-A -t 10.0.0.1:81 -s rr -p -M 255.0.255.0', /prefix/],
    ['--start-daemon master', /synchronisation/],
    ['--stop-daemon backup', /synchronisation/],
  ] as const) {
    const { status, stdout, stderr } = await ipvsadm(line);
    assert.deepEqual([status, stdout], [2, ''], line);
    assert.match(stderr, /^ipvsadm: [^\n]+\n$/, line);
    assert.match(stderr, word, line);
  }
  assert.deepEqual(await ipvsadm('-L --daemon'), SILENT);
});

test('restoring goes on after a refusal and stops at a mistake', async () => {
  const { ipvsadm } = bench();
  const first = '-A -t 10.0.0.1:1 -s rr\n-A -t 10.0.0.1:1 -s rr\n\nipvsadm -A -t 10.0.0.1:2 -s rr';
  assert.deepEqual(await ipvsadm('-R', first), { ...SILENT, stderr: 'Service already exists\n' });
  const second = '-A -t 10.0.0.1:3 -s rr\n# comment\n-A -t 10.0.0.1:4 -s rr\n';
  assert.equal((await ipvsadm('-R', second)).status, 255);
  const unsupported = await ipvsadm('-R', '-A -t 10.0.0.1:6 -s rr -p -M 255.0.255.0\n-A -t 10.0.0.1:5 -s rr\n');
  assert.equal(unsupported.status, 2);
  assert.equal((await ipvsadm('-Sn')).stdout, [1, 2, 3, 5].map((port) => `-A -t 10.0.0.1:${port} -s rr\n`).join(''));
});

test('-L within -R of a service that is not there ends the run, as in the original', async () => {
  const { ipvsadm } = bench();
  assert.equal((await ipvsadm('-R', '-L -t 10.0.0.1:1\n-A -t 10.0.0.1:2 -s rr\n')).status, 1);
  assert.equal((await ipvsadm('-S')).stdout, '');
});

test('lines for -R may come in pieces of bytes', async () => {
  const { lab, ipvsadm } = bench();
  const text = '-A -t 10.0.0.1:1 -s rr\n-A -t 10.0.0.1:2 -s rr';
  const io = {
    stdin: [...Buffer.from(text)].map((byte) => Uint8Array.of(byte)),
    stdout: (): void => {},
    stderr: (complaint: string): void => assert.fail(complaint),
  };
  assert.equal(await runIpvsadm(['-R'], io, lab.dataplane, NAMES), 0);
  assert.equal((await ipvsadm('-Sn')).stdout, `${text}\n`);
});

test('mistakes, help and version need no data plane', async () => {
  assert.equal((await alone(['-A', '-t', '10.0.0.1'])).status, 2);
  assert.equal((await alone(['--nosuch'])).status, 255);
  assert.equal((await alone(['-h'])).status, 0);
  assert.equal((await alone(['-v'])).stdout, 'ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n');
  assert.deepEqual(await alone(['-R'], '\n\n'), SILENT);
});

test('a daemon that does not answer is reported with its own words', async () => {
  let stderr = '';
  const io = {
    stdin: [],
    stdout: (): void => {},
    stderr: (text: string): void => {
      stderr += text;
    },
  };
  const status = await runIpvsadm(['-Ln'], io, () => Promise.reject(new Error('no daemon: start it')), NAMES);
  assert.deepEqual([status, stderr], [2, 'no daemon: start it\n']);
});
