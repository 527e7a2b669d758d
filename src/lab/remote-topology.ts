// SPDX-License-Identifier: Apache-2.0
// Builds the network of remote-plan.ts. Servers are only cabled here; what else they need to be servers is the story's.

import type { NetlinkSocket } from '../linux/netlink.ts';
import { addAddress } from '../linux/route/address.ts';
import { changeLink, createBridge } from '../linux/route/link.ts';
import { addRoute, defaultPrefix } from '../linux/route/route.ts';
import { addresses, HOST_DEVICE, type HostPlan, type Side } from './plan.ts';
import { DIRECTOR_NET, type RemotePlan, remoteNamespaces, SERVER_NET } from './remote-plan.ts';
import { cable, prepareNamespace, setTxChecksum, setUpSide, withSocket, writeSysctls } from './topology.ts';

const BRIDGE = 'br0';
const FORWARDING = { 'net.ipv4.ip_forward': '1', 'net.ipv6.conf.all.forwarding': '1' };

/** Makes the network of `plan`; the namespaces must not exist. Whatever was made before an error stays for claim.ts. */
export function buildRemote(plan: RemotePlan): void {
  const { client, servers, director, router, gateway, virtual } = plan;
  for (const namespace of remoteNamespaces(plan)) prepareNamespace(namespace);
  withSocket(plan.switchNamespace, (socket) => {
    createBridge(socket, { name: BRIDGE, multicastSnooping: false });
    const plug = (port: string, namespace: string, device: string): void => {
      cable(socket, { name: port }, namespace, device);
      changeLink(socket, port, { master: BRIDGE, up: true });
    };
    plug('gateway', gateway.namespace, gateway.serverSide.device);
    for (const server of servers) plug(server.name, server.namespace, HOST_DEVICE);
  });
  withSocket(router.namespace, (socket) => {
    cable(socket, { name: router.clientSide.device }, client.namespace, HOST_DEVICE);
    cable(socket, { name: router.directorSide.device }, director.namespace, HOST_DEVICE);
    cable(socket, { name: router.gatewaySide.device }, gateway.namespace, gateway.routerSide.device);
    for (const side of [router.clientSide, router.directorSide, router.gatewaySide]) setUpSide(socket, side);
  });
  withSocket(gateway.namespace, (socket) => {
    for (const side of [gateway.routerSide, gateway.serverSide]) setUpSide(socket, side);
    addDefaultRoutes(socket, router.gatewaySide);
  });
  withSocket(router.namespace, (socket) => addNetworkRoutes(socket, SERVER_NET, gateway.routerSide));
  for (const { namespace } of [router, gateway, director]) writeSysctls(namespace, FORWARDING);

  setUpHost(client, (socket) => addDefaultRoutes(socket, router.clientSide));
  setUpHost(director, (socket) => {
    addDefaultRoutes(socket, router.directorSide);
    addAddress(socket, HOST_DEVICE, virtual.v4, 32);
    addAddress(socket, HOST_DEVICE, virtual.v6, 128, { nodad: true });
  });
  for (const server of servers) {
    setUpHost(server, (socket) => {
      if (plan.serverRoutes === 'all') addDefaultRoutes(socket, gateway.serverSide);
      else addNetworkRoutes(socket, DIRECTOR_NET, gateway.serverSide);
    });
  }
  // XDP on the director's device would see checksums that nobody has finished; so would that of a server.
  for (const host of [client, ...servers]) setTxChecksum(host, false);
  // A client under load: every port, and again soon.
  writeSysctls(client.namespace, { 'net.ipv4.ip_local_port_range': '1024 65535', 'net.ipv4.tcp_tw_reuse': '1' });
}

function setUpHost(host: HostPlan, more: (socket: NetlinkSocket) => void): void {
  withSocket(host.namespace, (socket) => {
    setUpSide(socket, { device: HOST_DEVICE, v4: host.v4, v6: host.v6 });
    more(socket);
  });
}

function addDefaultRoutes(socket: NetlinkSocket, gateway: Side): void {
  addRoute(socket, { ...defaultPrefix(4), gateway: gateway.v4.address });
  addRoute(socket, { ...defaultPrefix(6), gateway: gateway.v6.address });
}

function addNetworkRoutes(socket: NetlinkSocket, net: number, gateway: Side): void {
  for (const family of ['v4', 'v6'] as const) {
    const { address, prefixLength } = addresses(net, 0)[family];
    addRoute(socket, { destination: address, prefixLength, gateway: gateway[family].address });
  }
}
