// SPDX-License-Identifier: Apache-2.0
// Builds the network of segment-plan.ts. Director, servers and the router (or the client itself) are joined by a bridge
// in a namespace of its own. Real servers are only cabled here: what makes them servers is `ballast realserver`.

import { addAddress } from '../linux/route/address.ts';
import { changeLink, createBridge } from '../linux/route/link.ts';
import { addRoute, defaultPrefix } from '../linux/route/route.ts';
import { HOST_DEVICE, type HostPlan } from './plan.ts';
import { type RouterPlan, type SegmentPlan, segmentNamespaces } from './segment-plan.ts';
import { cable, prepareNamespace, setTxChecksum, setUpSide, withSocket, writeSysctls } from './topology.ts';

const BRIDGE = 'br0';

/** Makes the network of `plan`; the namespaces must not exist. Whatever was made before an error stays for claim.ts. */
export function buildSegment(plan: SegmentPlan): void {
  const { client, servers, director, router, virtual } = plan;
  for (const namespace of segmentNamespaces(plan)) prepareNamespace(namespace);
  withSocket(plan.switchNamespace, (socket) => {
    createBridge(socket, { name: BRIDGE, multicastSnooping: false });
    const plug = (port: string, namespace: string, device: string): void => {
      cable(socket, { name: port }, namespace, device);
      changeLink(socket, port, { master: BRIDGE, up: true });
    };
    plug(director.name, director.namespace, HOST_DEVICE);
    for (const server of servers) plug(server.name, server.namespace, HOST_DEVICE);
    if (router === undefined) plug(client.name, client.namespace, HOST_DEVICE);
    else plug('router', router.namespace, router.segmentSide.device);
  });
  if (router !== undefined) setUpRouter(router, client);
  for (const host of [client, director, ...servers]) setUpHost(host, gatewayOf(plan, host));
  withSocket(director.namespace, (socket) => {
    addAddress(socket, HOST_DEVICE, virtual.v4, 32);
    addAddress(socket, HOST_DEVICE, virtual.v6, 128, { nodad: true });
  });
  writeSysctls(director.namespace, { 'net.ipv4.ip_forward': '1', 'net.ipv6.conf.all.forwarding': '1' });
  // XDP on the director's device would see checksums that nobody has finished.
  for (const host of [client, ...servers]) setTxChecksum(host, false);
  // A client under load: every port, and again soon.
  writeSysctls(client.namespace, { 'net.ipv4.ip_local_port_range': '1024 65535', 'net.ipv4.tcp_tw_reuse': '1' });
}

function gatewayOf({ client, router }: SegmentPlan, host: HostPlan): RouterPlan['clientSide'] | undefined {
  return host === client ? router?.clientSide : router?.segmentSide;
}

function setUpHost(host: HostPlan, gateway: RouterPlan['clientSide'] | undefined): void {
  withSocket(host.namespace, (socket) => {
    setUpSide(socket, { device: HOST_DEVICE, v4: host.v4, v6: host.v6 });
    if (gateway === undefined) return;
    addRoute(socket, { ...defaultPrefix(4), gateway: gateway.v4.address });
    addRoute(socket, { ...defaultPrefix(6), gateway: gateway.v6.address });
  });
}

function setUpRouter(router: RouterPlan, client: HostPlan): void {
  withSocket(router.namespace, (socket) => {
    cable(socket, { name: router.clientSide.device }, client.namespace, HOST_DEVICE);
    setUpSide(socket, router.clientSide);
    setUpSide(socket, router.segmentSide);
  });
  writeSysctls(router.namespace, { 'net.ipv4.ip_forward': '1', 'net.ipv6.conf.all.forwarding': '1' });
}
