// SPDX-License-Identifier: Apache-2.0
// quiesceEndsAffinity: clients of a server whose weight becomes 0 are free to go, in this service alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../support/site.ts';
import { TestDirector } from '../support/test-director.ts';

/** A persistent service at port 80 of 10.0.0.`octet`. */
function serve(lab: TestDirector, octet: number, quiesceEndsAffinity: boolean): Site {
  const site = new Site({ lab, service: `tcp:10.0.0.${octet}:80`, persistence: 300 });
  lab.tune(site.service, { quiesceEndsAffinity });
  return site;
}

test('the clients of a quiesced server go to another and stay there; as in the kernel they stay with it', () => {
  const lab = new TestDirector();
  const [ends, stays] = [serve(lab, 1, true), serve(lab, 2, false)];
  assert.deepEqual([ends.send(1), stays.send(1)], ['2', '2']);
  for (const site of [ends, stays]) site.edit(2, 0);
  assert.deepEqual([ends.send(2), ends.send(3), stays.send(2)], ['1', '1', '2']);
  for (const site of [ends, stays]) site.edit(2, 1);
  assert.deepEqual([ends.send(4), ends.send(5), stays.send(3)], ['1', '1', '2']);
});

test('connections that are open, and clients of other servers, are left alone', () => {
  const site = serve(new TestDirector(), 1, true);
  assert.deepEqual([site.send(4000), site.send(4000, { from: 2 })], ['2', '1']);
  site.edit(2, 0);
  assert.equal(site.send(4000, { flags: 'A' }), '2');
  assert.equal(site.send(4001, { from: 2 }), '1');
});
