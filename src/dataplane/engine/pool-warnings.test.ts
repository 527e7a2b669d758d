// SPDX-License-Identifier: Apache-2.0
// When the log says that local addresses are used up, second by second.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFields, Logger } from '../logger.ts';
import { PoolWarnings } from './pool-warnings.ts';

/** What was warned of: pool, connections, and a word of the message. */
function listen(): { readonly lines: string[]; readonly warnings: PoolWarnings } {
  const lines: string[] = [];
  const warn = (message: string, fields?: LogFields): void => {
    lines.push(`${fields?.pool} ${fields?.connections} ${/port|memory/.exec(message)?.[0]}`);
  };
  const never = (): void => assert.fail('only warnings');
  const log: Logger = { debug: never, info: never, warn, error: never };
  return { lines, warnings: new PoolWarnings(log) };
}

const pool = (name: string, exhausted: number, refused = 0) => ({ name, exhausted, refused });

test('nothing is said of pools that serve everybody', () => {
  const { lines, warnings } = listen();
  for (let i = 0; i < 200; i++) warnings.second([pool('default', 0)]);
  assert.deepEqual(lines, []);
});

test('the first connection without a port is told at once, those of the minute after it together', () => {
  const { lines, warnings } = listen();
  warnings.second([pool('default', 0)]);
  warnings.second([pool('default', 3)]);
  assert.deepEqual(lines, ['default 3 port']);
  for (let i = 1; i < 60; i++) warnings.second([pool('default', 3 + i)]);
  assert.deepEqual(lines, ['default 3 port']);
  warnings.second([pool('default', 70)]);
  assert.deepEqual(lines, ['default 3 port', 'default 67 port']);
});

test('after quiet minutes the next one is told at once', () => {
  const { lines, warnings } = listen();
  warnings.second([pool('default', 1)]);
  for (let i = 0; i < 300; i++) warnings.second([pool('default', 1)]);
  warnings.second([pool('default', 2)]);
  assert.deepEqual(lines, ['default 1 port', 'default 1 port']);
});

test('pools do not wait for each other, and want of memory is another matter', () => {
  const { lines, warnings } = listen();
  warnings.second([pool('a', 1), pool('b', 0)]);
  warnings.second([pool('a', 2), pool('b', 0, 5)]);
  assert.deepEqual(lines, ['a 1 port', 'b 5 memory']);
});

test('a pool that was made anew is a new one', () => {
  const { lines, warnings } = listen();
  warnings.second([pool('default', 9)]);
  warnings.second([]);
  warnings.second([pool('default', 2)]);
  assert.deepEqual(lines, ['default 9 port', 'default 2 port']);
});
