// SPDX-License-Identifier: Apache-2.0
// `ballast mark`: the user's own rules that give packets firewall marks, and what has become of the kernel's. Called by
// main; parses, asks the daemon, prints.

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { socketPath } from '../daemon/protocol.ts';
import type { MarkRule, Protocol } from '../lvs/model.ts';
import { type PortList, parsePortList } from '../lvs/port-list.ts';
import { type Prefix, parsePrefix } from '../packet/prefix.ts';
import { ApiDataPlane } from './client.ts';
import { formatMarks } from './mark-listing.ts';

const MARK_HELP = `usage: ballast mark add --mark N [OPTIONS]
       ballast mark del NUMBER
       ballast mark del --mark N [OPTIONS]
       ballast mark list [--json]

Rules that give packets a firewall mark, for services such as 'ipvsadm -A -f N'. The kernel's own rules (nftables,
iptables) are read and come first; the first of these that fits then decides. 'list' shows both.

  --mark N                 the mark, 1 to 4294967295, or in hexadecimal: 0x7
  --protocol P             tcp, udp or sctp
  --source PREFIX          address or prefix that packets come from
  --destination PREFIX     address or prefix that packets go to
  --source-port LIST       ports such as 80,8080-8090
  --destination-port LIST
  --interface DEV          device that packets come in by
  --socket PATH            socket of the daemon
  --json                   print the API's /v1/marks
`;

/** A command line that makes no sense; printed as one line, exit status 2. */
class MarkUsageError extends Error {
  readonly code = 'BALLAST_USAGE';
}

const OPTIONS = {
  mark: { type: 'string' },
  protocol: { type: 'string' },
  source: { type: 'string' },
  destination: { type: 'string' },
  'source-port': { type: 'string' },
  'destination-port': { type: 'string' },
  interface: { type: 'string' },
  socket: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

type Values = Readonly<Partial<Record<Exclude<keyof typeof OPTIONS, 'json' | 'help'>, string>>>;

/** Runs the command, returns its exit status. */
export async function runMark(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  const [command, ...rest] = positionals;
  if (values.help === true) {
    process.stdout.write(MARK_HELP);
    return 0;
  }
  const run = taskOf(command, rest, values, values.json === true);
  const client = new ApiDataPlane(values.socket ?? socketPath(process.env));
  try {
    process.stdout.write(await run(client));
    return 0;
  } finally {
    await client.close();
  }
}

type Task = (client: ApiDataPlane) => Promise<string>;

/** What the command line asks for; throws before anything is asked when it makes no sense. */
function taskOf(command: string | undefined, rest: readonly string[], values: Values, isJson: boolean): Task {
  switch (command) {
    case 'add': {
      refuse(rest);
      const rule = readRule(values);
      return async (client) => `rule ${(await client.addMark(rule)).number} added\n`;
    }
    case 'del': {
      const rule = rest.length > 0 ? readNumber(rest, values) : readRule(values);
      return async (client) => {
        await client.apply({ type: 'delete-mark', rule });
        return '';
      };
    }
    case 'list':
      refuse(rest);
      return async (client) => {
        const marks = await client.marks();
        return isJson ? `${JSON.stringify(marks, undefined, 2)}\n` : formatMarks(marks);
      };
    case undefined:
      throw new MarkUsageError("mark: add, del or list? See 'ballast mark --help'");
    default:
      throw new MarkUsageError(`mark: unknown command '${command}': there is add, del and list`);
  }
}

function refuse(rest: readonly string[]): void {
  if (rest.length > 0) throw new MarkUsageError(`mark: unexpected argument '${rest[0]}'`);
}

function readNumber([text, ...rest]: readonly string[], values: Values): number {
  refuse(rest);
  if (ruleOptions(values).length > 0) throw new MarkUsageError('mark del: a number or a rule, not both');
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new MarkUsageError(`mark del: '${text}' is no number of a rule`);
}

function ruleOptions(values: Values): string[] {
  return Object.keys(values).filter((name) => name !== 'socket' && name !== 'json');
}

/** The rule that the options describe. */
function readRule(values: Values): MarkRule {
  if (values.mark === undefined) throw new MarkUsageError('mark: --mark N is missing');
  const { protocol, source, destination } = values;
  const name = values.interface;
  return {
    mark: readMark(values.mark),
    ...(protocol !== undefined && { protocol: readProtocol(protocol) }),
    ...(source !== undefined && { source: readPrefix('--source', source) }),
    ...(destination !== undefined && { destination: readPrefix('--destination', destination) }),
    ...(values['source-port'] !== undefined && { sourcePorts: readPorts('--source-port', values['source-port']) }),
    ...(values['destination-port'] !== undefined && {
      destinationPorts: readPorts('--destination-port', values['destination-port']),
    }),
    ...(name !== undefined && { interface: name }),
  };
}

function readMark(text: string): number {
  const mark = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
  if (mark >= 1 && mark <= 0xffffffff) return mark;
  throw new MarkUsageError(`mark: --mark '${text}' is not 1 to 4294967295`);
}

function readProtocol(text: string): Protocol {
  if (text === 'tcp' || text === 'udp' || text === 'sctp') return text;
  throw new MarkUsageError(`mark: --protocol '${text}' is not tcp, udp or sctp`);
}

function readPrefix(option: string, text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return prefix;
  throw new MarkUsageError(`mark: ${option} '${text}' is no address or prefix such as 192.0.2.0/24`);
}

function readPorts(option: string, text: string): PortList {
  const list = parsePortList(text);
  if (list !== undefined) return list;
  throw new MarkUsageError(`mark: ${option} '${text}' is no list of ports such as 80,8080-8090`);
}
