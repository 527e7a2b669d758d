// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWrk } from './wrk.ts';

const CLEAN = `Running 10s test @ http://10.77.1.100:80/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   516.69us  215.34us   5.93ms   84.39%
    Req/Sec    91.12k     5.20k   99.99k    71.00%
  Latency Distribution
     50%  486.00us
     75%  590.00us
     90%  729.00us
     99%    1.22ms
  907351 requests in 10.01s, 153.16MB read
Requests/sec:  90672.11
Transfer/sec:     15.31MB
`;

test('counts, rate and latency are read from what wrk prints', () => {
  assert.deepEqual(parseWrk(CLEAN), {
    requests: 907351,
    perSecond: 90672.11,
    p50Ms: 0.486,
    p99Ms: 1.22,
    socketErrors: 0,
    badStatus: 0,
  });
});

test('errors are added up', () => {
  const text = `${CLEAN}  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 17\n`;
  const { socketErrors, badStatus } = parseWrk(text);
  assert.deepEqual([socketErrors, badStatus], [10, 17]);
});
