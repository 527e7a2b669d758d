// SPDX-License-Identifier: Apache-2.0
// Walks through the states of TCP and SCTP as captured from a real kernel's IPVS (Linux 6.1): after each packet the state,
// whole seconds until it expires, read within a second, and active and inactive connections of the server.

/** Method, secure_tcp, sloppy_tcp, steps: `c` client, `s` server, flags, then state, seconds and counts. */
export const TCP_WALKS: readonly (readonly ['nat' | 'dr', number, number, string])[] = [
  [
    'nat',
    0,
    0,
    'c S=>SYN_RECV:59 A1/I0 | s SA=>SYN_RECV:59 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | c PA=>ESTABLISHED:899 A1/I0 | s A=>ESTABLISHED:899 A1/I0 | c FA=>CLOSE_WAIT:59 A0/I1 | s FA=>TIME_WAIT:119 A0/I1 | c A=>TIME_WAIT:119 A0/I1',
  ],
  [
    'nat',
    0,
    0,
    'c S=>SYN_RECV:59 A1/I0 | s SA=>SYN_RECV:59 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | s FA=>FIN_WAIT:119 A0/I1 | c A=>FIN_WAIT:119 A0/I1 | c FA=>TIME_WAIT:119 A0/I1 | s A=>TIME_WAIT:119 A0/I1',
  ],
  ['nat', 0, 0, 'c S=>SYN_RECV:59 A1/I0 | s SA=>SYN_RECV:59 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | c R=>CLOSE:9 A0/I1'],
  ['nat', 0, 0, 'c S=>SYN_RECV:59 A1/I0 | s RA=>CLOSE:9 A0/I1'],
  ['nat', 0, 0, 'c S=>SYN_RECV:59 A1/I0 | c S=>SYN_RECV:59 A1/I0 | c A=>ESTABLISHED:899 A1/I0'],
  [
    'dr',
    0,
    0,
    'c S=>SYN_RECV:59 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | c FA=>FIN_WAIT:119 A0/I1 | c A=>FIN_WAIT:119 A0/I1',
  ],
  ['dr', 0, 0, 'c S=>SYN_RECV:59 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | c R=>CLOSE:9 A0/I1'],
  ['dr', 0, 0, 'c S=>SYN_RECV:59 A1/I0 | c R=>SYN_RECV:59 A1/I0'],
  ['nat', 0, 0, 'c A=>- A0/I0'],
  ['dr', 0, 1, 'c A=>ESTABLISHED:899 A1/I0 | c A=>ESTABLISHED:899 A1/I0'],
  [
    'nat',
    3,
    0,
    'c S=>SYN_RECV:59 A1/I0 | s SA=>SYNACK:119 A1/I0 | c A=>SYNACK:119 A1/I0 | c PA=>SYNACK:119 A1/I0 | s A=>ESTABLISHED:899 A1/I0 | c FA=>CLOSE_WAIT:59 A0/I1 | s FA=>TIME_WAIT:119 A0/I1 | c A=>TIME_WAIT:119 A0/I1',
  ],
  [
    'dr',
    3,
    0,
    'c S=>SYNACK:119 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | c A=>ESTABLISHED:899 A1/I0 | c FA=>FIN_WAIT:119 A0/I1 | c A=>FIN_WAIT:119 A0/I1',
  ],
  [
    'nat',
    3,
    0,
    'c S=>SYN_RECV:59 A1/I0 | c A=>SYN_RECV:59 A1/I0 | c A=>SYN_RECV:59 A1/I0 | s SA=>SYNACK:119 A1/I0 | s A=>ESTABLISHED:899 A1/I0 | c A=>ESTABLISHED:899 A1/I0',
  ],
];

/** Chunk types of an association through NAT. */
export const SCTP_WALK =
  'c 1=>INIT1:3 A0/I1 | s 2=>C-SENT:60 A0/I1 | c 10=>C-REPLIED:60 A0/I1 | s 11=>ESTABLISHED:899 A1/I0 | c 0=>ESTABLISHED:899 A1/I0 | c 7=>S-RECEIVED:60 A0/I1 | s 8=>S-ACK-SENT:60 A0/I1 | c 14=>CLOSED:60 A0/I1';

/** conn_reuse_mode, how the client ends its connection, servers of that connection and of the next from the same port. */
export const REUSE: readonly (readonly [number, 'FIN_WAIT' | 'CLOSE', number, number])[] = [
  [0, 'FIN_WAIT', 2, 2],
  [0, 'CLOSE', 1, 1],
  [1, 'FIN_WAIT', 2, 2],
  [1, 'CLOSE', 1, 2],
  [2, 'FIN_WAIT', 1, 2],
  [2, 'CLOSE', 1, 2],
  [3, 'FIN_WAIT', 1, 2],
  [3, 'CLOSE', 1, 2],
];
