// SPDX-License-Identifier: Apache-2.0
// Options of `ballast tune`: each becomes a change of exactly what it names, or is refused with what would be right.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArgs } from 'node:util';
import { SCTP_STATE_NAMES } from '../lvs/connection/sctp-state.ts';
import { TCP_STATE_NAMES } from '../lvs/connection/tcp-state.ts';
import type { ServiceKey, TuningPatch } from '../lvs/model.ts';
import { parseServiceKey } from '../lvs/service-key.ts';
import { formatTuning, readTuning, TUNE_OPTIONS } from './tune-options.ts';

const WEB = parseServiceKey('tcp:10.0.0.1:80') as ServiceKey;
const SIGNALS = parseServiceKey('sctp:10.0.0.1:9') as ServiceKey;
const DNS = parseServiceKey('udp:10.0.0.1:53') as ServiceKey;
const MARK = parseServiceKey('fwm:7') as ServiceKey;

function read(line: string, key: ServiceKey = WEB): TuningPatch {
  return readTuning(parseArgs({ args: line.split(' ').filter(Boolean), options: TUNE_OPTIONS }).values, key);
}

test('what is not named is not in the change', () => {
  assert.deepEqual(read(''), {});
  assert.deepEqual(read('--fresh-syn on'), { freshSyn: true });
  assert.deepEqual(read('--quiesce-ends-affinity off'), { quiesceEndsAffinity: null });
  assert.deepEqual(read('--hash-skips-quiesced on --slow-start 0'), { hashSkipsQuiesced: true, slowStartSeconds: 0 });
  assert.deepEqual(read('--reset'), {});
});

test('every state has its timeout, by the names of -Lc, in capitals or not', () => {
  for (const state of TCP_STATE_NAMES) {
    assert.deepEqual(read(`--timeout ${state}=60`), { timeouts: { tcp: { [state]: 60 } } });
    assert.deepEqual(read(`--timeout tcp:${state.toLowerCase()}=60`), { timeouts: { tcp: { [state]: 60 } } });
  }
  for (const state of SCTP_STATE_NAMES) {
    assert.deepEqual(read(`--timeout ${state}=60`, SIGNALS), { timeouts: { sctp: { [state]: 60 } } });
  }
  assert.deepEqual(read('--timeout UDP=7', DNS), { timeouts: { udp: 7 } });
});

test('timeouts add up, the last for a state counts, default takes back', () => {
  const line = '--timeout ESTABLISHED=60 --timeout CLOSE=default --timeout ESTABLISHED=70';
  assert.deepEqual(read(line), { timeouts: { tcp: { ESTABLISHED: 70, CLOSE: null } } });
  assert.deepEqual(read('--timeout UDP=default', DNS), { timeouts: { udp: null } });
});

test('on a mark a state that two protocols have needs its protocol', () => {
  const line = '--timeout TIME_WAIT=1 --timeout C-WAIT=2 --timeout UDP=3 --timeout sctp:ESTABLISHED=4';
  assert.deepEqual(read(line, MARK), {
    timeouts: { tcp: { TIME_WAIT: 1 }, sctp: { 'C-WAIT': 2, ESTABLISHED: 4 }, udp: 3 },
  });
  assert.throws(() => read('--timeout ESTABLISHED=1', MARK), { message: /write tcp:ESTABLISHED or sctp:ESTABLISHED$/ });
});

test('FULLNAT’s pool, how servers hear of clients, and QUIC', () => {
  assert.deepEqual(read('--local-pool blue --client-address toa:200'), {
    localPool: 'blue',
    clientAddress: 'toa',
    toaKind: 200,
  });
  assert.deepEqual(read('--local-pool default --client-address off'), {
    localPool: null,
    clientAddress: null,
    toaKind: null,
  });
  assert.deepEqual(read('--quic quic-lb:2 --quic-id 10.0.0.2:443=a1b2 --quic-id 10.0.0.3:443=', DNS), {
    quic: { encoding: 'quic-lb', serverIdLength: 2, ids: { '10.0.0.2:443': 'a1b2', '10.0.0.3:443': null } },
  });
  assert.deepEqual(read('--quic off', DNS), { quic: null });
  const tuning = {
    localPool: 'blue',
    clientAddress: 'proxy-v2',
    quic: { encoding: 'katran', ids: { a: '7' } },
  } as const;
  assert.match(formatTuning(tuning, DNS), /local-pool +blue\nclient-address +proxy-v2\nquic +katran\nquic-id a +7\n/);
});

for (const [line, message] of [
  ['--client-address toa:1', /takes off, toa, toa:KIND \(2 to 255\)/],
  ['--local-pool ..-/', /^--local-pool takes a name/],
  ['--quic quick', /^--quic takes off, quic-lb/],
  ['--quic-id =7', /^--quic-id takes SERVER=ID/],
  ['--quic off --quic-id 10.0.0.2:443=a1', /^--quic off forgets the ids too/],
  ['--fresh-syn yes', /^--fresh-syn takes on or off, not 'yes'$/],
  ['--slow-start soon', /^--slow-start 'soon': not a number of seconds$/],
  ['--slow-start=-1', /not a number of seconds$/],
  ['--timeout 60', /^--timeout takes STATE=SECONDS, not '60'$/],
  ['--timeout OPEN=60', /no such state: TCP has NONE, ESTABLISHED, /],
  ['--timeout UDP=60', /no such state: TCP has /],
  ['--timeout sctp:CLOSED=60', /no such state: TCP has /],
  ['--timeout CLOSE=1.5', /^--timeout 'CLOSE=1\.5': not a number of seconds$/],
] as const) {
  test(`'${line}' is refused`, () => assert.throws(() => read(line), { code: 'BALLAST_USAGE', message }));
}

test('a tuning is shown with every mode, and the timeouts that the service has of its own', () => {
  assert.equal(
    formatTuning({}, WEB),
    `fresh-syn              off
quiesce-ends-affinity  off
hash-skips-quiesced    off
slow-start             off
`,
  );
  const timeouts = { tcp: { ESTABLISHED: 60 }, sctp: { 'C-SENT': 5 }, udp: 7 } as const;
  assert.equal(
    formatTuning({ freshSyn: true, slowStartSeconds: 30, timeouts }, MARK),
    `fresh-syn                on
quiesce-ends-affinity    off
hash-skips-quiesced      off
slow-start               30 s
timeout tcp:ESTABLISHED  60 s
timeout sctp:C-SENT      5 s
timeout UDP              7 s
`,
  );
  assert.match(formatTuning({ timeouts: { tcp: { CLOSE: 5 } } }, WEB), /^timeout CLOSE +5 s$/m);
});
