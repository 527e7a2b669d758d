// SPDX-License-Identifier: Apache-2.0
// SCTP as IPVS sees it: what a packet's first chunk does to the state of its association
// (net/netfilter/ipvs/ip_vs_proto_sctp.c), and how long each state lives. States are those of the real server.
// hot path

import {
  CHUNK_ABORT,
  CHUNK_COOKIE_ACK,
  CHUNK_COOKIE_ECHO,
  CHUNK_HLEN,
  CHUNK_INIT,
  CHUNK_LENGTH,
  CHUNK_TYPE,
  SCTP_HLEN,
} from '../../packet/sctp.ts';
import type { SctpStateName } from '../model.ts';
import { TICKS_PER_SECOND } from './layout.ts';

export const SCTP_NONE = 0;
export const SCTP_INIT1 = 1;
export const SCTP_INIT = 2;
export const SCTP_ESTABLISHED = 8;
export const SCTP_CLOSED = 13;

export const SCTP_STATE_NAMES: readonly SctpStateName[] = [
  'NONE',
  'INIT1',
  'INIT',
  'C-SENT',
  'C-REPLIED',
  'C-WAIT',
  'COOKIE',
  'C-ECHOED',
  'ESTABLISHED',
  'S-SENT',
  'S-RECEIVED',
  'S-ACK-SENT',
  'REJECTED',
  'CLOSED',
];

const STATES = 14;
const EVENTS = 10;

/** Event by chunk type: a row of the tables below. Types that are not here count as data. */
const EVENT_OF_CHUNK: Uint8Array = Uint8Array.of(0, 1, 2, 0, 0, 0, 9, 5, 6, 8, 3, 4, 0, 0, 7);

// Rows: data, INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE, ERROR, ABORT. Columns:
// NONE INIT1 INIT C-SENT C-REPLIED C-WAIT COOKIE C-ECHOED ESTABLISHED S-SENT S-RECEIVED S-ACK-SENT REJECTED CLOSED.
const TRANSITIONS = `
  input
    ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    I1 IN IN CS CR CW CO CE ES SS SR SA IN IN
    CW CW CW CS CR CO CO CE ES SS SR SA RJ CL
    CR IN IN CR CR CW CO CE ES SS SR SA RJ CL
    ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL
    SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
    CL IN IN CS CR CW CO CE ES CL SR CL RJ CL
    CL CL CL CS CR CW CO CE ES SS SR CL RJ CL
    CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL
    CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
  output
    ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    CW CW CW CW CW CW CW CW ES CW CW CW CW CW
    CS CS CS CS CR CW CO CE ES SS SR SA RJ CL
    CE CE CE CE CE CE CE CE ES SS SR SA RJ CL
    ES ES ES ES ES ES ES ES ES SS SR SA RJ CL
    SS SS SS SS SS SS SS SS SS SS SR SA RJ CL
    SA SA SA SA SA CW CO CE ES SA SA SA RJ CL
    CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    CL CL CL CL CL CW CO CE ES SS SR SA RJ CL
    CL RJ CL CL CL CL CL CL CL CL CL CL CL CL
  input-only
    ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL
    I1 IN IN IN IN IN CO CE ES SS SR SA IN IN
    CE CE CE CE CE CE CO CE ES SS SR SA RJ CL
    ES ES ES ES ES ES CO CE ES SS SR SA RJ CL
    ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL
    SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
    CL IN IN CS CR CW CO CE CL CL SR CL RJ CL
    CL CL CL CL CL CW CO CE ES SS CL CL RJ CL
    CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
    CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
`;
const ABBREVIATIONS = ['NO', 'I1', 'IN', 'CS', 'CR', 'CW', 'CO', 'CE', 'ES', 'SS', 'SR', 'SA', 'RJ', 'CL'];

const TABLE: Uint8Array = Uint8Array.from(
  TRANSITIONS.split(/\s+/)
    .filter((word) => /^[A-Z][A-Z1]$/.test(word))
    .map((word) => ABBREVIATIONS.indexOf(word)),
);

/** Whether the SCTP packet at `transport` that ends before `end` has a chunk. */
export function hasChunk(transport: number, end: number): boolean {
  return transport + SCTP_HLEN + CHUNK_HLEN <= end;
}

/** Type of its first chunk, or -1 when there is none. */
function firstChunk(view: DataView, transport: number, end: number): number {
  return hasChunk(transport, end) ? view.getUint8(transport + SCTP_HLEN + CHUNK_TYPE) : -1;
}

/** What the packet means to its association, or -1 for nothing, without a chunk. */
export function sctpEvent(view: DataView, transport: number, end: number): number {
  let type = firstChunk(view, transport, end);
  if (type === -1) return -1;
  if (type === CHUNK_COOKIE_ECHO || type === CHUNK_COOKIE_ACK) {
    // An ABORT may be bundled behind these two (RFC 9260 §3.3.7).
    const chunk = transport + SCTP_HLEN;
    const length = view.getUint16(chunk + CHUNK_LENGTH);
    const next = chunk + ((length + 3) & ~3);
    if (length >= CHUNK_HLEN && next + CHUNK_HLEN <= end && view.getUint8(next) === CHUNK_ABORT) type = CHUNK_ABORT;
  }
  return type < EVENT_OF_CHUNK.length ? EVENT_OF_CHUNK[type] : 0;
}

/** Whether the packet begins with INIT: the first of an association. */
export function isSctpInit(view: DataView, transport: number, end: number): boolean {
  return firstChunk(view, transport, end) === CHUNK_INIT;
}

export function isSctpAbort(view: DataView, transport: number, end: number): boolean {
  return firstChunk(view, transport, end) === CHUNK_ABORT;
}

/** Whether the packet may open an association; with `isSloppy` any may that does not abort. */
export function opensSctp(view: DataView, transport: number, end: number, isSloppy: boolean): boolean {
  const type = firstChunk(view, transport, end);
  return type === CHUNK_INIT || (isSloppy && type !== -1 && type !== CHUNK_ABORT);
}

/** State after an event; directions are TCP_INPUT, TCP_OUTPUT and TCP_INPUT_ONLY. */
export function nextSctpState(direction: number, event: number, state: number): number {
  return TABLE[(direction * EVENTS + event) * STATES + state];
}

/** Whether an association in this state counts as active on its server. */
export function isActiveSctpState(state: number): boolean {
  return state === SCTP_ESTABLISHED;
}

/** Default life of each state in ticks, a fresh copy. */
export function defaultSctpTimeouts(): Int32Array {
  return Int32Array.from(
    [2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61],
    (seconds) => seconds * TICKS_PER_SECOND,
  );
}
