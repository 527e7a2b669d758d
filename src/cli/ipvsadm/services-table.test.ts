// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseServices } from './services-table.ts';

const TABLE = parseServices(`# comment
http\t80/tcp\twww web  # WorldWideWeb
domain 53/tcp
domain 53/udp
other 80/tcp www

nonsense
broken eighty/tcp
`);

test('ports are found by name and alias of their protocol, the first line first', () => {
  assert.deepEqual([TABLE.port('http', 'tcp'), TABLE.port('www', 'tcp'), TABLE.port('other', 'tcp')], [80, 80, 80]);
  assert.deepEqual(
    [TABLE.port('http', 'udp'), TABLE.port('HTTP', 'tcp'), TABLE.port('broken', 'tcp')],
    [undefined, undefined, undefined],
  );
});

test('names are found by port of their protocol, the first line first', () => {
  assert.deepEqual(
    [TABLE.name(80, 'tcp'), TABLE.name(53, 'udp'), TABLE.name(80, 'udp')],
    ['http', 'domain', undefined],
  );
});
