// SPDX-License-Identifier: Apache-2.0
// Packets of the director's tunnels as the oracle sees them: which they are, and what in their outer headers may differ
// between the two sides. Everything else in them is compared byte for byte.

import { addressBytes, checksumFault, hex } from '../support/frames.ts';
import { SIDES } from './world.ts';

/** UDP ports to which GUE goes. */
export const GUE_PORTS: readonly number[] = [6080, 6081];
const IPIP = [4, 41];
const GRE = 47;
const UDP = 17;
const GUE_LENGTH = 12;
/** Source ports that the kernel may choose (net.ipv4.ip_local_port_range). */
const FIRST_PORT = 32768;
const LAST_PORT = 60999;
const PORTED = [6, 17, 132];

/** Source ports of GUE by the flow inside. */
export type FlowPorts = Map<string, number>;

/** Whether the director made this packet around another one. */
export function isTunnelled(packet: Uint8Array): boolean {
  const isIpv4 = packet[0] >>> 4 === 4;
  const own = hex(Uint8Array.from(addressBytes(SIDES.back.address[isIpv4 ? 4 : 6])));
  if (hex(isIpv4 ? packet.subarray(12, 16) : packet.subarray(8, 24)) !== own) return false;
  const protocol = isIpv4 ? packet[9] : packet[6];
  if (IPIP.includes(protocol) || protocol === GRE) return true;
  return protocol === UDP && GUE_PORTS.includes(word(packet, (isIpv4 ? 20 : 40) + 2));
}

/**
 * The tunnel packet without what may differ, wiped out in place, and a word about what is wrong with that: the identification
 * where it may be cut into fragments, with the checksum over it; GUE's source port, which is a hash with a random seed, but
 * the same for all of a flow, and the checksum over that.
 */
export function wipeTunnel(packet: Uint8Array, flows: FlowPorts): string {
  const isIpv4 = packet[0] >>> 4 === 4;
  const faults: string[] = [];
  const outer = isIpv4 ? 20 : 40;
  const fault = checksumFault(packet);
  const isGue = (isIpv4 ? packet[9] : packet[6]) === UDP;
  if (fault !== undefined && (isIpv4 || isGue) && fault !== 'UDP without checksum' && !isUnknown(fault))
    faults.push(fault);
  if (isGue) {
    const inner = packet.subarray(outer + GUE_LENGTH);
    const port = word(packet, outer);
    if (port < FIRST_PORT || port > LAST_PORT) faults.push(`source port ${port}`);
    const flow = flowOf(inner);
    if (flow !== undefined) {
      const known = flows.get(flow) ?? port;
      flows.set(flow, known);
      if (known !== port) faults.push(`another source port than the flow's last`);
    }
    packet.fill(0, outer, outer + 2);
    if (word(packet, outer + 6) !== 0) packet.fill(0xff, outer + 6, outer + 8);
  }
  if (isIpv4 && (packet[6] & 0x40) === 0) {
    packet.fill(0, 4, 6);
    packet.fill(0, 10, 12);
  }
  return faults.map((each) => ` (wrong ${each})`).join('');
}

/** checksumFault takes any protocol for one with a checksum. */
function isUnknown(fault: string): boolean {
  return fault.startsWith('checksum of') && fault !== `checksum of ${UDP}`;
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
