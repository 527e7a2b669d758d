// SPDX-License-Identifier: Apache-2.0
// Packets of the director's tunnels as the oracle sees them: which they are, and what in their outer headers may differ
// between the two sides. Everything else in them is compared byte for byte.

import { addressBytes, checksumFault, fromHex, hex, internetChecksum } from '../support/frames.ts';
import { SIDES } from './world.ts';

/** UDP ports to which GUE goes. */
export const GUE_PORTS: readonly number[] = [6080, 6081];
const IPIP = [4, 41];
const GRE = 47;
const UDP = 17;
const ETH_HLEN = 14;
const NEXT_FRAGMENT = 44;
const IPV6_HLEN = 40;
const GUE_LENGTH = 12;
/** Source ports that the kernel may choose (net.ipv4.ip_local_port_range). */
const FIRST_PORT = 32768;
const LAST_PORT = 60999;
const PORTED = [6, 17, 132];

/** Source ports of GUE by the flow inside. */
export type FlowPorts = Map<string, number>;

/** Identifications of one step's packets, by the order in which they were first seen. */
export type Identifications = Map<number, number>;

/** Whether the director made this packet around another one. */
export function isTunnelled(packet: Uint8Array): boolean {
  const isIpv4 = packet[0] >>> 4 === 4;
  const own = hex(Uint8Array.from(addressBytes(SIDES.back.address[isIpv4 ? 4 : 6])));
  if (hex(isIpv4 ? packet.subarray(12, 16) : packet.subarray(8, 24)) !== own) return false;
  const { protocol, contents, offset } = layoutOf(packet);
  if (IPIP.includes(protocol) || protocol === GRE) return true;
  return protocol === UDP && (offset > 0 || GUE_PORTS.includes(word(packet, contents + 2)));
}

/**
 * The tunnel packet without what may differ, wiped out in place, and a word about what is wrong with that: the identification
 * where it may be cut into fragments, with the checksum over it; GUE's source port, which is a hash with a random seed, but
 * the same for all of a flow, and the checksum over that.
 */
export function wipeTunnel(packet: Uint8Array, flows: FlowPorts, ids: Identifications): string {
  const isIpv4 = packet[0] >>> 4 === 4;
  const faults: string[] = [];
  const { protocol, contents, offset, isFragment } = layoutOf(packet);
  const isGue = protocol === UDP && offset === 0;
  if (isIpv4 && internetChecksum(packet.subarray(0, 20)) !== 0) faults.push('IPv4 header checksum');
  if (isGue) {
    const hasChecksum = word(packet, contents + 6) !== 0;
    const fault = isFragment || !hasChecksum ? undefined : checksumFault(packet);
    if (fault !== undefined) faults.push(fault);
    const port = word(packet, contents);
    if (port < FIRST_PORT || port > LAST_PORT) faults.push(`source port ${port}`);
    const flow = flowOf(packet.subarray(contents + GUE_LENGTH));
    if (flow !== undefined) {
      const known = flows.get(flow) ?? port;
      flows.set(flow, known);
      if (known !== port) faults.push('another source port than the flow had');
    }
    packet.fill(0, contents, contents + 2);
    if (hasChecksum) packet.fill(0xff, contents + 6, contents + 8);
  }
  if (isIpv4 && (packet[6] & 0x40) === 0) wipeIdentification(packet, 4, ids);
  if (!isIpv4) wipeFragment(packet, ids);
  return faults.map((each) => ` (wrong ${each})`).join('');
}

/** An IPv6 fragment has a new identification when the director cuts, which the kernel chooses at random. */
export function wipeFragment(packet: Uint8Array, ids: Identifications): void {
  if (packet[0] >>> 4 === 6 && packet[6] === NEXT_FRAGMENT) wipeIdentification(packet, IPV6_HLEN + 6, ids);
}

/** Puts a small number in its place, so that fragments of one packet still have to agree. */
function wipeIdentification(packet: Uint8Array, at: number, ids: Identifications): void {
  const isIpv6 = packet[0] >>> 4 === 6;
  const id = (isIpv6 ? word(packet, at - 2) * 0x10000 : 0) + word(packet, at);
  const known = ids.get(id) ?? ids.size + 1;
  ids.set(id, known);
  if (isIpv6) packet.fill(0, at - 2, at);
  else packet.fill(0, 10, 12);
  packet[at] = 0;
  packet[at + 1] = known;
}

interface Layout {
  readonly protocol: number;
  /** Where what is behind the IP headers begins. */
  readonly contents: number;
  /** Of a fragment. */
  readonly offset: number;
  readonly isFragment: boolean;
}

function layoutOf(packet: Uint8Array): Layout {
  if (packet[0] >>> 4 === 4) {
    const place = word(packet, 6);
    return { protocol: packet[9], contents: 20, offset: place & 0x1fff, isFragment: (place & 0x3fff) !== 0 };
  }
  if (packet[6] !== NEXT_FRAGMENT) return { protocol: packet[6], contents: IPV6_HLEN, offset: 0, isFragment: false };
  const offset = word(packet, IPV6_HLEN + 2) >>> 3;
  return { protocol: packet[IPV6_HLEN], contents: IPV6_HLEN + 8, offset, isFragment: true };
}

/** Addresses and ports, for packets that have some. */
function flowOf(packet: Uint8Array): string | undefined {
  const isIpv4 = packet[0] >>> 4 === 4;
  const protocol = isIpv4 ? packet[9] : packet[6];
  if (!PORTED.includes(protocol)) return undefined;
  const header = isIpv4 ? (packet[0] & 15) * 4 : 40;
  return hex(packet.subarray(isIpv4 ? 12 : 8, header)) + hex(packet.subarray(header, header + 4));
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/**
 * Packets as `side frame`, with tunnel packets that are in fragments joined: around a packet that came in fragments the kernel's
 * are now whole, now cut where the packet inside was, while Ballast cuts them as long as the fragments that came.
 */
export function joinTunnels(shown: readonly string[]): string[] {
  const joined: string[] = [];
  let end = 0;
  for (const each of shown) {
    const [, side, frame, fault] = /^(\S+) ([0-9a-f]+)(.*)$/s.exec(each) ?? [];
    const bytes = frame === undefined ? new Uint8Array() : fromHex(frame);
    const packet = bytes.subarray(ETH_HLEN);
    if (packet.length === 0 || !isTunnelled(packet)) {
      joined.push(each);
      end = 0;
      continue;
    }
    const { contents, offset, protocol } = layoutOf(packet);
    const start = offset * 8;
    // A piece that does not go on where the last one ended stands by itself.
    if (start === 0 || start !== end) {
      const ethernet = hex(bytes.subarray(0, ETH_HLEN));
      joined.push(`${side} tunnel from byte ${start}: ${ethernet}${hex(uncutHeader(packet, protocol))} `);
    }
    joined[joined.length - 1] += `${hex(packet.subarray(contents))}${fault}`;
    end = start + packet.length - contents;
  }
  return joined;
}

/** The outer header without what cutting changes in it. */
function uncutHeader(packet: Uint8Array, protocol: number): Uint8Array {
  if (packet[0] >>> 4 === 4) {
    const head = packet.slice(0, 20);
    head.fill(0, 2, 4);
    head.fill(0, 6, 8);
    return head;
  }
  const head = packet.slice(0, IPV6_HLEN);
  head.fill(0, 4, 6);
  head[6] = protocol;
  return head;
}

/** Whether the packet is a fragment. */
export function isFragment(packet: Uint8Array): boolean {
  return layoutOf(packet).isFragment;
}
