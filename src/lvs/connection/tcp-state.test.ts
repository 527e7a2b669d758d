// SPDX-License-Identifier: Apache-2.0
// The whole state table of TCP, read out of the kernel's source state by state, against the director's.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  defaultTcpTimeouts,
  isActiveTcpState,
  nextTcpState,
  SECURE_INPUT,
  TCP_INPUT,
  TCP_INPUT_ONLY,
  TCP_OUTPUT,
  TCP_STATE_NAMES,
} from './tcp-state.ts';

/** By old state: the states after SYN, FIN, ACK and RST, for INPUT, OUTPUT and INPUT-ONLY. */
const AFTER: Readonly<Record<string, readonly [string, string, string]>> = {
  NONE: [
    'SYN_RECV CLOSE ESTABLISHED CLOSE',
    'SYN_SENT TIME_WAIT ESTABLISHED CLOSE',
    'SYN_RECV CLOSE ESTABLISHED CLOSE',
  ],
  ESTABLISHED: [
    'ESTABLISHED CLOSE_WAIT ESTABLISHED CLOSE',
    'ESTABLISHED FIN_WAIT ESTABLISHED CLOSE',
    'ESTABLISHED FIN_WAIT ESTABLISHED CLOSE',
  ],
  SYN_SENT: [
    'ESTABLISHED SYN_SENT SYN_SENT CLOSE',
    'SYN_SENT SYN_SENT SYN_SENT SYN_SENT',
    'ESTABLISHED SYN_SENT SYN_SENT CLOSE',
  ],
  SYN_RECV: [
    'SYN_RECV TIME_WAIT ESTABLISHED SYN_RECV',
    'SYN_RECV TIME_WAIT ESTABLISHED CLOSE',
    'SYN_RECV TIME_WAIT ESTABLISHED SYN_RECV',
  ],
  FIN_WAIT: [
    'SYN_RECV TIME_WAIT FIN_WAIT CLOSE',
    'SYN_SENT FIN_WAIT FIN_WAIT CLOSE',
    'SYN_RECV FIN_WAIT FIN_WAIT CLOSE',
  ],
  TIME_WAIT: [
    'SYN_RECV TIME_WAIT TIME_WAIT CLOSE',
    'SYN_SENT TIME_WAIT TIME_WAIT TIME_WAIT',
    'SYN_RECV TIME_WAIT TIME_WAIT CLOSE',
  ],
  CLOSE: ['SYN_RECV CLOSE CLOSE CLOSE', 'SYN_SENT CLOSE CLOSE CLOSE', 'SYN_RECV CLOSE CLOSE CLOSE'],
  CLOSE_WAIT: [
    'SYN_RECV CLOSE_WAIT CLOSE_WAIT CLOSE',
    'SYN_SENT TIME_WAIT CLOSE_WAIT CLOSE',
    'SYN_RECV CLOSE_WAIT CLOSE_WAIT CLOSE',
  ],
  LAST_ACK: [
    'SYN_RECV LAST_ACK CLOSE LAST_ACK',
    'SYN_SENT LAST_ACK LAST_ACK CLOSE',
    'SYN_RECV LAST_ACK CLOSE LAST_ACK',
  ],
  LISTEN: ['SYN_RECV LISTEN LISTEN LISTEN', 'LISTEN LISTEN ESTABLISHED CLOSE', 'SYN_RECV LISTEN LISTEN LISTEN'],
  SYNACK: [
    'SYN_RECV TIME_WAIT ESTABLISHED SYN_RECV',
    'SYN_RECV TIME_WAIT ESTABLISHED CLOSE',
    'SYN_RECV TIME_WAIT ESTABLISHED CLOSE',
  ],
};

/** The same under secure_tcp. */
const AFTER_SECURE: typeof AFTER = {
  NONE: ['SYN_RECV CLOSE ESTABLISHED CLOSE', 'SYN_SENT TIME_WAIT ESTABLISHED CLOSE', 'SYNACK CLOSE ESTABLISHED CLOSE'],
  ESTABLISHED: [
    'ESTABLISHED CLOSE_WAIT ESTABLISHED CLOSE',
    'ESTABLISHED FIN_WAIT ESTABLISHED CLOSE',
    'ESTABLISHED FIN_WAIT ESTABLISHED CLOSE',
  ],
  SYN_SENT: [
    'ESTABLISHED SYN_SENT SYN_SENT CLOSE',
    'SYN_SENT SYN_SENT SYN_SENT SYN_SENT',
    'ESTABLISHED SYN_SENT SYN_SENT CLOSE',
  ],
  SYN_RECV: [
    'SYN_RECV TIME_WAIT SYN_RECV SYN_RECV',
    'SYNACK TIME_WAIT ESTABLISHED CLOSE',
    'SYN_RECV TIME_WAIT ESTABLISHED SYN_RECV',
  ],
  FIN_WAIT: ['SYN_RECV TIME_WAIT FIN_WAIT CLOSE', 'SYN_SENT FIN_WAIT FIN_WAIT CLOSE', 'SYNACK FIN_WAIT FIN_WAIT CLOSE'],
  TIME_WAIT: [
    'SYN_RECV TIME_WAIT TIME_WAIT CLOSE',
    'SYN_SENT TIME_WAIT TIME_WAIT TIME_WAIT',
    'SYNACK TIME_WAIT TIME_WAIT CLOSE',
  ],
  CLOSE: ['SYN_RECV CLOSE CLOSE CLOSE', 'SYN_SENT CLOSE CLOSE CLOSE', 'SYNACK CLOSE CLOSE CLOSE'],
  CLOSE_WAIT: [
    'SYN_RECV CLOSE_WAIT CLOSE_WAIT CLOSE',
    'SYN_SENT TIME_WAIT CLOSE_WAIT CLOSE',
    'SYNACK CLOSE_WAIT CLOSE_WAIT CLOSE',
  ],
  LAST_ACK: ['SYN_RECV LAST_ACK CLOSE LAST_ACK', 'SYN_SENT LAST_ACK LAST_ACK CLOSE', 'SYNACK LAST_ACK CLOSE LAST_ACK'],
  LISTEN: ['SYN_RECV LISTEN LISTEN LISTEN', 'LISTEN LISTEN ESTABLISHED CLOSE', 'SYNACK LISTEN LISTEN LISTEN'],
  SYNACK: ['SYNACK SYNACK SYNACK CLOSE', 'SYNACK TIME_WAIT ESTABLISHED CLOSE', 'SYNACK TIME_WAIT ESTABLISHED CLOSE'],
};

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;
const DIRECTIONS = [TCP_INPUT, TCP_OUTPUT, TCP_INPUT_ONLY];

for (const [name, after, first] of [
  ['every state, direction and combination of flags leads where the kernel leads it', AFTER, 0],
  ['so it does under secure_tcp', AFTER_SECURE, SECURE_INPUT],
] as const) {
  test(name, () => {
    assert.deepEqual(TCP_STATE_NAMES, Object.keys(after));
    for (const [state, from] of TCP_STATE_NAMES.entries()) {
      for (const direction of DIRECTIONS) {
        const [syn, fin, ack, rst] = after[from][direction].split(' ');
        for (let flags = 0; flags < 256; flags++) {
          // First match wins; without any of the four the kernel closes (new_state starts as CLOSE).
          let expected = 'CLOSE';
          if (flags & RST) expected = rst;
          else if (flags & SYN) expected = syn;
          else if (flags & FIN) expected = fin;
          else if (flags & ACK) expected = ack;
          const next: string = TCP_STATE_NAMES[nextTcpState(first + direction, flags, state)];
          assert.equal(next, expected, `${from} ${direction} ${flags}`);
        }
      }
    }
  });
}

test('connections that are being opened or open count as active', () => {
  const active = TCP_STATE_NAMES.filter((_, state) => isActiveTcpState(state));
  assert.deepEqual(active, ['ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'SYNACK']);
});

test('every state lives as long as in the kernel, and each caller has a table of its own', () => {
  const seconds = Object.fromEntries(TCP_STATE_NAMES.map((name, i) => [name, defaultTcpTimeouts()[i] / 100]));
  assert.deepEqual(seconds, {
    NONE: 2,
    ESTABLISHED: 900,
    SYN_SENT: 120,
    SYN_RECV: 60,
    FIN_WAIT: 120,
    TIME_WAIT: 120,
    CLOSE: 10,
    CLOSE_WAIT: 60,
    LAST_ACK: 30,
    LISTEN: 120,
    SYNACK: 120,
  });
  assert.notEqual(defaultTcpTimeouts(), defaultTcpTimeouts());
});
