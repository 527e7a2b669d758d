// SPDX-License-Identifier: Apache-2.0
// Packets that open connections, chosen so that the rules of random-nft.ts and random-iptables.ts fit some of them. Each
// carries its id in the last 16 bits of its source address.

import { parseMac } from '../../../src/packet/ethernet.ts';
import { internetChecksum, ip, type PacketFields, tcp, udp } from '../frames.ts';
import type { Random } from '../random.ts';
import type { VethPair } from '../veth-lab.ts';

/** Addresses of the namespace. */
export const OWN_4: readonly string[] = ['192.0.2.1', '192.0.2.2', '192.0.2.130', '198.51.100.9'];
export const OWN_6: readonly string[] = ['2001:db8::1', '2001:db8::2', '2001:db8:0:1::8', '2001:db8:9::9'];

/** The first half of sources; the second is the id. */
export const SOURCES_4: readonly string[] = ['10.1', '10.2', '172.16', '203.0'];
export const SOURCES_6: readonly string[] = ['fd00::', 'fd00:0:0:1::', '2001:db8:5::', '2001:db8:6:7::'];

export const PORTS: readonly number[] = [1, 22, 53, 79, 80, 81, 443, 1023, 8080, 8081, 8090, 65535];
export const SENDER_MACS: readonly string[] = ['02:00:00:00:00:01', '02:00:00:00:00:02'];

export interface TestPacket {
  readonly id: number;
  readonly text: string;
  frame(pair: VethPair): Uint8Array;
}

/** A packet of that id, 1 … 65535. */
export function randomPacket(random: Random, id: number): TestPacket {
  const isIpv6 = random.chance(0.5);
  const fields: PacketFields = {
    src: isIpv6 ? `${random.pick(SOURCES_6)}${id.toString(16)}` : `${random.pick(SOURCES_4)}.${id >> 8}.${id & 255}`,
    dst: random.pick(isIpv6 ? OWN_6 : OWN_4),
    sport: random.pick(PORTS),
    dport: random.pick(PORTS),
    ttl: random.pick([1, 32, 64, 255]),
    tos: random.pick([0, 0x20, 0x28, 0x30]),
    payload: new Uint8Array(random.pick([0, 1, 60, 400])),
  };
  const kind = random.pick(['tcp', 'tcp', 'udp', 'sctp'] as const);
  const packet = kind === 'tcp' ? tcp({ ...fields, flags: 'S' }) : kind === 'udp' ? udp(fields) : sctpInit(fields);
  if (isIpv6) {
    // The traffic class lies across the first two bytes.
    packet[0] = 0x60 | ((fields.tos ?? 0) >> 4);
    packet[1] = ((fields.tos ?? 0) << 4) & 0xf0;
  }
  const sender = random.pick(SENDER_MACS);
  return {
    id,
    text:
      `${kind} ${fields.src} ${fields.sport} > ${fields.dst} ${fields.dport} ttl ${fields.ttl} tos ${fields.tos} ` +
      `length ${packet.length} from ${sender}`,
    frame: ({ near }) =>
      Uint8Array.from([...parseMac(near.mac)!, ...parseMac(sender)!, ...(isIpv6 ? [0x86, 0xdd] : [8, 0]), ...packet]),
  };
}

/** An SCTP packet with an INIT chunk; its checksum is nobody's business here, conntrack's check is off. */
function sctpInit(fields: PacketFields): Uint8Array {
  const chunk = [1, 0, 0, 20, 1, 2, 3, 4, 0, 0, 0x80, 0, 0, 1, 0, 1, 9, 9, 9, 9];
  const header = [fields.sport >> 8, fields.sport & 255, fields.dport >> 8, fields.dport & 255, 0, 0, 0, 0, 0, 0, 0, 0];
  const packet = ip(fields, 132, Uint8Array.from([...header, ...chunk]), -1);
  if (packet[0] >>> 4 !== 4) return packet;
  packet.set([0, 0], 10);
  const sum = internetChecksum(packet.subarray(0, 20));
  packet.set([sum >> 8, sum & 255], 10);
  return packet;
}
