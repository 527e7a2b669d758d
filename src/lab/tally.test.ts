// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addTallies, emptyTally, judge, type Tally } from './tally.ts';

const tally = (perServer: Record<string, number>, failed = 0): Tally => {
  const ok = Object.values(perServer).reduce((sum, count) => sum + count, 0);
  return { requests: ok + failed, ok, failed, perServer, errors: {} };
};

test('shares that the weights ask for are right, within one request', () => {
  assert.equal(judge(tally({ rs1: 500, rs2: 500 }), { rs1: 1, rs2: 1 }), undefined);
  assert.equal(judge(tally({ rs1: 501, rs2: 500 }), { rs1: 1, rs2: 1 }), undefined);
  assert.equal(judge(tally({ rs1: 667, rs2: 333 }), { rs1: 2, rs2: 1 }), undefined);
});

test('other shares are named', () => {
  assert.match(judge(tally({ rs1: 502, rs2: 498 }), { rs1: 1, rs2: 1 }) ?? '', /rs1 answered 502 of 1000 requests/);
  assert.match(judge(tally({ rs1: 500, rs2: 500 }), { rs1: 2, rs2: 1 }) ?? '', /asks for 666.7/);
  assert.match(judge(tally({ rs1: 100 }), { rs1: 1, rs2: 1 }) ?? '', /rs1/);
});

test('a request without an answer is named, and so is the answer of a stranger', () => {
  assert.match(judge(tally({ rs1: 5, rs2: 5 }, 1), { rs1: 1, rs2: 1 }) ?? '', /1 of 11 requests were not answered/);
  assert.match(judge(tally({ rs1: 5, rs2: 5, rs9: 0 }), { rs1: 1, rs2: 1 }) ?? '', /'rs9' answered/);
  assert.match(judge(emptyTally(), { rs1: 1 }) ?? '', /no request/);
});

test('tallies add up by server and by reason', () => {
  const a: Tally = { requests: 3, ok: 2, failed: 1, perServer: { rs1: 2 }, errors: { ECONNRESET: 1 } };
  const b: Tally = { requests: 2, ok: 1, failed: 1, perServer: { rs2: 1 }, errors: { ECONNRESET: 1 } };
  assert.deepEqual(addTallies(a, b), {
    requests: 5,
    ok: 3,
    failed: 2,
    perServer: { rs1: 2, rs2: 1 },
    errors: { ECONNRESET: 2 },
  });
});
