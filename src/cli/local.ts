// SPDX-License-Identifier: Apache-2.0
// `ballast local`: the addresses from which FULLNAT speaks to servers. Called by main; parses, asks the daemon, prints.

import { parseArgs } from 'node:util';
import { socketPath } from '../daemon/protocol.ts';
import type { LocalAddressOptions, LocalPoolSnapshot } from '../lvs/model.ts';
import { type Address, parseAddress } from '../packet/address.ts';
import { withDaemon } from './client.ts';
import { formatTable } from './text-table.ts';
import { UsageError } from './usage-error.ts';

const LOCAL_HELP = `usage: ballast local add ADDRESS [--pool NAME] [--ports FIRST-LAST]
       ballast local del ADDRESS [--pool NAME]
       ballast local list [--json]

The addresses from which the director speaks to servers with FULLNAT ('ipvsadm -a ... --fullnat'). They must be addresses of
this machine to which servers find their way. A service takes those of the pool that it names ('ballast tune SERVICE
--local-pool NAME'), or of the pool 'default'. Each address serves as many connections to one server as it has ports.

  --pool NAME         the pool; 'default' when left out
  --ports FIRST-LAST  ports that connections get, 1025-65535 when left out. Leave out those that the kernel gives to programs
                      (net.ipv4.ip_local_port_range), when programs of this machine speak to servers from the same address
  --socket PATH       socket of the daemon
  --json              print the API's /v1/local-pools
`;

/** Runs the command, returns its exit status. */
export async function runLocal(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      pool: { type: 'string', default: 'default' },
      ports: { type: 'string' },
      socket: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(LOCAL_HELP);
    return 0;
  }
  const [command, ...rest] = positionals;
  const socket = values.socket ?? socketPath(process.env);
  const { pool } = values;
  switch (command) {
    case 'add': {
      const local = { pool, address: readAddress(rest) };
      const options = readPorts(values.ports);
      await withDaemon(socket, async (client) => await client.apply({ type: 'add-local-address', local, options }));
      return 0;
    }
    case 'del': {
      const local = { pool, address: readAddress(rest) };
      await withDaemon(socket, async (client) => await client.apply({ type: 'delete-local-address', local }));
      return 0;
    }
    case 'list': {
      if (rest.length > 0) throw new UsageError(`local: unexpected argument '${rest[0]}'`);
      await withDaemon(socket, async (client) => {
        const { localPools: pools } = await client.snapshot();
        process.stdout.write(
          values.json === true ? `${JSON.stringify({ pools }, undefined, 2)}\n` : formatPools(pools),
        );
      });
      return 0;
    }
    case undefined:
      throw new UsageError("local: add, del or list? See 'ballast local --help'");
    default:
      throw new UsageError(`local: unknown command '${command}': there is add, del and list`);
  }
}

function readAddress([text, ...rest]: readonly string[]): Address {
  if (text === undefined) throw new UsageError('local: the address is missing');
  if (rest.length > 0) throw new UsageError(`local: unexpected argument '${rest[0]}'`);
  const address = parseAddress(text);
  if (address === undefined) throw new UsageError(`local: '${text}' is not an IPv4 or IPv6 address`);
  return address;
}

function readPorts(text: string | undefined): LocalAddressOptions {
  if (text === undefined) return {};
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text);
  if (match === null) throw new UsageError(`local: --ports takes FIRST-LAST, not '${text}'`);
  return { lowPort: Number(match[1]), highPort: Number(match[2]) };
}

function formatPools(pools: readonly LocalPoolSnapshot[]): string {
  if (pools.length === 0) return 'no local addresses\n';
  const rows = pools.flatMap(({ name, addresses }) =>
    addresses.map(({ address, lowPort, highPort, connections }) => [
      name,
      address,
      `${lowPort}-${highPort}`,
      `${connections}`,
    ]),
  );
  const refused = pools
    .filter(({ exhausted, refused: others }) => exhausted + others > 0)
    .map(
      ({ name, exhausted, refused: others }) =>
        `pool ${name}: ${exhausted} connections found no port, ${others} no memory\n`,
    );
  return formatTable([['POOL', 'ADDRESS', 'PORTS', 'CONNECTIONS'], ...rows], 0) + refused.join('');
}
