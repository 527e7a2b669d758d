// SPDX-License-Identifier: Apache-2.0
// Arguments of `ballast lab`. Pure; lab.ts prints the message of a LabUsageError and exits 2.

import { parseArgs } from 'node:util';
import { MAX_SERVERS } from './plan.ts';

export const LAB_HELP = `usage: ballast lab NAME [--servers N] [--json] [--keep]
       ballast lab nat [--seconds S] [--rate R] …
       ballast lab ftp [--megabytes M] …
       ballast lab NAME --down

A client, a director and real servers in network namespaces of this machine. Needs root.

  nat           weighted round robin over servers behind NAT, under load
  dr            direct routing: servers answer past the director, counted frame by frame
  tun           tunnels to servers in another network, IPIP, GRE and GUE, and a smaller MTU on the way
  fullnat       servers that know no way to clients, and learn who they are; with nginx and HAProxy
  ftp           FTP through NAT: passive, active, both ways, IPv4 and IPv6
  fwmark        ports 80 and 8080 as one service, by a firewall mark of iptables
  persistence   a client stays on its server: by address, by port, by firewall mark

  --servers N   real servers, 2 to ${MAX_SERVERS} (2)
  --seconds S   nat: how long the client makes requests, 1 to 86400 (12)
  --rate R      nat: requests a second, each on a new connection, 1 to 2000 (200)
  --megabytes M ftp: size of the large download, 1 to 1000 (100)
  --json        print nothing but one JSON object at the end
  --keep        leave the lab running at the end; the next run, or --down, removes it
  --down        remove a lab that was kept
`;

const LAB_NAMES = ['nat', 'dr', 'tun', 'fullnat', 'ftp', 'fwmark', 'persistence'] as const;

export type LabName = (typeof LAB_NAMES)[number];

export interface LabOptions {
  readonly name: LabName;
  readonly servers: number;
  readonly seconds: number;
  readonly rate: number;
  readonly megabytes: number;
  readonly json: boolean;
  readonly keep: boolean;
  readonly down: boolean;
}

/** Arguments that make no sense; the message says which. */
export class LabUsageError extends Error {
  readonly code = 'BALLAST_USAGE';
}

/** Options of `ballast lab NAME`; 'help' when that is what was asked for. */
export function parseLabOptions(args: readonly string[]): LabOptions | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const [name, ...rest] = positionals;
  const names = LAB_NAMES.join(', ');
  if (name === undefined) throw new LabUsageError(`which lab? there is: ${names}`);
  if (!isLabName(name)) throw new LabUsageError(`there is no lab '${name}'; there is: ${names}`);
  if (rest.length > 0) throw new LabUsageError(`unexpected argument '${rest[0]}'`);
  const load = (['seconds', 'rate'] as const).find((option) => values[option] !== undefined);
  if (load !== undefined && name !== 'nat') throw new LabUsageError(`--${load} is for the lab nat`);
  if (values.megabytes !== undefined && name !== 'ftp') throw new LabUsageError('--megabytes is for the lab ftp');
  if (values.keep && values.down) throw new LabUsageError('--keep and --down exclude each other');
  return {
    name,
    servers: integer('--servers', values.servers, 2, 2, MAX_SERVERS),
    seconds: integer('--seconds', values.seconds, 12, 1, 86_400),
    rate: integer('--rate', values.rate, 200, 1, 2_000),
    megabytes: integer('--megabytes', values.megabytes, 100, 1, 1_000),
    json: values.json === true,
    keep: values.keep === true,
    down: values.down === true,
  };
}

function isLabName(name: string): name is LabName {
  return LAB_NAMES.some((known) => known === name);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        servers: { type: 'string' },
        seconds: { type: 'string' },
        rate: { type: 'string' },
        megabytes: { type: 'string' },
        json: { type: 'boolean' },
        keep: { type: 'boolean' },
        down: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new LabUsageError((error as Error).message);
  }
}

function integer(option: string, text: string | undefined, absent: number, least: number, most: number): number {
  if (text === undefined) return absent;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new LabUsageError(`${option} takes a whole number from ${least} to ${most}, not '${text}'`);
}
