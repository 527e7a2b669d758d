// SPDX-License-Identifier: Apache-2.0
// A connection record as people read it. For listings only: makes objects and text.

import { type Family, formatAddress } from '../../packet/address.ts';
import { IPPROTO_TCP } from '../../packet/ipv4.ts';
import type { ConnectionSnapshot, ServerKey } from '../model.ts';
import type { Connections } from './connections.ts';
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
  VIRTUAL,
  VIRTUAL_6,
} from './layout.ts';
import { TCP_STATE_NAMES } from './tcp-state.ts';

/** Record `id`, or undefined when it is free. */
export function connectionSnapshot(connections: Connections, id: number, now: number): ConnectionSnapshot | undefined {
  const records = connections.records;
  const base = id << RECORD_SHIFT;
  const kind = records[base + KIND];
  if (kind === 0) return undefined;
  const family = (kind & 0xff) as Family;
  const isTcp = kind >>> 8 === IPPROTO_TCP;
  const end = (word: number, rest: number, port: number): ServerKey => ({
    address: formatAddress(family, [records[base + word], ...records.subarray(base + rest, base + rest + 3)]),
    port,
  });
  const ports = records[base + PORTS_REQUEST];
  return {
    protocol: isTcp ? 'tcp' : 'udp',
    expiresSeconds: connections.secondsLeft(id, now),
    state: isTcp ? TCP_STATE_NAMES[records[base + STATE]] : 'UDP',
    client: end(CLIENT, CLIENT_6, ports >>> 16),
    virtual: end(VIRTUAL, VIRTUAL_6, ports & 0xffff),
    destination: end(DESTINATION, DESTINATION_6, records[base + PORTS_REPLY] >>> 16),
  };
}
