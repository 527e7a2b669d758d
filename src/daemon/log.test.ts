// SPDX-License-Identifier: Apache-2.0
// Log lines: form, level, and that no value can forge a line or a field.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from './log.ts';

function logged(level: 'debug' | 'info' | 'warn' | 'error'): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog({ level, write: (line) => lines.push(line), now: () => 0 }) };
}

test('an event is one logfmt line with its fields', () => {
  const { lines, log } = logged('info');
  log.info('data plane open', { pid: 7, device: 'eth0', xdp: true, queues: undefined });
  assert.deepEqual(lines, [
    'time=1970-01-01T00:00:00.000Z level=info msg="data plane open" pid=7 device=eth0 xdp=true\n',
  ]);
});

test('events below the level are not written', () => {
  const { lines, log } = logged('warn');
  log.debug('a');
  log.info('b');
  log.warn('c');
  log.error('d');
  assert.equal(lines.length, 2);
});

test('a value with spaces, quotes or line ends stays one quoted value', () => {
  const { lines, log } = logged('info');
  log.info('x', { a: 'b c=d', e: 'f"g', h: 'i\nlevel=error', j: '' });
  assert.equal(lines.length, 1);
  assert.equal(lines[0].indexOf('\n'), lines[0].length - 1);
  assert.match(lines[0], /a="b c=d" e="f\\"g" h="i\\nlevel=error" j=""/);
});
