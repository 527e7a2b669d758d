// SPDX-License-Identifier: Apache-2.0
// What the labs of marks and persistence take for right.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from './fwmark.ts';
import { judgeClients } from './persistence.ts';

const NAMES = ['rs1', 'rs2', 'rs3'];
const requests = (...servers: string[]) =>
  servers.map((server, i) => ({ url: `http://vip:${i % 2 === 0 ? 80 : 8080}/`, server }));

test('servers take turns over both ports, or the one out of turn is named', () => {
  assert.equal(judge('so', requests('rs3', 'rs2', 'rs1', 'rs3', 'rs2', 'rs1'), NAMES), undefined);
  assert.equal(
    judge('so', requests('rs3', 'rs3', 'rs2', 'rs2'), NAMES),
    'so, rs3 answered http://vip:8080/ out of turn',
  );
  assert.equal(judge('so', requests('rs3', ''), NAMES), 'so, http://vip:8080/ was not answered');
});

test('a client stays on its server, and two are on two', () => {
  const on = (server: string) =>
    [
      ['curl', server],
      ['ssh', server],
    ] as const;
  assert.equal(judgeClients('PCC', on('rs1'), on('rs2')), undefined);
  assert.equal(judgeClients('PCC', on('rs1'), on('rs1')), 'PCC: two clients are on rs1');
  const stray = [
    ['curl', 'rs1'],
    ['ssh', 'rs2'],
  ] as const;
  assert.equal(judgeClients('PCC', stray, on('rs2')), "PCC: ssh was answered by 'rs2', others by 'rs1'");
  assert.equal(judgeClients('PCC', on(''), on('rs2')), "PCC: curl was answered by '', others by ''");
});
