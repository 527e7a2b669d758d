// SPDX-License-Identifier: Apache-2.0
// `ballast drain`: takes a server out of scheduling, lets its connections finish, and resets those that are left at the
// deadline. Says what is left and can wait until nothing is. What it starts the director carries on by itself.

import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { socketPath } from '../daemon/protocol.ts';
import type { DataPlane } from '../dataplane/dataplane.ts';
import type { ServerKey, ServerSnapshot, ServiceKey } from '../lvs/model.ts';
import { formatServerKey, formatServiceKey } from '../lvs/service-key.ts';
import { withDaemon } from './client.ts';
import { refuseWords, SERVICE_OPTIONS, takeServer, takeService } from './service-argument.ts';
import { UsageError } from './usage-error.ts';

export const DRAIN_HELP = `usage: ballast drain SERVICE SERVER [OPTIONS]

Gives the server no new connections from now on, also none of its persistent clients, and lets those that it has finish.
SERVICE and SERVER are written as for ipvsadm (-t ADDRESS:PORT -r ADDRESS:PORT) or as tcp:ADDRESS:PORT ADDRESS:PORT.
A weight above 0 ends it: ipvsadm -e SERVICE -r SERVER … -w WEIGHT.

  --deadline SECONDS   reset the connections that are left then, at both ends; 0 is now (default: never)
  --wait               return when no connection is left
  --socket PATH        socket of the daemon
`;

const LOOK_MS = 500;
/** Back to the beginning of a terminal's line, and empties it. */
const REWIND = '\r\x1b[K';

/** Runs the command, returns its exit status. */
export async function runDrain(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...SERVICE_OPTIONS,
      'real-server': { type: 'string', short: 'r' },
      deadline: { type: 'string' },
      wait: { type: 'boolean' },
      socket: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(DRAIN_HELP);
    return 0;
  }
  const service = await takeService(values, positionals);
  const server = await takeServer(values['real-server'], positionals, service);
  refuseWords(positionals);
  const deadlineSeconds = readDeadline(values.deadline);
  return await withDaemon(values.socket ?? socketPath(process.env), async (client) => {
    const deadline = deadlineSeconds === undefined ? {} : { deadlineSeconds };
    await client.apply({ type: 'drain-server', service, server, ...deadline });
    const begun = await look(client, service, server);
    if (begun !== undefined) process.stdout.write(`${describeDrain(begun)}\n`);
    return values.wait === true ? await untilDrained(client, service, server) : 0;
  });
}

/** One line about a server that is drained. */
export function describeDrain(server: ServerSnapshot): string {
  const count = connectionsOf(server);
  const name = formatServerKey(server);
  if (count === 0) return `${name} gets no new connections and has none left`;
  return `${name} gets no new connections; ${describeRest(server)}`;
}

/** What is left and what becomes of it. */
function describeRest(server: ServerSnapshot): string {
  const count = connectionsOf(server);
  const left = `${count} ${count === 1 ? 'is' : 'are'} left`;
  const seconds = server.drain?.secondsLeft;
  if (seconds === undefined) return `${left}, without a deadline`;
  return seconds === 0 ? `${left}, being reset now` : `${left}, reset in ${seconds} s`;
}

async function untilDrained(dataplane: DataPlane, service: ServiceKey, key: ServerKey): Promise<number> {
  const isTerminal = process.stdout.isTTY === true;
  const end = (line: string, status: number): number => {
    process.stdout.write(`${isTerminal ? REWIND : ''}${line}\n`);
    return status;
  };
  const name = formatServerKey(key);
  for (;;) {
    const server = await look(dataplane, service, key);
    if (server === undefined) return end(`${name} is not in ${formatServiceKey(service)} any more`, 1);
    if (server.drain === undefined) return end(`${name} is not drained any more: its weight is ${server.weight}`, 1);
    if (connectionsOf(server) === 0) return end(`${name} is drained: no connection is left`, 0);
    if (isTerminal) process.stdout.write(`${REWIND}${describeRest(server)}`);
    await delay(LOOK_MS);
  }
}

async function look(dataplane: DataPlane, service: ServiceKey, key: ServerKey): Promise<ServerSnapshot | undefined> {
  const { services } = await dataplane.snapshot();
  const found = services.find((candidate) => formatServiceKey(candidate.key) === formatServiceKey(service));
  return found?.servers.find((candidate) => formatServerKey(candidate) === formatServerKey(key));
}

function connectionsOf(server: ServerSnapshot): number {
  return server.activeConnections + server.inactiveConnections;
}

function readDeadline(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`--deadline '${text}' is not a number of seconds`);
}
