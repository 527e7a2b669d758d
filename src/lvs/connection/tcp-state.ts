// SPDX-License-Identifier: Apache-2.0
// TCP as IPVS sees it: what a segment does to the state of its connection (net/netfilter/ipvs/ip_vs_proto_tcp.c), and
// how long each state lives. Tables are data; one row per direction and event, one column per old state.
// hot path

import { TCP_ACK_FLAG, TCP_FIN, TCP_RST, TCP_SYN } from '../../packet/tcp.ts';
import type { TcpStateName } from '../model.ts';
import { TICKS_PER_SECOND } from './layout.ts';

export const TCP_NONE = 0;
export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_SYN_RECV = 3;
export const TCP_FIN_WAIT = 4;
export const TCP_TIME_WAIT = 5;
export const TCP_CLOSE = 6;
export const TCP_CLOSE_WAIT = 7;
export const TCP_LAST_ACK = 8;
export const TCP_LISTEN = 9;
export const TCP_SYNACK = 10;

export const TCP_STATE_NAMES: readonly TcpStateName[] = [
  'NONE',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'SYNACK',
];

/** Which table a segment uses: seen from the client, from the server, or from the client when replies pass elsewhere. */
export const TCP_INPUT = 0;
export const TCP_OUTPUT = 1;
export const TCP_INPUT_ONLY = 2;
/** From here on the same three under secure_tcp, which believes in a connection only when its server does. */
export const SECURE_INPUT = 3;

const STATES = 11;
const EVENTS = 4;

// Rows: SYN, FIN, ACK, RST. Columns: NONE ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK
// LISTEN SYNACK.
const TRANSITIONS = `
  input
    SR ES ES SR SR SR SR SR SR SR SR
    CL CW SS TW TW TW CL CW LA LI TW
    ES ES SS ES FW TW CL CW CL LI ES
    CL CL CL SR CL CL CL CL LA LI SR
  output
    SS ES SS SR SS SS SS SS SS LI SR
    TW FW SS TW FW TW CL TW LA LI TW
    ES ES SS ES FW TW CL CW LA ES ES
    CL CL SS CL CL TW CL CL CL CL CL
  input-only
    SR ES ES SR SR SR SR SR SR SR SR
    CL FW SS TW FW TW CL CW LA LI TW
    ES ES SS ES FW TW CL CW CL LI ES
    CL CL CL SR CL CL CL CL LA LI CL
  secure input
    SR ES ES SR SR SR SR SR SR SR SA
    CL CW SS TW TW TW CL CW LA LI SA
    ES ES SS SR FW TW CL CW CL LI SA
    CL CL CL SR CL CL CL CL LA LI CL
  secure output
    SS ES SS SA SS SS SS SS SS LI SA
    TW FW SS TW FW TW CL TW LA LI TW
    ES ES SS ES FW TW CL CW LA ES ES
    CL CL SS CL CL TW CL CL CL CL CL
  secure input-only
    SA ES ES SR SA SA SA SA SA SA SA
    CL FW SS TW FW TW CL CW LA LI TW
    ES ES SS ES FW TW CL CW CL LI ES
    CL CL CL SR CL CL CL CL LA LI CL
`;
const ABBREVIATIONS = ['NO', 'ES', 'SS', 'SR', 'FW', 'TW', 'CL', 'CW', 'LA', 'LI', 'SA'];

const TABLE: Uint8Array = Uint8Array.from(
  TRANSITIONS.split(/\s+/)
    .filter((word) => /^[A-Z]{2}$/.test(word))
    .map((word) => ABBREVIATIONS.indexOf(word)),
);

/** State after a segment with the given flag bits; a segment without SYN, FIN, ACK or RST closes, as in the kernel. */
export function nextTcpState(direction: number, flags: number, state: number): number {
  let event: number;
  if ((flags & TCP_RST) !== 0) event = 3;
  else if ((flags & TCP_SYN) !== 0) event = 0;
  else if ((flags & TCP_FIN) !== 0) event = 1;
  else if ((flags & TCP_ACK_FLAG) !== 0) event = 2;
  else return TCP_CLOSE;
  return TABLE[(direction * EVENTS + event) * STATES + state];
}

/** Whether a connection in this state counts as active on its server. */
export function isActiveTcpState(state: number): boolean {
  return state === TCP_ESTABLISHED || state === TCP_SYN_SENT || state === TCP_SYN_RECV || state === TCP_SYNACK;
}

/** Default life of each state in ticks, a fresh copy. */
export function defaultTcpTimeouts(): Int32Array {
  return Int32Array.from([2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120], (seconds) => seconds * TICKS_PER_SECOND);
}
