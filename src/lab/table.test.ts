// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderTable, type Screen, TablePainter, type TableState } from './table.ts';

const state: TableState = {
  title: 'first half',
  tally: { requests: 12, ok: 8, failed: 1, perServer: { rs1: 6, rs2: 2 }, errors: {} },
  weights: { rs1: 3, rs2: 1 },
  connections: 5,
  packets: 99,
};

class Recorder implements Screen {
  readonly isTTY: boolean;
  readonly columns = 100;
  text = '';
  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }
  write(text: string): void {
    this.text += text;
  }
}

test('the table shows counts, and the share of each server as a bar', () => {
  const lines = renderTable(state, 200);
  assert.match(lines[1], /requests 12 {3}answered 8 {3}failed 1 {3}connections 5 {3}packets 99/);
  assert.match(lines[2], /rs1 {3}weight 3 {2}█{30}·{10} {2}75\.0 % {2}6/);
  assert.match(lines[3], /rs2 {3}weight 1 {2}█{10}·{30} {2}25\.0 % {2}2/);
});

test('no line is wider than the terminal', () => {
  for (const line of renderTable(state, 40)) assert.ok([...line].length < 40, line);
});

test('on a terminal a table is drawn over the one before', () => {
  const screen = new Recorder(true);
  const painter = new TablePainter(screen);
  painter.paint(state);
  assert.ok(!screen.text.includes('A\x1b'), 'the first is drawn where the cursor is');
  screen.text = '';
  painter.paint(state);
  assert.ok(screen.text.startsWith('\x1b[4A\x1b[2K'), 'four lines up');
  painter.finish(state);
  screen.text = '';
  painter.paint(state);
  assert.ok(!screen.text.startsWith('\x1b[4A'), 'a finished table stays');
});

test('off a terminal there are plain lines, at most one a second, and always a last one', () => {
  const screen = new Recorder(false);
  const painter = new TablePainter(screen);
  for (let i = 0; i < 10; i++) painter.paint(state);
  painter.finish(state);
  const line = '  first half: requests 12, answered 8, failed 1, rs1 6, rs2 2\n';
  assert.equal(screen.text, line + line);
});
