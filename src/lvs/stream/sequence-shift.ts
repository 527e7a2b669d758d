// SPDX-License-Identifier: Apache-2.0
// FULLNAT gives a client's connection another initial sequence number, since behind one local address and port the numbers
// of one client after the other must rise for the server to take their SYNs (RFC 9293 §3.6.1; DPVS). One constant, chosen
// by the caller, is added to what the client sends and taken from what the server acknowledges. The server's own numbers
// stay. Also what else FULLNAT does to a SYN: `eraseOptions` of timestamps and `reduceMss` are in src/packet.
// hot path

import type { Headers } from '../../packet/parse.ts';
import { TCP_ACK, TCP_ACK_FLAG, TCP_FLAGS, TCP_HLEN, TCP_SEQ } from '../../packet/tcp.ts';
import {
  mendTcpChecksum,
  nextOption,
  replaceWord,
  sackBlocks,
  TCPOPT_SACK,
  tcpDataStart,
} from '../../packet/tcp-options.ts';

/** Adds `delta` to the sequence number of a client's segment; every segment, SYN and RST too. */
export function shiftRequest(view: DataView, headers: Headers, delta: number): void {
  const transport = headers.transport;
  const at = transport + TCP_SEQ;
  mendTcpChecksum(view, transport, replaceWord(view, transport, at, (view.getInt32(at) + delta) | 0));
}

/** Takes `delta` from the acknowledgment and the SACK blocks of a server's segment. */
export function shiftReply(view: DataView, headers: Headers, delta: number): void {
  const transport = headers.transport;
  if ((view.getUint8(transport + TCP_FLAGS) & TCP_ACK_FLAG) === 0) return;
  const at = transport + TCP_ACK;
  let difference = replaceWord(view, transport, at, (view.getInt32(at) - delta) | 0);
  const end = tcpDataStart(view, headers);
  let option = nextOption(view, transport + TCP_HLEN, end);
  while (option < end) {
    const length = view.getUint8(option + 1);
    const edges = view.getUint8(option) === TCPOPT_SACK ? sackBlocks(length) * 2 : 0;
    for (let i = 0; i < edges; i++) {
      const edge = option + 2 + i * 4;
      difference += replaceWord(view, transport, edge, (view.getInt32(edge) - delta) | 0);
    }
    option = nextOption(view, option + length, end);
  }
  mendTcpChecksum(view, transport, difference);
}
