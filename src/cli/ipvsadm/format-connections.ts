// SPDX-License-Identifier: Apache-2.0
// Listing of connections (`ipvsadm -Lc`), byte for byte as ipvsadm 1.31 prints it. Pure; the rows come page by page.

import type { ConnectionSnapshot } from '../../lvs/model.ts';
import type { Label } from './labels.ts';

/** The lines above the rows; `withEngine` adds the columns of persistence engines. */
export function connectionsHeader(withEngine: boolean): string {
  const columns = `pro expire ${'state'.padEnd(11)} ${'source'.padEnd(18)} ${'virtual'.padEnd(18)} `;
  const last = withEngine ? `${'destination'.padEnd(18)} ${'pe name'.padEnd(16)} pe_data` : 'destination';
  return `IPVS connection entries\n${columns}${last}\n`;
}

/** One row. */
export function connectionRow(connection: ConnectionSnapshot, withEngine: boolean, label: Label): string {
  const { state, expiresSeconds, persistenceEngine } = connection;
  const protocol = connection.protocol === 'ip' ? undefined : connection.protocol;
  const client = label(connection.client, protocol).padEnd(18);
  const virtual = label(connection.virtual, protocol).padEnd(18);
  const destination = label(connection.destination, protocol);
  const start = `${connection.protocol.toUpperCase().padEnd(3)} ${clock(expiresSeconds).padEnd(6)} ${state.padEnd(11)}`;
  const row = `${start} ${client} ${virtual} `;
  if (!withEngine || persistenceEngine === undefined) return `${row}${destination}\n`;
  return `${row}${destination.padEnd(16)} ${persistenceEngine.name.padEnd(18)} ${persistenceEngine.data}\n`;
}

/** Minutes and seconds; minutes go on above 59. */
function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
}
