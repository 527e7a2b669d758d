// SPDX-License-Identifier: Apache-2.0
// One client's way through the director to one server, as the tables speak of it: packets of both directions with what
// NAT must make of them, and the rows of ipvsadm that belong to it.

import type { Family } from '../../src/packet/address.ts';
import { type PacketFields, type TcpFields, tcp, type UdpFields, udp } from '../support/frames.ts';
import type { Delivery, PacketStep } from './case.ts';
import { CLIENT, serverAddress, VIP } from './stations.ts';
import { asItIs, type Variant } from './variants.ts';

export interface Flow {
  readonly family: Family;
  readonly protocol: 'tcp' | 'udp';
  readonly virtualPort: number;
  readonly clientPort: number;
  readonly server: number;
  readonly serverPort: number;
}

/** What a packet of a flow has besides its addresses and ports; `flags` are TCP's. */
export interface Contents extends Partial<Omit<TcpFields & UdpFields, 'src' | 'dst' | 'sport' | 'dport'>> {}

/** A flow to server 1 from a client port that belongs to this virtual port alone. */
export function flow(
  kind: `${'tcp' | 'udp'}${Family}`,
  virtualPort: number,
  more: Partial<Pick<Flow, 'clientPort' | 'server' | 'serverPort'>> = {},
): Flow {
  return {
    protocol: kind.startsWith('tcp') ? 'tcp' : 'udp',
    family: kind.endsWith('4') ? 4 : 6,
    virtualPort,
    clientPort: 20000 + virtualPort,
    server: 1,
    serverPort: 8080,
    ...more,
  };
}

/** A packet from the client to the virtual service. */
export function requestPacket(at: Flow, contents: Contents = {}): Uint8Array {
  return packet(at, contents, {
    src: CLIENT[at.family],
    dst: VIP[at.family],
    sport: at.clientPort,
    dport: at.virtualPort,
  });
}

/** A packet from the server to the client. */
export function replyPacket(at: Flow, contents: Contents = {}): Uint8Array {
  return packet(at, contents, {
    src: serverAddress(at.server, at.family),
    dst: CLIENT[at.family],
    sport: at.serverPort,
    dport: at.clientPort,
  });
}

/** A packet from the client that reaches the server; a variant is made both of what is sent and of what is expected. */
export function request(at: Flow, contents: Contents = {}, variant: Variant = asItIs): PacketStep {
  const dst = serverAddress(at.server, at.family);
  const out = packet(at, forwarded(contents), {
    src: CLIENT[at.family],
    dst,
    sport: at.clientPort,
    dport: at.serverPort,
  });
  const expect: Delivery = { to: `server ${at.server}`, packet: variant(out) };
  return { from: 'client', packet: variant(requestPacket(at, contents)), expect };
}

/** A packet from the server that reaches the client, from the virtual service. */
export function reply(at: Flow, contents: Contents = {}, variant: Variant = asItIs): PacketStep {
  const src = VIP[at.family];
  const out = packet(at, forwarded(contents), {
    src,
    dst: CLIENT[at.family],
    sport: at.virtualPort,
    dport: at.clientPort,
  });
  return {
    from: `server ${at.server}`,
    packet: variant(replyPacket(at, contents)),
    expect: { to: 'client', packet: variant(out) },
  };
}

/** The kernel's reset to a TCP segment for the virtual address that nobody waits for (RFC 9293 §3.10.7.1). */
export function kernelReset(at: Flow, contents: { flags: 'R' | 'RA'; seq?: number; ack?: number }): Delivery {
  const ends = { src: VIP[at.family], dst: CLIENT[at.family], sport: at.virtualPort, dport: at.clientPort };
  return { to: 'client', packet: tcp({ seq: 0, ...contents, ...ends, id: 0, window: 0 }) };
}

/** `-A` and `-a` lines: the service of a flow with server 1, 2, … of these weights. */
export function service(at: Flow, scheduler = 'rr', weights: readonly number[] = [1]): string[] {
  const name = `${at.protocol === 'tcp' ? '-t' : '-u'} ${virtualName(at)}`;
  const servers = weights.map((weight, i) => `-a ${name} -r ${serverName({ ...at, server: i + 1 })} -m -w ${weight}`);
  return [`-A ${name} -s ${scheduler}`, ...servers];
}

/** `--stats` rows of a service with one server: connections, packets in and out, bytes in and out. */
export function stats(at: Flow, numbers: string): string[] {
  return [serviceStats(at, numbers), serverStats(at, numbers)];
}

export function serviceStats(at: Flow, numbers: string): string {
  return `${at.protocol.toUpperCase()} ${virtualName(at)} ${numbers}`;
}

export function serverStats(at: Flow, numbers: string): string {
  return `-> ${serverName(at)} ${numbers}`;
}

/** The `-Lnc` row of a flow. */
export function connection(at: Flow, expires: string, state: string): string {
  const client = endpoint(CLIENT[at.family], at.clientPort);
  return `${at.protocol.toUpperCase()} ${expires} ${state} ${client} ${virtualName(at)} ${serverName(at)}`;
}

/** The virtual service as ipvsadm names it. */
export function virtualName(at: Flow): string {
  return endpoint(VIP[at.family], at.virtualPort);
}

/** The real server as ipvsadm names it. */
export function serverName(at: Flow): string {
  return endpoint(serverAddress(at.server, at.family), at.serverPort);
}

function packet(at: Flow, contents: Contents, ends: Pick<PacketFields, 'src' | 'dst' | 'sport' | 'dport'>): Uint8Array {
  if (at.protocol === 'udp') return udp({ ...contents, ...ends });
  return tcp({ flags: 'A', ...contents, ...ends });
}

/** What NAT forwards: one hop less, and always with a checksum. */
function forwarded(contents: Contents): Contents {
  return { ...contents, ttl: (contents.ttl ?? 64) - 1, checksum: true };
}

function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
