// SPDX-License-Identifier: Apache-2.0
// Timeouts of a service of its own: every state that packets can bring about lives as long as was said for it, and what
// nothing was said about as long as everywhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RECORD_SHIFT, STATE } from '../../src/lvs/connection/layout.ts';
import { nextSctpState, SCTP_STATE_NAMES, sctpEvent } from '../../src/lvs/connection/sctp-state.ts';
import { nextTcpState, SECURE_INPUT, TCP_STATE_NAMES } from '../../src/lvs/connection/tcp-state.ts';
import type { ServiceKey, StateTimeouts } from '../../src/lvs/model.ts';
import { TCP_ACK_FLAG, TCP_FIN, TCP_RST, TCP_SYN } from '../../src/packet/tcp.ts';
import { CHUNKS, type ChunkName, sctp, tcp, udp } from '../support/frames.ts';
import { TestDirector } from '../support/test-director.ts';

const REQUEST = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const REPLY = { src: '192.168.1.1', dst: '10.7.0.1', sport: 80, dport: 4000 };
const CLIENT = 0;
const SERVER = 1;

/** A packet of a walk: who sends it, and its flags or chunk. */
type Step<T> = readonly [sender: number, what: T];

/** The shortest walk to every state that can be reached from NONE, which the client leaves with `first`. */
function walks<T>(
  first: T,
  all: readonly T[],
  next: (sender: number, what: T, state: number) => number | undefined,
): Map<number, readonly Step<T>[]> {
  const begin: Step<T> = [CLIENT, first];
  const found = new Map<number, readonly Step<T>[]>([[next(CLIENT, first, 0) as number, [begin]]]);
  for (const [state, walk] of found) {
    for (const sender of [CLIENT, SERVER]) {
      for (const what of all) {
        const reached = next(sender, what, state);
        if (reached !== undefined && !found.has(reached)) found.set(reached, [...walk, [sender, what]]);
      }
    }
  }
  return found;
}

const FLAGS = { S: TCP_SYN, FA: TCP_FIN | TCP_ACK_FLAG, A: TCP_ACK_FLAG, R: TCP_RST } as const;
type Flags = keyof typeof FLAGS;

const nextTcp =
  (table: number) =>
  (sender: number, flags: Flags, state: number): number | undefined => {
    // A client's SYN in these begins anew.
    const name = TCP_STATE_NAMES[state];
    if (sender === CLIENT && flags === 'S' && (name === 'TIME_WAIT' || name === 'CLOSE')) return undefined;
    return nextTcpState(table + sender, FLAGS[flags], state);
  };

function nextSctp(sender: number, chunk: ChunkName, state: number): number | undefined {
  if (sender === CLIENT && chunk === 'INIT' && SCTP_STATE_NAMES[state] === 'CLOSED') return undefined;
  const view = new DataView(new ArrayBuffer(16));
  view.setUint8(12, CHUNKS[chunk]);
  return nextSctpState(sender, sctpEvent(view, 0, 16), state);
}

/** A different time for each state. */
const timesOf = (names: readonly string[]): Record<string, number> =>
  Object.fromEntries(names.map((name, i) => [name, 1001 + i]));

function site(protocol: string, timeouts: StateTimeouts | undefined): { lab: TestDirector; service: ServiceKey } {
  const lab = new TestDirector();
  const service = lab.addService(`${protocol}:10.0.0.1:80`);
  lab.addServer(service, '192.168.1.1:80');
  if (timeouts !== undefined) lab.tune(service, { timeouts });
  return { lab, service };
}

function shown(lab: TestDirector): [string, number] {
  const [{ state, expiresSeconds }] = lab.connections();
  return [state, expiresSeconds];
}

function playTcp(lab: TestDirector, walk: readonly Step<Flags>[]): void {
  for (const [sender, flags] of walk) lab.packet(tcp({ ...(sender === CLIENT ? REQUEST : REPLY), flags }));
}

/** Seconds of a kernel. */
const TCP_DEFAULTS: Readonly<Record<string, number>> = {
  ...{ ESTABLISHED: 900, SYN_SENT: 120, SYN_RECV: 60, FIN_WAIT: 120, TIME_WAIT: 120, CLOSE: 10, CLOSE_WAIT: 60 },
  ...{ LAST_ACK: 30, LISTEN: 120, SYNACK: 120, NONE: 2 },
};

test('every TCP state that packets reach has its own time, or the default', () => {
  const plain = walks<Flags>('S', ['S', 'FA', 'A', 'R'], nextTcp(0));
  const secure = walks<Flags>('S', ['S', 'FA', 'A', 'R'], nextTcp(SECURE_INPUT));
  const times = timesOf(TCP_STATE_NAMES);
  for (const [table, isSecure] of [
    [plain, false],
    [secure, true],
  ] as const) {
    for (const [state, walk] of table) {
      for (const isTuned of [true, false]) {
        const { lab } = site('tcp', isTuned ? { tcp: times } : undefined);
        if (isSecure) lab.sysctl('secure_tcp', 3);
        playTcp(lab, walk);
        const name = TCP_STATE_NAMES[state];
        assert.deepEqual(shown(lab), [name, (isTuned ? times : TCP_DEFAULTS)[name]], JSON.stringify(walk));
      }
    }
  }
  const reached = new Set([...plain.keys(), ...secure.keys()].map((state) => TCP_STATE_NAMES[state]));
  assert.deepEqual(
    TCP_STATE_NAMES.filter((name) => !reached.has(name)),
    ['NONE', 'LAST_ACK', 'LISTEN'],
    'what no walk reaches',
  );
});

test('the TCP states that no packet brings about have theirs when they are there', () => {
  for (const [name, sender] of [
    ['LAST_ACK', SERVER],
    ['LISTEN', CLIENT],
  ] as const) {
    const { lab } = site('tcp', { tcp: { [name]: 77 } });
    playTcp(lab, [[CLIENT, 'S']]);
    const { records } = lab.director.connections;
    records[(1 << RECORD_SHIFT) + STATE] = TCP_STATE_NAMES.indexOf(name);
    playTcp(lab, [[sender, 'A']]);
    assert.deepEqual(shown(lab), [name, 77]);
  }
  const { lab, service } = site('tcp', { tcp: { NONE: 77 } });
  assert.equal(lab.director.services.find(service).times.tcp[0], 7700);
});

test('every SCTP state has its own time, or the default', () => {
  const reachable = walks<ChunkName>('INIT', Object.keys(CHUNKS) as ChunkName[], nextSctp);
  const times = timesOf(SCTP_STATE_NAMES);
  const defaults: Readonly<Record<string, number>> = { INIT1: 4, ESTABLISHED: 900, REJECTED: 4 };
  for (const [state, walk] of reachable) {
    for (const isTuned of [true, false]) {
      const { lab } = site('sctp', isTuned ? { sctp: times } : undefined);
      for (const [sender, chunk] of walk) {
        lab.packet(sctp({ ...(sender === CLIENT ? REQUEST : REPLY), chunks: [CHUNKS[chunk]] }));
      }
      const name = SCTP_STATE_NAMES[state];
      assert.deepEqual(shown(lab), [name, isTuned ? times[name] : (defaults[name] ?? 61)], JSON.stringify(walk));
    }
  }
  assert.deepEqual(
    SCTP_STATE_NAMES.filter((_, state) => !reachable.has(state)),
    ['NONE'],
    'what no walk reaches',
  );
});

test('UDP has its own time, or the default', () => {
  for (const [timeouts, seconds] of [
    [undefined, 300],
    [{ udp: 7 }, 7],
  ] as const) {
    const { lab } = site('udp', timeouts);
    for (const packet of [udp(REQUEST), udp(REPLY)]) {
      lab.packet(packet);
      assert.deepEqual(shown(lab), ['UDP', seconds]);
      lab.advance(seconds - 1);
    }
    assert.equal(lab.connections().length, 1);
    lab.advance(1.2);
    assert.equal(lab.connections().length, 0, 'it ends when it should');
  }
});

test('a service keeps its own times when those of the director change, and follows in the others', () => {
  const { lab } = site('tcp', { tcp: { ESTABLISHED: 33 } });
  const other = lab.addService('tcp:10.0.0.2:80');
  lab.addServer(other, '192.168.1.1:80');
  lab.dataplane.applyNow({ type: 'set-timeouts', timeouts: { tcp: 500, tcpFin: 44, udp: 0 } });
  const established: readonly Step<Flags>[] = [
    [CLIENT, 'S'],
    [SERVER, 'A'],
    [CLIENT, 'A'],
  ];
  playTcp(lab, established);
  assert.deepEqual(shown(lab), ['ESTABLISHED', 33]);
  playTcp(lab, [[SERVER, 'FA']]);
  assert.deepEqual(shown(lab), ['FIN_WAIT', 44]);
  const elsewhere = { ...REQUEST, dst: '10.0.0.2', sport: 4001 };
  for (const flags of ['S', 'A']) lab.packet(tcp({ ...elsewhere, flags }));
  assert.deepEqual([lab.connections()[1].state, lab.connections()[1].expiresSeconds], ['ESTABLISHED', 500]);
});

test('an idle connection lives as long as was said, and not as long as everywhere', () => {
  const { lab } = site('tcp', { tcp: { ESTABLISHED: 5 } });
  playTcp(lab, [
    [CLIENT, 'S'],
    [CLIENT, 'A'],
  ]);
  lab.advance(4.9);
  assert.equal(lab.connections().length, 1);
  lab.advance(0.3);
  assert.equal(lab.connections().length, 0);
});
