// SPDX-License-Identifier: Apache-2.0
// `ballast realserver`: the servers' side of direct routing and tunnels. Called by main; reads the command line, has
// src/realserver do it, prints what is up.

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type Address, parseAddress } from '../packet/address.ts';
import { planSteps } from '../realserver/plan.ts';
import { bringUp, type Result, takeDown, type WantedSetup, type WantedTunnel } from '../realserver/realserver.ts';
import { formatScript } from '../realserver/script.ts';
import type { Decapsulation, Method, Setup, TunnelType } from '../realserver/setup.ts';
import { defaultStateFile, readState } from '../realserver/state.ts';
import { UsageError } from './usage-error.ts';

export const REALSERVER_HELP = `usage: ballast realserver up --method dr|tun --vip ADDRESS ... [OPTIONS]
       ballast realserver down [--method dr|tun] [--vip ADDRESS ...]
       ballast realserver status
       ballast realserver print --method dr|tun --vip ADDRESS ... [OPTIONS]

Makes this machine a real server for a director's -g (dr) or -i (tun): it takes packets for the virtual addresses, tells
nobody on the network that it has them, and answers clients itself. 'down' undoes exactly what 'up' did. 'print' writes
a shell script that does the same, and undoes it, on a machine without Ballast. Needs root; 'print' does not.

  --vip ADDRESS      virtual address, IPv4 or IPv6; repeat for more
  --vip-dev DEV      device that holds them (default: lo; with the kernel's tunnels, the tunnel's device)
  --method dr        packets come as the client sent them, from the same network segment
  --method tun       packets come in a tunnel
  --tun-type TYPE    ipip (default), gue or gre, as in ipvsadm
  --tun-port N       UDP port of GUE, as in ipvsadm
  --tun-csum         GRE: the director sends checksums (ipvsadm --tun-csum); for ipip and gue nothing is needed
  --rip ADDRESS      this server's address in ipvsadm -r; repeat for more. Default: any of its addresses, for virtual
                     addresses of the same family
  --decap WHO        who takes tunnels apart: the kernel's devices (kernel), or Ballast's XDP program (xdp). Default: the
                     kernel where it has them
  --dev DEV          xdp: the device that tunnels come in by
  --state FILE       where what was done is remembered (default: in /run/ballast/realserver)
`;

const OPTIONS = {
  method: { type: 'string' },
  vip: { type: 'string', multiple: true },
  'vip-dev': { type: 'string' },
  'tun-type': { type: 'string' },
  'tun-port': { type: 'string' },
  'tun-csum': { type: 'boolean' },
  'tun-nocsum': { type: 'boolean' },
  'tun-remcsum': { type: 'boolean' },
  rip: { type: 'string', multiple: true },
  decap: { type: 'string' },
  dev: { type: 'string' },
  state: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

type Values = ReturnType<typeof parse>['values'];

/** Options that only a tunnel has. */
const TUNNEL_OPTIONS = [
  'tun-type',
  'tun-port',
  'tun-csum',
  'tun-nocsum',
  'tun-remcsum',
  'rip',
  'decap',
  'dev',
] as const;
/** Options that `down` has. */
const DOWN_OPTIONS: readonly string[] = ['method', 'vip', 'state'];

/** Runs the command, returns its exit status. */
export async function runRealserver(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help === true) {
    process.stdout.write(REALSERVER_HELP);
    return 0;
  }
  const [command, ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`realserver: unexpected argument '${rest[0]}'`);
  switch (command) {
    case 'up': {
      const setup = readSetup(values);
      report(bringUp(values.state ?? defaultStateFile(), setup));
      return 0;
    }
    case 'down': {
      const { methods, virtual } = readDown(values);
      report(takeDown(values.state ?? defaultStateFile(), methods, virtual));
      return 0;
    }
    case 'status':
      refuse(values, ['state']);
      report({ setups: readState(values.state ?? defaultStateFile()).setups, remarks: [] });
      return 0;
    case 'print': {
      const command = `ballast realserver ${args.map((word) => (/^[\w./:-]+$/.test(word) ? word : '…')).join(' ')}`;
      process.stdout.write(formatScript(planSteps(scriptable(readSetup(values))), command));
      return 0;
    }
    case undefined:
      throw new UsageError("realserver: up, down, status or print? See 'ballast realserver --help'");
    default:
      throw new UsageError(`realserver: unknown command '${command}': there is up, down, status and print`);
  }
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
}

/** What `up` and `print` are asked for; throws a {@link UsageError} that names what is wrong. */
export function readSetup(values: Values): WantedSetup {
  const method = readMethod(values.method);
  if (method === undefined) throw new UsageError('realserver: --method dr or --method tun is missing');
  const virtual = readAddresses('--vip', values.vip);
  if (virtual.length === 0) throw new UsageError('realserver: --vip ADDRESS is missing');
  const stray = TUNNEL_OPTIONS.find((name) => values[name] !== undefined);
  if (method === 'dr' && stray !== undefined) throw new UsageError(`realserver: --${stray} goes with --method tun`);
  return { virtual, device: values['vip-dev'], tunnel: method === 'tun' ? readTunnel(values, virtual) : undefined };
}

function readTunnel(values: Values, virtual: readonly Address[]): WantedTunnel {
  const type = readType(values['tun-type'] ?? 'ipip');
  const local = readAddresses('--rip', values.rip);
  const both = local.find((address) => virtual.includes(address));
  if (both !== undefined) throw new UsageError(`realserver: ${both} cannot be --vip and --rip: tunnels end at --rip`);
  const by = readDecapsulation(values.decap);
  const device = values.dev;
  if (by === 'kernel' && device !== undefined) throw new UsageError('realserver: --dev goes with --decap xdp');
  // GUE's remote checksums come with their own header; nobody has to be told.
  return {
    type,
    port: readPort(type, values['tun-port']),
    checksum: values['tun-csum'] === true && type === 'gre',
    by,
    device,
    local,
  };
}

/** A script has the kernel's devices alone. */
function scriptable(wanted: WantedSetup): Setup {
  const { tunnel } = wanted;
  if (tunnel === undefined) return { ...wanted, tunnel };
  if (tunnel.by === 'xdp' || tunnel.device !== undefined) {
    throw new UsageError('realserver: a script takes tunnels apart by the kernel: leave out --decap xdp and --dev');
  }
  return { ...wanted, tunnel: { ...tunnel, by: 'kernel', device: '' } };
}

function readDown(values: Values): { readonly methods: readonly Method[]; readonly virtual: readonly Address[] } {
  refuse(values, DOWN_OPTIONS);
  const method = readMethod(values.method);
  return { methods: method === undefined ? ['dr', 'tun'] : [method], virtual: readAddresses('--vip', values.vip) };
}

function refuse(values: Values, allowed: readonly string[]): void {
  const stray = Object.keys(values).find((name) => !allowed.includes(name));
  if (stray !== undefined) throw new UsageError(`realserver: --${stray} has no meaning here`);
}

function readMethod(text: string | undefined): Method | undefined {
  if (text === undefined || text === 'dr' || text === 'tun') return text;
  throw new UsageError(`realserver: --method '${text}' is neither dr nor tun`);
}

function readType(text: string): TunnelType {
  if (text === 'ipip' || text === 'gue' || text === 'gre') return text;
  throw new UsageError(`realserver: --tun-type '${text}' is none of ipip, gue, gre`);
}

function readDecapsulation(text: string | undefined): Decapsulation | undefined {
  if (text === undefined || text === 'kernel' || text === 'xdp') return text;
  throw new UsageError(`realserver: --decap '${text}' is neither kernel nor xdp`);
}

function readPort(type: TunnelType, text: string | undefined): number {
  if (type !== 'gue') {
    if (text === undefined) return 0;
    throw new UsageError('realserver: --tun-port goes with --tun-type gue');
  }
  if (text === undefined) throw new UsageError('realserver: --tun-type gue needs --tun-port N, as in ipvsadm');
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65535) return port;
  throw new UsageError(`realserver: --tun-port '${text}' is not a port from 1 to 65535`);
}

function readAddresses(option: string, texts: readonly string[] | undefined): Address[] {
  const addresses = (texts ?? []).map((text) => {
    const address = parseAddress(text);
    if (address !== undefined) return address;
    throw new UsageError(`realserver: ${option} '${text}' is no IPv4 or IPv6 address`);
  });
  return [...new Set(addresses)];
}

function report({ setups, remarks }: Result): void {
  for (const remark of remarks) process.stderr.write(`ballast: ${remark}\n`);
  const lines = Object.values(setups).map((setup) => `${describe(setup)}\n`);
  process.stdout.write(lines.length === 0 ? 'nothing is up\n' : lines.join(''));
}

function describe({ virtual, device, tunnel }: Setup): string {
  const held = device === undefined ? '' : ` on ${device}`;
  if (tunnel === undefined) return `direct routing for ${virtual.join(', ')}${held}`;
  const { type, port, by } = tunnel;
  const kind = { ipip: 'IPIP', gue: `GUE on port ${port}`, gre: 'GRE' }[type];
  const whose = by === 'kernel' ? "the kernel's devices" : `XDP on ${tunnel.device}`;
  return `${kind} for ${virtual.join(', ')}${held}, taken apart by ${whose}`;
}
