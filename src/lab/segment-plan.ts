// SPDX-License-Identifier: Apache-2.0
// Names and addresses of the labs in which servers answer past the director: a director with one device and the real
// servers on one segment, and a client that is behind a router or on the segment itself. Pure; segment-topology.ts builds it.

import { addresses, DEFAULT_PREFIX, FIRST_SERVER, type HostAddress, type HostPlan, type LabPlan } from './plan.ts';

/** Where the client is: behind a router, or on the servers' segment. */
export type ClientPlace = 'routed' | 'segment';

export interface SegmentPlan extends LabPlan {
  readonly switchNamespace: string;
  readonly director: HostPlan;
  /** Between client and segment; undefined when the client is on the segment. */
  readonly router: RouterPlan | undefined;
}

export interface RouterPlan {
  readonly namespace: string;
  readonly clientSide: RouterSide;
  readonly segmentSide: RouterSide;
}

export interface RouterSide {
  readonly device: string;
  readonly v4: HostAddress;
  readonly v6: HostAddress;
}

const CLIENT_NET = 1;
const SEGMENT = 2;

/** The network with `servers` real servers. */
export function planSegment(servers: number, place: ClientPlace, prefix: string = DEFAULT_PREFIX): SegmentPlan {
  const host = (name: string, net: number, number: number): HostPlan => ({
    name,
    namespace: `${prefix}-${name}`,
    ...addresses(net, number),
  });
  const virtual = addresses(SEGMENT, 100);
  const router: RouterPlan = {
    namespace: `${prefix}-router`,
    clientSide: { device: 'client0', ...addresses(CLIENT_NET, 1) },
    segmentSide: { device: 'segment0', ...addresses(SEGMENT, 254) },
  };
  return {
    prefix,
    client: host('client', place === 'routed' ? CLIENT_NET : SEGMENT, 2),
    servers: Array.from({ length: servers }, (_, i) => host(`rs${i + 1}`, SEGMENT, FIRST_SERVER + i)),
    switchNamespace: `${prefix}-switch`,
    director: host('director', SEGMENT, 1),
    router: place === 'routed' ? router : undefined,
    virtual: { v4: virtual.v4.address, v6: virtual.v6.address, port: 80 },
    // Direct routing leaves ports as they are.
    serverPort: 80,
  };
}

/** Every namespace of the network. */
export function segmentNamespaces(plan: SegmentPlan): string[] {
  const { client, servers, director, router, switchNamespace } = plan;
  const hosts = [client, ...servers, director, ...(router === undefined ? [] : [router])];
  return [...hosts.map((host) => host.namespace), switchNamespace];
}

/** The network as a drawing. */
export function drawSegment({ client, router, director, servers, virtual }: SegmentPlan): string {
  const shown = servers.length > 4 ? [...servers.slice(0, 3), servers[servers.length - 1]] : servers;
  const gateway = router === undefined ? [] : [`   router     ${router.segmentSide.v4.address}`, '      │'];
  return [
    `   client     ${client.v4.address}`,
    '      │',
    ...gateway,
    `      ├── director   ${director.v4.address}, VIP ${virtual.v4}:${virtual.port}, direct routing`,
    ...shown.map((server, i) => {
      const gap = shown.length < servers.length && i === 3 ? '      ⋮\n' : '';
      return `${gap}${`      ├── ${server.name}`.padEnd(21)}${server.v4.address}, VIP on lo`;
    }),
  ].join('\n');
}
