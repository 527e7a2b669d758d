// SPDX-License-Identifier: Apache-2.0
// The whole state table of SCTP, read out of the kernel's source state by state, against the director's; which chunk of a
// packet counts, and that no packet is read behind its end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHUNKS } from '../../../test/support/frames.ts';
import {
  defaultSctpTimeouts,
  isActiveSctpState,
  isSctpAbort,
  isSctpInit,
  nextSctpState,
  opensSctp,
  SCTP_STATE_NAMES,
  sctpEvent,
} from './sctp-state.ts';

/** Chunks in the order of {@link AFTER}: all that is not named counts as DATA. */
const EVENTS = [
  ...['DATA', 'INIT', 'INIT ACK', 'COOKIE ECHO', 'COOKIE ACK'],
  ...['SHUTDOWN', 'SHUTDOWN ACK', 'SHUTDOWN COMPLETE', 'ERROR', 'ABORT'],
] as const;

/** By old state: the states after each of {@link EVENTS}, for INPUT, OUTPUT and INPUT-ONLY. */
const AFTER: Readonly<Record<string, readonly [string, string, string]>> = {
  NONE: [
    'ESTABLISHED INIT1 C-WAIT C-REPLIED ESTABLISHED S-RECEIVED CLOSED CLOSED CLOSED CLOSED',
    'ESTABLISHED C-WAIT C-SENT C-ECHOED ESTABLISHED S-SENT S-ACK-SENT CLOSED CLOSED CLOSED',
    'ESTABLISHED INIT1 C-ECHOED ESTABLISHED ESTABLISHED S-RECEIVED CLOSED CLOSED CLOSED CLOSED',
  ],
  INIT1: [
    'INIT1 INIT C-WAIT INIT INIT1 INIT1 INIT CLOSED INIT1 CLOSED',
    'INIT1 C-WAIT C-SENT C-ECHOED ESTABLISHED S-SENT S-ACK-SENT INIT1 CLOSED REJECTED',
    'INIT1 INIT C-ECHOED ESTABLISHED INIT1 INIT1 INIT CLOSED INIT1 CLOSED',
  ],
  INIT: [
    'INIT INIT C-WAIT INIT INIT INIT INIT CLOSED INIT CLOSED',
    'INIT C-WAIT C-SENT C-ECHOED ESTABLISHED S-SENT S-ACK-SENT INIT CLOSED CLOSED',
    'INIT INIT C-ECHOED ESTABLISHED INIT INIT INIT CLOSED INIT CLOSED',
  ],
  'C-SENT': [
    'C-SENT C-SENT C-SENT C-REPLIED C-SENT C-SENT C-SENT C-SENT C-SENT CLOSED',
    'C-SENT C-WAIT C-SENT C-ECHOED ESTABLISHED S-SENT S-ACK-SENT C-SENT CLOSED CLOSED',
    'C-SENT INIT C-ECHOED ESTABLISHED ESTABLISHED C-SENT C-SENT CLOSED C-SENT CLOSED',
  ],
  'C-REPLIED': [
    'C-REPLIED C-REPLIED C-REPLIED C-REPLIED C-REPLIED C-REPLIED C-REPLIED C-REPLIED C-REPLIED CLOSED',
    'C-REPLIED C-WAIT C-REPLIED C-ECHOED ESTABLISHED S-SENT S-ACK-SENT C-REPLIED CLOSED CLOSED',
    'C-REPLIED INIT C-ECHOED ESTABLISHED ESTABLISHED C-REPLIED C-REPLIED CLOSED C-REPLIED CLOSED',
  ],
  'C-WAIT': [
    'C-WAIT C-WAIT COOKIE C-WAIT C-WAIT C-WAIT C-WAIT C-WAIT C-WAIT REJECTED',
    'C-WAIT C-WAIT C-WAIT C-ECHOED ESTABLISHED S-SENT C-WAIT C-WAIT C-WAIT CLOSED',
    'ESTABLISHED INIT C-ECHOED ESTABLISHED C-WAIT C-WAIT C-WAIT C-WAIT C-WAIT REJECTED',
  ],
  COOKIE: [
    'COOKIE COOKIE COOKIE COOKIE COOKIE COOKIE COOKIE COOKIE COOKIE CLOSED',
    'COOKIE C-WAIT COOKIE C-ECHOED ESTABLISHED S-SENT COOKIE COOKIE COOKIE CLOSED',
    'COOKIE COOKIE COOKIE COOKIE ESTABLISHED COOKIE COOKIE COOKIE COOKIE CLOSED',
  ],
  'C-ECHOED': [
    'C-ECHOED C-ECHOED C-ECHOED C-ECHOED ESTABLISHED C-ECHOED C-ECHOED C-ECHOED CLOSED CLOSED',
    'C-ECHOED C-WAIT C-ECHOED C-ECHOED ESTABLISHED S-SENT C-ECHOED C-ECHOED C-ECHOED CLOSED',
    'C-ECHOED C-ECHOED C-ECHOED C-ECHOED ESTABLISHED C-ECHOED C-ECHOED C-ECHOED C-ECHOED CLOSED',
  ],
  ESTABLISHED: [
    'ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED S-RECEIVED ESTABLISHED ESTABLISHED ESTABLISHED CLOSED',
    'ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED S-SENT ESTABLISHED ESTABLISHED ESTABLISHED CLOSED',
    'ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED ESTABLISHED S-RECEIVED CLOSED ESTABLISHED ESTABLISHED CLOSED',
  ],
  'S-SENT': [
    'S-SENT S-SENT S-SENT S-SENT S-SENT S-SENT CLOSED S-SENT S-SENT CLOSED',
    'S-SENT C-WAIT S-SENT S-SENT S-SENT S-SENT S-ACK-SENT S-SENT S-SENT CLOSED',
    'S-SENT S-SENT S-SENT S-SENT S-SENT S-SENT CLOSED S-SENT S-SENT CLOSED',
  ],
  'S-RECEIVED': [
    'S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED CLOSED',
    'S-RECEIVED C-WAIT S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-ACK-SENT S-RECEIVED S-RECEIVED CLOSED',
    'S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED S-RECEIVED CLOSED S-RECEIVED CLOSED',
  ],
  'S-ACK-SENT': [
    'S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT CLOSED CLOSED S-ACK-SENT CLOSED',
    'S-ACK-SENT C-WAIT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT CLOSED',
    'S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT S-ACK-SENT CLOSED CLOSED S-ACK-SENT CLOSED',
  ],
  REJECTED: [
    'REJECTED INIT REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED CLOSED',
    'REJECTED C-WAIT REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED CLOSED',
    'REJECTED INIT REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED CLOSED',
  ],
  CLOSED: [
    'CLOSED INIT CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED',
    'CLOSED C-WAIT CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED',
    'CLOSED INIT CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED',
  ],
};

const HEADER = 12;

/** Event of a packet with these chunks in turn, each of `length` bytes. */
function eventOf(types: readonly number[], length = 4): number {
  const bytes = new Uint8Array(HEADER + types.length * 4);
  for (const [i, type] of types.entries()) bytes.set([type, 0, length >> 8, length & 255], HEADER + 4 * i);
  return sctpEvent(new DataView(bytes.buffer), 0, bytes.length);
}

test('every state, direction and chunk leads where the kernel leads it', () => {
  assert.deepEqual(SCTP_STATE_NAMES, Object.keys(AFTER));
  for (const [state, name] of SCTP_STATE_NAMES.entries()) {
    for (let direction = 0; direction < 3; direction++) {
      const expected = AFTER[name][direction].split(' ');
      for (const [i, chunk] of EVENTS.entries()) {
        const next = nextSctpState(direction, eventOf([CHUNKS[chunk]]), state);
        assert.equal(SCTP_STATE_NAMES[next], expected[i], `${name} ${direction} ${chunk}`);
      }
    }
  }
});

test('chunks of any other type count as data', () => {
  const named = new Set<number>(EVENTS.map((chunk) => CHUNKS[chunk]));
  for (let type = 0; type < 256; type++) {
    if (!named.has(type)) assert.equal(eventOf([type]), eventOf([CHUNKS.DATA]), `type ${type}`);
  }
});

test('the first chunk counts, but an ABORT directly behind COOKIE ECHO or COOKIE ACK counts as one', () => {
  for (const first of EVENTS) {
    for (const second of EVENTS) {
      const isAbort = second === 'ABORT' && (first === 'COOKIE ECHO' || first === 'COOKIE ACK');
      const expected = CHUNKS[isAbort ? 'ABORT' : first];
      assert.equal(eventOf([CHUNKS[first], CHUNKS[second]]), eventOf([expected]), `${first}, ${second}`);
    }
  }
  const cookies = [CHUNKS['COOKIE ACK'], CHUNKS.DATA, CHUNKS.ABORT];
  assert.equal(eventOf(cookies), eventOf([CHUNKS['COOKIE ACK']]), 'not further behind');
});

test('the second chunk begins where the length of the first says, rounded up to a word, if it makes sense', () => {
  const types = [CHUNKS['COOKIE ECHO'], CHUNKS.DATA, CHUNKS.ABORT];
  const isAbort = (length: number): boolean => eventOf(types, length) === eventOf([CHUNKS.ABORT]);
  assert.deepEqual([0, 3, 4, 5, 7, 8, 9, 12, 0xffff].filter(isAbort), [5, 7, 8]);
  assert.equal(eventOf([CHUNKS['COOKIE ECHO'], CHUNKS.ABORT], 3), eventOf([CHUNKS['COOKIE ECHO']]));
});

test('INIT opens an association; sloppily any chunk does but ABORT; without a chunk nothing does and there is no event', () => {
  const bytes = new DataView(new ArrayBuffer(HEADER + 4));
  for (let type = 0; type < 256; type++) {
    bytes.setUint8(HEADER, type);
    assert.equal(opensSctp(bytes, 0, HEADER + 4, false), type === CHUNKS.INIT);
    assert.equal(opensSctp(bytes, 0, HEADER + 4, true), type !== CHUNKS.ABORT);
    assert.equal(isSctpInit(bytes, 0, HEADER + 4), type === CHUNKS.INIT);
    assert.equal(isSctpAbort(bytes, 0, HEADER + 4), type === CHUNKS.ABORT);
    for (const end of [HEADER, HEADER + 3]) {
      assert.equal(opensSctp(bytes, 0, end, true), false);
      assert.equal(sctpEvent(bytes, 0, end), -1);
      assert.deepEqual([isSctpInit(bytes, 0, end), isSctpAbort(bytes, 0, end)], [false, false]);
    }
  }
});

test('nothing is read behind the end of a packet', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: HEADER, maxLength: 40 }), fc.constantFrom(10, 11, 0), (bytes, type) => {
      if (bytes.length > HEADER) bytes[HEADER] = type;
      const exact = bytes.slice();
      const view = new DataView(exact.buffer);
      const event = sctpEvent(view, 0, exact.length);
      const longer = Uint8Array.from([...exact, ...new Array(70_000).fill(CHUNKS.ABORT)]);
      assert.equal(sctpEvent(new DataView(longer.buffer), 0, exact.length), event);
    }),
  );
});

test('only an established association is active; every state lives as long as in the kernel', () => {
  assert.deepEqual(
    SCTP_STATE_NAMES.filter((_, state) => isActiveSctpState(state)),
    ['ESTABLISHED'],
  );
  const seconds = Object.fromEntries(SCTP_STATE_NAMES.map((name, i) => [name, defaultSctpTimeouts()[i] / 100]));
  const others = Object.fromEntries(SCTP_STATE_NAMES.map((name) => [name, 61]));
  assert.deepEqual(seconds, { ...others, NONE: 2, INIT1: 4, ESTABLISHED: 900, REJECTED: 4 });
});
