// SPDX-License-Identifier: Apache-2.0
// The API's sysctls, tuning and drains: what each answers, what is refused and with which code, and what is logged.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, api } from '../../test/support/api-calls.ts';
import { DrainSite, IPV4 } from '../../test/support/drain-site.ts';
import { TestDirector } from '../../test/support/test-director.ts';
import { SYSCTL_NAMES, SYSCTLS_WITHOUT_EFFECT } from '../lvs/sysctl.ts';

const TUNING = '/v1/services/tcp:10.0.0.1:80/tuning';
const DRAIN = '/v1/services/tcp:10.0.0.1:80/servers/192.168.1.2:8080/drain';

function expectRefusal({ status, body }: Answer, expected: number, code: string): void {
  assert.deepEqual([status, body.error?.code], [expected, code]);
  assert.ok(body.error?.message);
}

test('sysctls are read and set, one or several', async () => {
  const lines: string[] = [];
  const call = api(new TestDirector().dataplane, lines);
  const all = await call('GET', '/v1/sysctls');
  assert.deepEqual(Object.keys(all.body), SYSCTL_NAMES);
  assert.deepEqual((await call('GET', '/v1/sysctls/am_droprate')).body, { name: 'am_droprate', value: 10 });
  const one = await call('PUT', '/v1/sysctls/drop_entry', { value: 3 });
  assert.deepEqual([one.status, one.body], [200, { name: 'drop_entry', value: 3 }]);
  const several = await call('PATCH', '/v1/sysctls', { drop_packet: 3, am_droprate: 7 });
  assert.deepEqual(
    [several.status, several.body],
    [200, { ...all.body, drop_entry: 3, drop_packet: 3, am_droprate: 7 }],
  );
  assert.match(lines[1], /msg="change applied" change=set-sysctls drop_packet=3 am_droprate=7\n$/);
});

test('every refused sysctl has its code, and of several none is set', async () => {
  const call = api();
  for (const name of SYSCTLS_WITHOUT_EFFECT) {
    expectRefusal(await call('GET', `/v1/sysctls/${name}`), 501, 'EOPNOTSUPP');
    expectRefusal(await call('PUT', `/v1/sysctls/${name}`, { value: 1 }), 501, 'EOPNOTSUPP');
  }
  expectRefusal(await call('GET', '/v1/sysctls/nonsense'), 404, 'ENOENT');
  expectRefusal(await call('GET', '/v1/sysctls/constructor'), 404, 'ENOENT');
  expectRefusal(await call('PUT', '/v1/sysctls/nonsense', { value: 1 }), 404, 'ENOENT');
  expectRefusal(await call('PUT', '/v1/sysctls/drop_entry', { value: 4 }), 422, 'EINVAL');
  expectRefusal(await call('PUT', '/v1/sysctls/drop_entry', { value: '1' }), 422, 'INVALID');
  expectRefusal(await call('PUT', '/v1/sysctls/drop_entry', { value: 1, more: 1 }), 422, 'INVALID');
  expectRefusal(await call('PATCH', '/v1/sysctls', { sloppy_tcp: 1, drop_entry: 4 }), 422, 'EINVAL');
  expectRefusal(await call('PATCH', '/v1/sysctls', { sloppy_tcp: 1, conntrack: 1 }), 501, 'EOPNOTSUPP');
  expectRefusal(await call('PATCH', '/v1/sysctls', { sloppy_tcp: 1.5 }), 422, 'INVALID');
  expectRefusal(await call('PATCH', '/v1/sysctls', []), 422, 'INVALID');
  assert.equal((await call('GET', '/v1/sysctls/sloppy_tcp')).body.value, 0);
});

test('tuning is replaced by PUT and adjusted by PATCH, and shows with its service', async () => {
  const lab = new TestDirector();
  lab.addService('tcp:10.0.0.1:80');
  const call = api(lab.dataplane);
  assert.deepEqual((await call('GET', TUNING)).body, {});
  const first = { freshSyn: true, timeouts: { tcp: { ESTABLISHED: 60, FIN_WAIT: 5 } } };
  assert.deepEqual((await call('PUT', TUNING, first)).body, first);
  const patch = { slowStartSeconds: 30, freshSyn: null, timeouts: { tcp: { FIN_WAIT: null } } };
  const second = { slowStartSeconds: 30, timeouts: { tcp: { ESTABLISHED: 60 } } };
  assert.deepEqual((await call('PATCH', TUNING, patch)).body, second);
  assert.deepEqual((await call('GET', '/v1/services/tcp:10.0.0.1:80')).body.tuning, second);
  assert.deepEqual((await call('PUT', TUNING, {})).body, {});
  assert.equal('tuning' in (await call('GET', '/v1/services/tcp:10.0.0.1:80')).body, false);
});

test('adjustments at once, each of something else, are all there', async () => {
  const lab = new TestDirector();
  lab.addService('fwm:7');
  const call = api(lab.dataplane);
  const tcp = ['NONE', 'ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'FIN_WAIT', 'TIME_WAIT', 'CLOSE', 'CLOSE_WAIT'];
  const patches: object[] = tcp.map((state, i) => ({ timeouts: { tcp: { [state]: i + 1 } } }));
  patches.push({ freshSyn: true }, { quiesceEndsAffinity: true }, { timeouts: { udp: 9 } });
  await Promise.all(patches.map((patch) => call('PATCH', '/v1/services/fwm:7/tuning', patch)));
  assert.deepEqual((await call('GET', '/v1/services/fwm:7/tuning')).body, {
    freshSyn: true,
    quiesceEndsAffinity: true,
    timeouts: { tcp: Object.fromEntries(tcp.map((state, i) => [state, i + 1])), udp: 9 },
  });
});

test('a wrong tuning is refused with its place, an impossible one by the director', async () => {
  const lab = new TestDirector();
  lab.addService('tcp:10.0.0.1:80');
  const call = api(lab.dataplane);
  const wrong: readonly [unknown, string][] = [
    [{ colour: 'red' }, ''],
    [{ freshSyn: 'on' }, 'freshSyn'],
    [{ timeouts: { tcp: { OPEN: 1 } } }, 'timeouts.tcp'],
    [{ timeouts: { tcp: { CLOSE: -1 } } }, 'timeouts.tcp.CLOSE'],
    [{ timeouts: { icmp: 1 } }, 'timeouts'],
    [{ slowStartSeconds: 1.5 }, 'slowStartSeconds'],
  ];
  for (const method of ['PUT', 'PATCH']) {
    for (const [body, path] of wrong) {
      const answer = await call(method, TUNING, body);
      expectRefusal(answer, 422, 'INVALID');
      assert.equal(answer.body.error?.issues?.[0].path, path, JSON.stringify(body));
    }
    expectRefusal(await call(method, TUNING, { timeouts: { tcp: { CLOSE: 0 } } }), 422, 'EINVAL');
    expectRefusal(await call(method, TUNING, { timeouts: { udp: 5 } }), 422, 'EINVAL');
    expectRefusal(await call(method, '/v1/services/tcp:10.0.0.1:81/tuning', {}), 404, 'ESRCH');
  }
  expectRefusal(await call('PUT', TUNING, { freshSyn: null }), 422, 'INVALID');
  expectRefusal(await call('GET', '/v1/services/tcp:10.0.0.1:81/tuning'), 404, 'ESRCH');
  assert.deepEqual((await call('GET', TUNING)).body, {});
});

test('a drain answers with its server, shows in the status, and is refused like any change', async () => {
  const site = new DrainSite(IPV4);
  site.connect(4000);
  const lines: string[] = [];
  const call = api(site.lab.dataplane, lines);
  assert.deepEqual((await call('GET', '/v1/status')).body.draining, []);
  const { status, body } = await call('POST', DRAIN, { deadlineSeconds: 30 });
  assert.deepEqual([status, body.id, body.weight, body.drain], [200, '192.168.1.2:8080', 0, { secondsLeft: 30 }]);
  assert.match(
    lines[0],
    / change=drain-server deadlineSeconds=30 service=tcp:10\.0\.0\.1:80 server=192\.168\.1\.2:8080\n$/,
  );
  const of = { service: 'tcp:10.0.0.1:80', server: '192.168.1.2:8080', connections: 1 };
  assert.deepEqual((await call('GET', '/v1/status')).body.draining, [{ ...of, secondsLeft: 30 }]);
  assert.deepEqual((await call('POST', DRAIN, {})).body.drain, {});
  assert.deepEqual((await call('GET', '/v1/status')).body.draining, [of]);

  expectRefusal(await call('POST', DRAIN, { deadlineSeconds: -1 }), 422, 'INVALID');
  expectRefusal(await call('POST', DRAIN, { deadlineSeconds: 2678401 }), 422, 'EINVAL');
  expectRefusal(await call('POST', DRAIN, { seconds: 3 }), 422, 'INVALID');
  expectRefusal(await call('POST', DRAIN), 400, 'BAD_REQUEST');
  expectRefusal(await call('POST', DRAIN.replace('.2:8080', '.9:8080'), {}), 404, 'ENOENT');
  expectRefusal(await call('POST', DRAIN.replace('1:80/', '1:81/'), {}), 404, 'ESRCH');
});

test('the same changes in the form of the model', async () => {
  const site = new DrainSite(IPV4);
  const call = api(site.lab.dataplane);
  const { service } = site;
  const server = { address: '192.168.1.2', port: 8080 };
  const changes: readonly object[] = [
    { type: 'tune-service', service, tuning: { freshSyn: true } },
    { type: 'adjust-service', service, tuning: { freshSyn: null, hashSkipsQuiesced: true } },
    { type: 'set-sysctls', values: { drop_entry: 1 } },
    { type: 'drain-server', service, server, deadlineSeconds: 0 },
    { type: 'drain-server', service, server },
  ];
  for (const change of changes) assert.equal((await call('POST', '/v1/changes', change)).status, 204);
  assert.deepEqual((await call('GET', TUNING)).body, { hashSkipsQuiesced: true });
  assert.equal((await call('GET', '/v1/sysctls/drop_entry')).body.value, 1);
  assert.deepEqual(site.server().drain, {});
});
