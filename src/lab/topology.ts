// SPDX-License-Identifier: Apache-2.0
// Builds the NAT lab's network out of namespaces, veth pairs and a bridge, by asking the kernel directly: no `ip`, no
// `ethtool`. The bridge stands in a namespace of its own, so that the director has one device on either side, as a real
// one has. claim.ts takes it all down again.

import { setOffloads } from '../linux/ethtool.ts';
import type { NetlinkSocket } from '../linux/netlink.ts';
import { createNamespace, inNamespace } from '../linux/netns.ts';
import { addAddress } from '../linux/route/address.ts';
import { changeLink, createBridge, createVeth } from '../linux/route/link.ts';
import { addRoute, defaultPrefix } from '../linux/route/route.ts';
import { openRouteSocket } from '../linux/route/route-socket.ts';
import { writeSysctl } from '../linux/sysctl.ts';
import { HOST_DEVICE, type HostPlan, type NatPlan, namespacesOf, type Side } from './plan.ts';

const BRIDGE = 'br0';
/** The switch's port towards the director. */
const UPLINK = 'director';

/** Makes the network of `plan`; the namespaces must not exist. Whatever was made before an error stays for claim.ts. */
export function buildNat(plan: NatPlan): void {
  for (const namespace of namespacesOf(plan)) prepareNamespace(namespace);
  const { director, client, servers, switchNamespace } = plan;
  withSocket(switchNamespace, (socket) => {
    createBridge(socket, { name: BRIDGE, multicastSnooping: false });
    cable(socket, { name: UPLINK }, director.namespace, director.serverSide.device);
    for (const server of servers) cable(socket, { name: server.name }, server.namespace, HOST_DEVICE);
    for (const port of [UPLINK, ...servers.map((server) => server.name)]) {
      changeLink(socket, port, { master: BRIDGE, up: true });
    }
  });
  withSocket(director.namespace, (socket) => {
    cable(socket, { name: director.clientSide.device }, client.namespace, HOST_DEVICE);
    setUpSide(socket, director.clientSide);
    setUpSide(socket, director.serverSide);
    const { device } = director.clientSide;
    addAddress(socket, device, plan.virtual.v4, 32);
    addAddress(socket, device, plan.virtual.v6, 128, { nodad: true });
  });
  writeSysctls(director.namespace, { 'net.ipv4.ip_forward': '1', 'net.ipv6.conf.all.forwarding': '1' });
  setUpHost(client, director.clientSide);
  for (const server of servers) setUpHost(server, director.serverSide);
  // A client under load: every port, and again soon.
  writeSysctls(client.namespace, { 'net.ipv4.ip_local_port_range': '1024 65535', 'net.ipv4.tcp_tw_reuse': '1' });
}

/** A namespace with its loopback device up. */
export function prepareNamespace(name: string): void {
  createNamespace(name);
  // Addresses are usable at once: nobody else is on these wires.
  writeSysctls(name, { 'net.ipv6.conf.all.accept_dad': '0', 'net.ipv6.conf.default.accept_dad': '0' });
  withSocket(name, (socket) => changeLink(socket, 'lo', { up: true }));
}

/** Joins a device of the socket's namespace with one of another, which is down. */
export function cable(socket: NetlinkSocket, end: { readonly name: string }, namespace: string, device: string): void {
  createVeth(socket, end, { name: device, namespace });
}

/** Gives the device its addresses and switches it on. */
export function setUpSide(socket: NetlinkSocket, side: Side): void {
  addAddress(socket, side.device, side.v4.address, side.v4.prefixLength);
  addAddress(socket, side.device, side.v6.address, side.v6.prefixLength, { nodad: true });
  changeLink(socket, side.device, { up: true });
}

/** Addresses of a host, and the director as its gateway. */
function setUpHost(host: HostPlan, gateway: Side): void {
  withSocket(host.namespace, (socket) => {
    setUpSide(socket, { device: HOST_DEVICE, v4: host.v4, v6: host.v6 });
    addRoute(socket, { ...defaultPrefix(4), gateway: gateway.v4.address });
    addRoute(socket, { ...defaultPrefix(6), gateway: gateway.v6.address });
  });
  // A veth passes packets on with checksums that nobody has finished; XDP on the director's end would see those.
  setTxChecksum(host, false);
}

/** Whether the host's device leaves checksums to whoever is behind it, as virtual devices do by default. */
export function setTxChecksum(host: HostPlan, offload: boolean): void {
  inNamespace(host.namespace, () => setOffloads(HOST_DEVICE, { txChecksum: offload }));
}

/** Writes sysctls of the namespace. */
export function writeSysctls(namespace: string, values: Readonly<Record<string, string>>): void {
  inNamespace(namespace, () => {
    for (const [name, value] of Object.entries(values)) writeSysctl(name, value);
  });
}

/** Runs `body` with rtnetlink of the namespace. */
export function withSocket(namespace: string, body: (socket: NetlinkSocket) => void): void {
  const socket = openRouteSocket(namespace);
  try {
    body(socket);
  } finally {
    socket.close();
  }
}
