// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PoptOption, PoptReader } from './popt.ts';

const OPTIONS: readonly PoptOption<'list' | 'numeric' | 'weight' | 'persistent'>[] = [
  { name: 'list', long: 'list', short: 'Ll', value: 'none' },
  { name: 'numeric', long: 'numeric', short: 'n', value: 'none' },
  { name: 'weight', long: 'weight', short: 'w', value: 'required' },
  { name: 'persistent', long: 'persistent', short: 'p', value: 'optional' },
];

/** `name`, `name=value` or `!reason` for each item, then the words left over. */
function read(line: string): string {
  const reader = new PoptReader(OPTIONS, line.split(' '));
  const items: string[] = [];
  for (let item = reader.next(); item !== undefined; item = reader.next()) {
    if (item.kind === 'error') return [...items, `!${reader.lastWord}: ${item.reason}`].join(' ');
    items.push(item.value === undefined ? item.name : `${item.name}=${item.value}`);
  }
  return [...items, ...reader.leftovers.map((word) => `(${word})`)].join(' ');
}

for (const [line, expected] of [
  ['-L -n', 'list numeric'],
  ['-lnw5', 'list numeric weight=5'],
  ['-w5 -w=6 -w 7 --weight=8 --weight 9', 'weight=5 weight=6 weight=7 weight=8 weight=9'],
  ['-w -n', 'weight=-n'],
  ['-w= --weight=', 'weight= weight='],
  ['-p -n', 'persistent numeric'],
  ['-p 5 -p5 --persistent=6', 'persistent=5 persistent=5 persistent=6'],
  ['a -n b - c', 'numeric (a) (b) (-) (c)'],
  ['-n -- -L', 'numeric (-L)'],
  ['-nx', 'numeric !-nx: unknown option'],
  ['--lis', '!--lis: unknown option'],
  ['-nw', 'numeric !-nw: missing argument'],
  ['-n=3', '!-n=3: option does not take an argument'],
  ['--list=3', '!--list=3: option does not take an argument'],
] as const) {
  test(`'${line}' reads as '${expected}'`, () => {
    assert.equal(read(line), expected);
  });
}
