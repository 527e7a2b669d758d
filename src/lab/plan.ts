// SPDX-License-Identifier: Apache-2.0
// Names and addresses of the NAT lab's network: a client, a director and real servers behind a switch, each in a network
// namespace of its own. Pure; topology.ts builds it, everything else reads it.

import { type Address, parseAddress } from '../packet/address.ts';

/** An address with the length of its network's prefix. */
export interface HostAddress {
  readonly address: Address;
  readonly prefixLength: number;
}

export interface HostPlan {
  /** `client`, `rs1` … */
  readonly name: string;
  readonly namespace: string;
  readonly v4: HostAddress;
  readonly v6: HostAddress;
}

/** What the networks of all labs have. */
export interface LabPlan {
  /** Begins the name of each namespace, so that several networks can stand side by side. */
  readonly prefix: string;
  readonly client: HostPlan;
  readonly servers: readonly HostPlan[];
  readonly director: { readonly namespace: string };
  /** Held by the director, as host addresses. */
  readonly virtual: { readonly v4: Address; readonly v6: Address; readonly port: number };
  /** Where the servers' own HTTP servers listen. */
  readonly serverPort: number;
}

export interface NatPlan extends LabPlan {
  readonly switchNamespace: string;
  readonly director: {
    readonly namespace: string;
    /** The client's gateway. */
    readonly clientSide: Side;
    /** The servers' gateway. */
    readonly serverSide: Side;
  };
}

export interface Side {
  readonly device: string;
  readonly v4: HostAddress;
  readonly v6: HostAddress;
}

export const DEFAULT_PREFIX = 'blst';
export const MAX_SERVERS = 64;
/** Device of the client and of each server; its director is the other end. */
export const HOST_DEVICE = 'eth0';

export const FIRST_SERVER = 11;

/** The network with `servers` real servers, 1 … {@link MAX_SERVERS}. */
export function planNat(servers: number, prefix: string = DEFAULT_PREFIX): NatPlan {
  const host = (name: string, net: number, number: number): HostPlan => ({
    name,
    namespace: `${prefix}-${name}`,
    ...addresses(net, number),
  });
  return {
    prefix,
    client: host('client', 1, 2),
    servers: Array.from({ length: servers }, (_, i) => host(`rs${i + 1}`, 2, FIRST_SERVER + i)),
    switchNamespace: `${prefix}-switch`,
    director: {
      namespace: `${prefix}-director`,
      clientSide: { device: 'client0', ...addresses(1, 1) },
      serverSide: { device: 'servers0', ...addresses(2, 1) },
    },
    virtual: { v4: addresses(1, 100).v4.address, v6: addresses(1, 100).v6.address, port: 80 },
    // Other than the virtual port, so that the director maps it.
    serverPort: 8080,
  };
}

/** Every namespace of the network. */
export function namespacesOf(plan: NatPlan): string[] {
  const hosts = [plan.client, ...plan.servers].map((host) => host.namespace);
  return [...hosts, plan.director.namespace, plan.switchNamespace];
}

/** `10.77.1.2:80` or `[fd77:1::2]:80`. */
export function socketAddress(address: Address, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The network as a drawing; `virtualPorts` and `serverPorts` as people write them. */
export function drawPlan(
  plan: NatPlan,
  virtualPorts: string = String(plan.virtual.port),
  serverPorts: string = String(plan.serverPort),
): string {
  const { client, director, servers, virtual } = plan;
  const shown = servers.length > 4 ? [...servers.slice(0, 3), servers[servers.length - 1]] : servers;
  const serverLine = (server: HostPlan): string => {
    const gap = shown.length < servers.length && server === shown[3] ? '      ⋮\n' : '';
    return `${gap}      ├── ${server.name.padEnd(5)} ${server.v4.address}:${serverPorts}`;
  };
  return [
    `   client     ${client.v4.address}`,
    '      │',
    `   director   VIP ${virtual.v4}:${virtualPorts}, NAT, gateway ${director.serverSide.v4.address} of the servers`,
    '      │',
    ...shown.map(serverLine),
  ].join('\n');
}

/** The host `number` of the lab's network `net`. */
export function addresses(net: number, number: number): { v4: HostAddress; v6: HostAddress } {
  return {
    v4: { address: literal(`10.77.${net}.${number}`), prefixLength: 24 },
    v6: { address: literal(`fd77:${net}::${number.toString(16)}`), prefixLength: 64 },
  };
}

function literal(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`not an address: '${text}'`);
  return address;
}
