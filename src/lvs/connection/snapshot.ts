// SPDX-License-Identifier: Apache-2.0
// A connection record as people read it. For listings only: makes objects and text.

import { type Address, type Family, formatAddress } from '../../packet/address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../packet/ipv4.ts';
import type { ConnectionSnapshot, ServerKey } from '../model.ts';
import { type Connections, isTemplate, protocolOf } from './connections.ts';
import {
  CLIENT,
  CLIENT_6,
  DESTINATION,
  DESTINATION_6,
  KIND,
  PORTS_REPLY,
  PORTS_REQUEST,
  RECORD_SHIFT,
  STATE,
  STATE_MASK,
  TEMPLATE_ASSURED,
  VIRTUAL,
  VIRTUAL_6,
} from './layout.ts';
import { SCTP_STATE_NAMES } from './sctp-state.ts';
import { TCP_STATE_NAMES } from './tcp-state.ts';

const PROTOCOLS: Readonly<Record<number, ConnectionSnapshot['protocol']>> = {
  [IPPROTO_TCP]: 'tcp',
  [IPPROTO_UDP]: 'udp',
  [IPPROTO_SCTP]: 'sctp',
};

/** What persistence engines know of a template. */
export type EngineData = (template: number) => { readonly name: string; readonly data: string } | undefined;

/** Record `id`, or undefined when it is free. */
export function connectionSnapshot(
  connections: Connections,
  id: number,
  now: number,
  engineData: EngineData,
): ConnectionSnapshot | undefined {
  const records = connections.records;
  const base = id << RECORD_SHIFT;
  const kind = records[base + KIND];
  if (kind === 0) return undefined;
  const family = (kind & 0xff) as Family;
  const end = (word: number, rest: number, port: number): ServerKey => ({ address: address(family, word, rest), port });
  const address = (of: Family, word: number, rest: number): Address =>
    formatAddress(of, [records[base + word], ...records.subarray(base + rest, base + rest + 3)]);
  // A tunnel's server may be of another family than its clients.
  const serverFamily = connections.serverOf(id)?.family ?? family;
  const ports = records[base + PORTS_REQUEST];
  const persistenceEngine = engineData(id);
  return {
    protocol: PROTOCOLS[protocolOf(kind)] ?? 'ip',
    expiresSeconds: connections.secondsLeft(id, now),
    state: stateName(kind, records[base + STATE] & STATE_MASK),
    client: end(CLIENT, CLIENT_6, ports >>> 16),
    virtual: end(VIRTUAL, VIRTUAL_6, ports & 0xffff),
    destination: {
      address: address(serverFamily, DESTINATION, DESTINATION_6),
      port: records[base + PORTS_REPLY] >>> 16,
    },
    ...(persistenceEngine !== undefined && { persistenceEngine }),
  };
}

/** Name of a state as `ipvsadm -Lc` shows it. */
function stateName(kind: number, state: number): string {
  if (isTemplate(kind)) return (state & TEMPLATE_ASSURED) !== 0 ? 'ASSURED' : 'NONE';
  switch (protocolOf(kind)) {
    case IPPROTO_TCP:
      return TCP_STATE_NAMES[state];
    case IPPROTO_SCTP:
      return SCTP_STATE_NAMES[state];
    default:
      return 'UDP';
  }
}
