// SPDX-License-Identifier: Apache-2.0
// Another scheduler for a service that is in use: its servers, connections, templates and counters are as they were, and the
// new scheduler begins at its beginning.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../../../test/support/site.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import { SCHEDULERS } from '../schedule/schedulers.ts';

for (const scheduler of SCHEDULERS) {
  test(`a service takes ${scheduler} and keeps its servers, connections and counters`, () => {
    const site = new Site({ weights: [1, 2, 3] });
    for (let sport = 1; sport <= 6; sport++) site.establish(sport);
    site.edit(1, 5);
    const before = site.lab.dataplane.snapshotNow().services[0];
    site.lab.editService(site.service, scheduler);
    assert.deepEqual(site.lab.dataplane.snapshotNow().services[0], { ...before, scheduler });
    for (let sport = 1; sport <= 6; sport++) {
      assert.equal(site.send(sport, { flags: 'A' }), String(3 - ((sport - 1) % 3)));
    }
    assert.match(site.send(7), scheduler === 'none' ? /^answer-icmp$/ : /^[123]$/);
    for (const next of ['none', 'rr']) site.lab.editService(site.service, next);
    assert.deepEqual([site.send(8), site.send(9), site.send(10)], ['3', '2', '1']);
  });
}

test('a scheduler that is given again goes on where it was, another begins with the newest server', () => {
  const site = new Site({ weights: [1, 1, 1] });
  assert.equal(site.send(1), '3');
  site.lab.editService(site.service, 'rr');
  assert.equal(site.send(2), '2');
  site.lab.editService(site.service, 'wrr');
  assert.equal(site.send(3), '3');
  site.lab.editService(site.service, 'rr');
  assert.equal(site.send(4), '3');
});

test('flags of a scheduler take effect without beginning anew', () => {
  const site = new Site({ scheduler: 'sh', weights: [1, 0] });
  const lost = [1, 2, 3, 4, 5, 6, 7, 8].filter((from) => site.send(1, { from }) !== '1');
  assert.ok(lost.length > 0 && lost.length < 8);
  site.lab.editService(site.service, 'sh', { schedulerFlags: ['flag-1'] });
  assert.deepEqual(new Set(lost.map((from) => site.send(2, { from }))), new Set(['1']));
});

test('persistent clients stay with their servers, whatever the new scheduler would say', () => {
  const site = new Site({ persistence: 300 });
  const before = [1, 2, 3, 4].map((from) => site.send(1, { from }));
  site.lab.editService(site.service, 'fo', { persistence: { timeoutSeconds: 300, prefixLength: 32 } });
  assert.deepEqual(
    [1, 2, 3, 4].map((from) => site.send(2, { from })),
    before,
  );
});

test('mh is refused for more servers than it has slots, and the old scheduler goes on', () => {
  const lab = new TestDirector();
  const service = lab.addService('tcp:10.0.0.1:80');
  for (let i = 0; i < 4094; i++) lab.addServer(service, `10.${100 + (i >> 8)}.1.${i & 255}:80`);
  assert.throws(() => lab.editService(service, 'mh'), { name: 'LvsError', code: 'EINVAL' });
  assert.equal(lab.dataplane.snapshotNow().services[0].scheduler, 'rr');
  lab.deleteServer(service, '10.100.1.0:80');
  lab.editService(service, 'mh');
  assert.equal(lab.dataplane.snapshotNow().services[0].scheduler, 'mh');
});
