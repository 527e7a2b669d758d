// SPDX-License-Identifier: Apache-2.0
// `ballast sysctl`, `tune` and `drain` from outside, against a daemon.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ballast, type Outcome } from '../../test/support/ballast-process.ts';
import { DrainSite, IPV4 } from '../../test/support/drain-site.ts';
import { testDaemon } from '../../test/support/test-daemon.ts';
import { TestDirector } from '../../test/support/test-director.ts';
import { SYSCTL_NAMES } from '../lvs/sysctl.ts';
import { readWords } from './sysctl.ts';

type Run = (line: string) => Promise<Outcome>;

async function program(t: TestContext, lab: TestDirector): Promise<Run> {
  const { env } = await testDaemon(t, lab.dataplane);
  return (line) => ballast(line.split(' '), { env });
}

const done = (stdout: string): Outcome => ({ status: 0, signal: null, stdout, stderr: '' });
const refused = (status: number, stderr: string): Outcome => ({ status, signal: null, stdout: '', stderr });

// ---- sysctl ----

test('sysctl shows all, some, and what it sets, with or without the prefix', async (t) => {
  const run = await program(t, new TestDirector());
  const all = (await run('sysctl')).stdout;
  assert.deepEqual(
    all
      .trimEnd()
      .split('\n')
      .map((line) => /^net\.ipv4\.vs\.(\w+) = \d+$/.exec(line)?.[1]),
    SYSCTL_NAMES,
  );
  assert.deepEqual(await run('sysctl -a'), done(all));
  assert.deepEqual(
    await run('sysctl net.ipv4.vs.drop_entry am_droprate'),
    done('net.ipv4.vs.drop_entry = 0\nnet.ipv4.vs.am_droprate = 10\n'),
  );
  assert.deepEqual(
    await run('sysctl -w drop_entry=3 net/ipv4/vs/am_droprate=7'),
    done('net.ipv4.vs.drop_entry = 3\nnet.ipv4.vs.am_droprate = 7\n'),
  );
  assert.deepEqual(await run('sysctl -n drop_entry am_droprate=8'), done('3\n8\n'));
});

test('sysctl sets nothing when one of several is refused, and says why', async (t) => {
  const lab = new TestDirector();
  const run = await program(t, lab);
  const cases: readonly [string, number, RegExp][] = [
    ['sloppy_tcp=1 drop_entry=4', 1, /^ballast: net\.ipv4\.vs\.drop_entry takes 0 … 3, not 4\n$/],
    ['sloppy_tcp=1 conntrack=1', 1, /^ballast: net\.ipv4\.vs\.conntrack has no effect here: /],
    ['sloppy_tcp=1 sync_threshold', 1, /^ballast: net\.ipv4\.vs\.sync_threshold has no effect here: /],
    ['sloppy_tcp=1 sync_threshold=3,50', 1, /^ballast: net\.ipv4\.vs\.sync_threshold has no effect here: /],
    ['sloppy_tcp=1 nonsense', 1, /^ballast: no sysctl 'net\.ipv4\.vs\.nonsense': there are am_droprate, /],
    ['sloppy_tcp=yes', 2, /^ballast: 'sloppy_tcp=yes' sets no number\n$/],
    ['-w sloppy_tcp=1 drop_entry', 2, /^ballast: 'drop_entry' is not NAME=VALUE\n$/],
    ['-w', 2, /^ballast: -w takes NAME=VALUE\n$/],
  ];
  for (const [words, status, message] of cases) {
    const outcome = await run(`sysctl ${words}`);
    assert.deepEqual([outcome.status, outcome.stdout], [status, ''], words);
    assert.match(outcome.stderr, message);
  }
  assert.equal(lab.director.sysctls.values.sloppyTcp, 0);
});

test('names keep their order, and of two values for one name the last counts', () => {
  assert.deepEqual(readWords(['drop_entry=1', 'am_droprate', 'drop_entry=2'], false), {
    names: ['drop_entry', 'am_droprate', 'drop_entry'],
    changes: { drop_entry: 2 },
  });
});

// ---- tune ----

test('tune changes what is named, shows it, and forgets it', async (t) => {
  const lab = new TestDirector();
  lab.addService('tcp:10.0.0.1:80');
  const run = await program(t, lab);
  const tuning = () => lab.dataplane.snapshotNow().services[0].tuning;
  assert.deepEqual(await run('tune -t 10.0.0.1:80 --fresh-syn on --timeout ESTABLISHED=60'), done(''));
  assert.deepEqual(await run('tune tcp:10.0.0.1:80 --slow-start 30 --timeout CLOSE=2'), done(''));
  const timeouts = { tcp: { ESTABLISHED: 60, CLOSE: 2 } };
  assert.deepEqual(tuning(), { freshSyn: true, slowStartSeconds: 30, timeouts });
  assert.match((await run('tune -t 10.0.0.1:80')).stdout, /^fresh-syn +on\n(.+\n)+timeout CLOSE +2 s\n$/);
  await run('tune -t 10.0.0.1:80 --reset --hash-skips-quiesced on --timeout CLOSE=default');
  assert.deepEqual(tuning(), { hashSkipsQuiesced: true });
  await run('tune -t 10.0.0.1:80 --reset');
  assert.equal(tuning(), undefined);
});

test('tune is refused by what is wrong: the line, the service, the value', async (t) => {
  const lab = new TestDirector();
  lab.addService('tcp:10.0.0.1:80');
  const run = await program(t, lab);
  assert.deepEqual(await run('tune -t 10.0.0.1:81'), refused(1, 'ballast: no service tcp:10.0.0.1:81\n'));
  assert.deepEqual(await run('tune -t 10.0.0.1:81 --reset'), refused(1, 'ballast: no service tcp:10.0.0.1:81\n'));
  assert.deepEqual(
    await run('tune -t 10.0.0.1:80 --slow-start 2678401'),
    refused(1, 'ballast: slow start of 2678401 s: 1 … 2678400 s are possible\n'),
  );
  assert.equal((await run('tune -t 10.0.0.1:80 more')).status, 2);
  assert.equal((await run('tune')).status, 2);
});

// ---- drain ----

test('drain says what is left; status shows it; a weight ends it', async (t) => {
  const site = new DrainSite(IPV4);
  site.connect(4000);
  const run = await program(t, site.lab);
  const words = 'tcp:10.0.0.1:80 192.168.1.2:8080';
  assert.deepEqual(
    await run(`drain ${words} --deadline 30`),
    done('192.168.1.2:8080 gets no new connections; 1 is left, reset in 30 s\n'),
  );
  assert.match(
    (await run('status')).stdout,
    /^draining +server +connections +reset in\ntcp:10\.0\.0\.1:80 +192\.168\.1\.2:8080 +1 +30 s$/m,
  );
  assert.match((await run('ipvsadm -Ln')).stdout, /192\.168\.1\.2:8080 +Masq +0 +1 +0/);
  assert.deepEqual(
    await run('drain -t 10.0.0.1:80 -r 192.168.1.2:8080'),
    done('192.168.1.2:8080 gets no new connections; 1 is left, without a deadline\n'),
  );
  await run('ipvsadm -e -t 10.0.0.1:80 -r 192.168.1.2:8080 -m -w 1');
  assert.equal(site.server().drain, undefined);
  assert.deepEqual(
    await run(`drain tcp:10.0.0.1:80 ${IPV4.other}`),
    done('192.168.1.1:8080 gets no new connections and has none left\n'),
  );
});

test('drain --wait returns when nothing is left, and fails when there is nothing to wait for any more', async (t) => {
  const site = new DrainSite(IPV4);
  const run = await program(t, site.lab);
  site.lab.editServer(site.service, IPV4.other, 0);
  const wait = 'drain tcp:10.0.0.1:80 192.168.1.2:8080 --deadline 30 --wait';
  const begun = '192.168.1.2:8080 gets no new connections; 1 is left, reset in 30 s\n';
  // What the program has begun with is what it saw first, before anything else happens.
  const { dataplane } = site.lab;
  const snapshot = dataplane.snapshot.bind(dataplane);
  let act = (): void => {};
  dataplane.snapshot = async () => {
    const seen = await snapshot();
    if (seen.services.some(({ servers }) => servers.some(({ drain }) => drain !== undefined))) {
      setImmediate(act);
      act = () => {};
    }
    return seen;
  };
  const meanwhile = async (what: () => void): Promise<Outcome> => {
    site.connect(4000);
    act = what;
    return await run(wait);
  };
  const ended = await meanwhile(() => site.lab.advance(60));
  assert.deepEqual(ended, done(`${begun}192.168.1.2:8080 is drained: no connection is left\n`));

  site.lab.editServer(site.service, site.drained, 1);
  const cancelled = await meanwhile(() => site.lab.editServer(site.service, site.drained, 1));
  assert.equal(cancelled.status, 1);
  assert.equal(cancelled.stdout, `${begun}192.168.1.2:8080 is not drained any more: its weight is 1\n`);

  const removed = await meanwhile(() => site.lab.deleteServer(site.service, site.drained));
  assert.equal(removed.status, 1);
  assert.match(removed.stdout, /192\.168\.1\.2:8080 is not in tcp:10\.0\.0\.1:80 any more\n$/);
});

test('drain is refused by what is wrong', async (t) => {
  const site = new DrainSite(IPV4);
  const run = await program(t, site.lab);
  assert.deepEqual(
    await run('drain tcp:10.0.0.1:80 192.168.1.9:8080'),
    refused(1, 'ballast: no server 192.168.1.9:8080\n'),
  );
  assert.deepEqual(
    await run('drain tcp:10.0.0.1:80 192.168.1.2:8080 --deadline soon'),
    refused(2, "ballast: --deadline 'soon' is not a number of seconds\n"),
  );
  assert.equal(site.server().weight, 1);
});

test('each has its help', async (t) => {
  const run = await program(t, new TestDirector());
  for (const name of ['sysctl', 'tune', 'drain']) {
    const { status, stdout } = await run(`help ${name}`);
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`^usage: ballast ${name} `));
  }
});
