// SPDX-License-Identifier: Apache-2.0
// Names and addresses of the labs whose servers are in another network than their director: the client's network, the
// director's and the servers' meet in a router, the servers' behind a gateway of its own. Pure; remote-topology.ts builds it.
//
//   client ── router ── gateway ── servers
//               │
//            director

import { addresses, DEFAULT_PREFIX, FIRST_SERVER, type HostPlan, type LabPlan, type Side } from './plan.ts';

/** What the servers know of the world: the way to everybody, or to the director's network alone. */
export type ServerRoutes = 'all' | 'director';

export interface RemotePlan extends LabPlan {
  readonly switchNamespace: string;
  readonly director: HostPlan;
  readonly serverRoutes: ServerRoutes;
  readonly router: {
    readonly namespace: string;
    readonly clientSide: Side;
    readonly directorSide: Side;
    readonly gatewaySide: Side;
  };
  readonly gateway: {
    readonly namespace: string;
    readonly routerSide: Side;
    readonly serverSide: Side;
  };
}

export interface RemotePlanOptions {
  readonly servers: number;
  readonly serverRoutes: ServerRoutes;
  /** 80 unless given. */
  readonly serverPort?: number;
  readonly prefix?: string;
}

export const CLIENT_NET = 1;
export const DIRECTOR_NET = 2;
export const SERVER_NET = 3;
/** Between router and gateway. */
const TRANSIT_NET = 4;

export function planRemote({ servers, serverRoutes, serverPort, prefix }: RemotePlanOptions): RemotePlan {
  const begin = prefix ?? DEFAULT_PREFIX;
  const host = (name: string, net: number, number: number): HostPlan => ({
    name,
    namespace: `${begin}-${name}`,
    ...addresses(net, number),
  });
  const virtual = addresses(DIRECTOR_NET, 100);
  return {
    prefix: begin,
    client: host('client', CLIENT_NET, 2),
    servers: Array.from({ length: servers }, (_, i) => host(`rs${i + 1}`, SERVER_NET, FIRST_SERVER + i)),
    switchNamespace: `${begin}-switch`,
    director: host('director', DIRECTOR_NET, 1),
    serverRoutes,
    router: {
      namespace: `${begin}-router`,
      clientSide: { device: 'client0', ...addresses(CLIENT_NET, 1) },
      directorSide: { device: 'director0', ...addresses(DIRECTOR_NET, 254) },
      gatewaySide: { device: 'gateway0', ...addresses(TRANSIT_NET, 1) },
    },
    gateway: {
      namespace: `${begin}-gateway`,
      routerSide: { device: 'router0', ...addresses(TRANSIT_NET, 2) },
      serverSide: { device: 'servers0', ...addresses(SERVER_NET, 1) },
    },
    virtual: { v4: virtual.v4.address, v6: virtual.v6.address, port: 80 },
    serverPort: serverPort ?? 80,
  };
}

/** Every namespace of the network. */
export function remoteNamespaces({
  client,
  servers,
  director,
  router,
  gateway,
  switchNamespace,
}: RemotePlan): string[] {
  return [...[client, ...servers, director, router, gateway].map((host) => host.namespace), switchNamespace];
}

/** The network as a drawing; `method` is how the director forwards. */
export function drawRemote({ client, director, servers, virtual, gateway }: RemotePlan, method: string): string {
  const shown = servers.length > 4 ? [...servers.slice(0, 3), servers[servers.length - 1]] : servers;
  return [
    `   client     ${client.v4.address}`,
    '      │',
    `   router ─── director   ${director.v4.address}, VIP ${virtual.v4}:${virtual.port}, ${method}`,
    '      │',
    `   gateway    ${gateway.serverSide.v4.address}`,
    ...shown.map((server, i) => {
      const gap = shown.length < servers.length && i === 3 ? '      ⋮\n' : '';
      return `${gap}${`      ├── ${server.name}`.padEnd(22)}${server.v4.address}`;
    }),
  ].join('\n');
}
