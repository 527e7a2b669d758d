// SPDX-License-Identifier: Apache-2.0
// Tunnelled packets for tests. Golden ones are what a real kernel's IPVS (6.1.176) put on the wire; others are wrapped by
// hand, independently of the code under test.

import { fromHex, internetChecksum, ip, udp } from './frames.ts';

/** A packet on its way to a real server, and what the client had sent but for the TTL. */
export interface GoldenTunnel {
  readonly name: string;
  readonly type: 'ipip' | 'gue' | 'gre';
  readonly outer: Uint8Array;
  readonly inner: Uint8Array;
}

const IN_V4 = (port: string, checksum: string): string =>
  `45000028000140003f0627c70a0700010a0000010fa0${port}000003e8000000005002ffff${checksum}0000`;
const IN_V6 = (port: string, checksum: string): string =>
  `6b9123450014063f20010db800000000000000000000000c20010db80000000000000000000000010fa0${port}000003e8000000005002ffff${checksum}0000`;
const OUT_V6 = (length: string, next: string): string =>
  `6b900000${length}${next}3f20010db800010000000000000000025420010db8000100000000000000000010`;

/** `ipvsadm -a … -i` with each kind of tunnel: VIP 10.0.0.1 or 2001:db8::1, server 192.168.1.1 or 2001:db8:1::10, GUE port 6080. */
export const GOLDEN_TUNNELS: readonly GoldenTunnel[] = [
  golden('IPIP', 'ipip', '4500003c000040003f04b76ec0a801fec0a80101', IN_V4('0837', '801b')),
  golden('GUE', 'gue', '45000048000040003f11b755c0a801fec0a801019be717c00034000000040000', IN_V4('0838', '801a')),
  golden(
    'GUE with a UDP checksum',
    'gue',
    '45000048000040003f11b755c0a801fec0a80101edac17c00034849500040000',
    IN_V4('0839', '8019'),
  ),
  golden('GRE', 'gre', '45000040000040003f2fb73fc0a801fec0a8010100000800', IN_V4('083a', '8018')),
  golden(
    'GRE with a checksum',
    'gre',
    '45000044000040003f2fb73bc0a801fec0a801018000080000000000',
    IN_V4('083b', '8017'),
  ),
  golden('IPv6 in IPv6', 'ipip', OUT_V6('003c', '29'), IN_V6('0bbb', '3521')),
  golden('GUE over IPv6', 'gue', `${OUT_V6('0048', '11')}d1f717c00048000000290000`, IN_V6('0bbc', '3520')),
  golden('GRE over IPv6', 'gre', `${OUT_V6('0040', '2f')}000086dd`, IN_V6('0bbd', '351f')),
  golden('IPv6 in IPv4', 'ipip', '45b90050d13e00003f29253ec0a801fec0a80101', IN_V6('0bbe', '351e')),
  golden(
    'IPv4 in IPv6',
    'ipip',
    OUT_V6('0028', '04'),
    '45b90028000140003f06270e0a0700010a0000010fa00bbf000003e8000000005002ffff7c930000',
  ),
];

function golden(name: string, type: GoldenTunnel['type'], outer: string, inner: string): GoldenTunnel {
  return { name, type, outer: fromHex(outer + inner), inner: fromHex(inner) };
}

export interface TunnelEnds {
  readonly src: string;
  readonly dst: string;
  readonly tos?: number;
}

/** A tunnel by its name, or by its protocol and all bytes of its header. */
export type TunnelHeader =
  | GoldenTunnel['type']
  | typeof GRE_WITH_CHECKSUM
  | { readonly protocol: number; readonly header: Uint8Array };

/** `inner` in a tunnel. GUE goes to port 6080; `remote` leaves its checksum to the receiver (remote checksum offload). */
export function wrap(
  tunnel: TunnelHeader,
  ends: TunnelEnds,
  inner: Uint8Array,
  remote?: { readonly start: number; readonly offset: number },
): Uint8Array {
  const isIpv6 = inner[0] >>> 4 === 6;
  const fields = { ...ends, sport: 50000, dport: 6080 };
  if (tunnel === 'ipip') return ip(fields, isIpv6 ? 41 : 4, inner, -1);
  if (tunnel === 'gre')
    return ip(fields, 47, Uint8Array.from([0, 0, ...(isIpv6 ? [0x86, 0xdd] : [8, 0]), ...inner]), -1);
  if (tunnel === GRE_WITH_CHECKSUM) return ip(fields, 47, greWithChecksum(inner), -1);
  if (tunnel !== 'gue') return ip(fields, tunnel.protocol, Uint8Array.from([...tunnel.header, ...inner]), -1);
  const protocol = isIpv6 ? 41 : 4;
  const options = remote === undefined ? [] : [0x80, 0, 0, 0, ...be16(remote.start), ...be16(remote.offset)];
  const flags = remote === undefined ? 0 : 1;
  const header = [options.length / 4, protocol, 0, flags, ...options];
  return udp({ ...fields, checksum: false, payload: Uint8Array.from([...header, ...inner]) });
}

/** GRE with a checksum over IPv4, computed. */
export const GRE_WITH_CHECKSUM = 'gre-checksum';

/** The packet with the checksum of its TCP or UDP as a sender leaves it to the receiver: the sum of the pseudo-header. */
export function leaveOpen(packet: Uint8Array): Uint8Array {
  const open = packet.slice();
  const isIpv6 = packet[0] >>> 4 === 6;
  const protocol = packet[isIpv6 ? 6 : 9];
  // What the kernel itself says on a device, router solicitations for one, has no place for it.
  if (protocol !== 6 && protocol !== 17) return packet;
  const start = isIpv6 ? 40 : 20;
  const addresses = isIpv6 ? packet.subarray(8, 40) : packet.subarray(12, 20);
  const pseudo = [...addresses, ...be16(packet.length - start), 0, protocol];
  open.set(be16(~internetChecksum(Uint8Array.from(pseudo)) & 0xffff), start + (protocol === 17 ? 6 : 16));
  return open;
}

function greWithChecksum(inner: Uint8Array): Uint8Array {
  const packet = Uint8Array.from([0x80, 0, 8, 0, 0, 0, 0, 0, ...inner]);
  packet.set(be16(internetChecksum(packet)), 4);
  return packet;
}

function be16(value: number): number[] {
  return [value >>> 8, value & 255];
}
