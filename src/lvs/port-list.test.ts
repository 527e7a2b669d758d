// SPDX-License-Identifier: Apache-2.0
// Lists of ports as text.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePortList, portRanges } from './port-list.ts';

test('a list is sorted, and what touches is joined', () => {
  assert.equal(parsePortList('80'), '80');
  assert.equal(parsePortList('8080-8090,80'), '80,8080-8090');
  assert.equal(parsePortList('81,80,79-90,91'), '79-91');
  assert.equal(parsePortList('0-65535,7'), '0-65535');
  assert.deepEqual(portRanges(parsePortList('443,80-81')!), [
    [80, 81],
    [443, 443],
  ]);
});

test('what is no list is refused', () => {
  for (const text of ['', ',', '80,', '90-80', '65536', '-1', '80-', '1-2-3', 'http', ' 80', '1e3', '0x50']) {
    assert.equal(parsePortList(text), undefined, text);
  }
});
