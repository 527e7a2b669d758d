// SPDX-License-Identifier: Apache-2.0
// `ballast status`: what a running daemon is and has done, as a short table or as JSON. Called by main; only asks.

import { parseArgs } from 'node:util';
import { type DaemonStatus, socketPath } from '../daemon/protocol.ts';
import type { Rates } from '../lvs/model.ts';
import { withDaemon } from './client.ts';
import { formatTable } from './text-table.ts';

export const STATUS_HELP = `usage: ballast status [--json] [--socket PATH]

Shows what the running daemon is and has done. --json prints the API's /v1/status.
`;

/** Runs the command, returns its exit status. */
export async function runStatus(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { json: { type: 'boolean' }, socket: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    process.stdout.write(STATUS_HELP);
    return 0;
  }
  const status = await withDaemon(values.socket ?? socketPath(process.env), (client) => client.status());
  process.stdout.write(values.json === true ? `${JSON.stringify(status, undefined, 2)}\n` : formatStatus(status));
  return 0;
}

/** The table for people. Verdicts that never happened are left out. */
export function formatStatus(status: DaemonStatus): string {
  const { counters } = status.totals;
  const rates = roundAll(status.totals.rates);
  const facts: readonly (readonly string[])[] = [
    ['data plane', status.dataplane],
    ['services', `${status.services} with ${status.servers} ${status.servers === 1 ? 'server' : 'servers'}`],
    ['connections', `${status.connections.current} of at most ${status.connections.maximum}`],
    ['scheduled', `${counters.connections} connections, ${rates.connections}/s`],
    [
      'packets',
      `${counters.inPackets} in, ${counters.outPackets} out, ${rates.inPackets}/s in, ${rates.outPackets}/s out`,
    ],
    [
      'dropped',
      `${countVerdicts(status, /^(drop|malformed)-/)} packets, ${countVerdicts(status, /^malformed-/)} malformed`,
    ],
    ['bytes', `${counters.inBytes} in, ${counters.outBytes} out, ${rates.inBytes}/s in, ${rates.outBytes}/s out`],
  ];
  const links = status.links.map((link) => [
    link.name,
    link.mode,
    String(link.queues),
    String(link.rxPackets),
    String(link.txPackets),
  ]);
  const verdicts = Object.entries(status.verdicts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => [name, String(count)]);
  const draining = status.draining.map((one) => [
    one.service,
    one.server,
    String(one.connections),
    one.secondsLeft === undefined ? 'never' : `${one.secondsLeft} s`,
  ]);
  const parts = [
    `Ballast ${status.version}, pid ${status.pid}, up ${formatDuration(status.uptimeSeconds)}\n${formatTable(facts, 0)}`,
    formatTable([['link', 'mode', 'queues', 'received', 'sent'], ...links], 2),
    ...(draining.length > 0 ? [formatTable([['draining', 'server', 'connections', 'reset in'], ...draining], 2)] : []),
    formatTable([['verdict', 'packets'], ...verdicts], 1),
  ];
  return parts.join('\n');
}

function roundAll(rates: Rates): Rates {
  return {
    connections: Math.round(rates.connections),
    inPackets: Math.round(rates.inPackets),
    outPackets: Math.round(rates.outPackets),
    inBytes: Math.round(rates.inBytes),
    outBytes: Math.round(rates.outBytes),
  };
}

function countVerdicts(status: DaemonStatus, names: RegExp): number {
  return Object.entries(status.verdicts).reduce((sum, [name, count]) => sum + (names.test(name) ? count : 0), 0);
}

/** `42 s`, `3 min 5 s`, `2 h 0 min`, `5 d 3 h`. */
function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 24) return `${hours} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
