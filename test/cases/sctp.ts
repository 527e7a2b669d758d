// SPDX-License-Identifier: Apache-2.0
// Packet cases: SCTP through NAT, with its checksum over the ports (RFC 9260 §6.8).

import type { Family } from '../../src/packet/address.ts';
import { CHUNKS, type PacketFields, sctp } from '../support/frames.ts';
import type { PacketCase } from './case.ts';
import { CLIENT, serverAddress, VIP } from './stations.ts';

const VIRTUAL_PORT = 2400;
const CLIENT_PORT = 24400;
const SERVER_PORT = 2401;

const init = (fields: PacketFields): Uint8Array => sctp({ ...fields, chunks: [CHUNKS.INIT] });
const initAck = (fields: PacketFields): Uint8Array => sctp({ ...fields, chunks: [CHUNKS['INIT ACK']] });

function association(family: Family): PacketCase {
  const endpoint = (address: string, port: number): string =>
    family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
  const virtual = endpoint(VIP[family], VIRTUAL_PORT);
  const server = endpoint(serverAddress(1, family), SERVER_PORT);
  const client = endpoint(CLIENT[family], CLIENT_PORT);
  const toVirtual = { src: CLIENT[family], dst: VIP[family], sport: CLIENT_PORT, dport: VIRTUAL_PORT };
  const toServer = { ...toVirtual, dst: serverAddress(1, family), dport: SERVER_PORT, ttl: 63 };
  const answer = { src: serverAddress(1, family), dst: CLIENT[family], sport: SERVER_PORT, dport: CLIENT_PORT };
  const toClient = { ...answer, src: VIP[family], sport: VIRTUAL_PORT, ttl: 63 };
  const bytes = family === 4 ? 40 : 60;
  return {
    description: `an SCTP association is set up through NAT, with a right checksum for the other port, over IPv${family}`,
    configuration: [`-A --sctp-service ${virtual} -s rr`, `-a --sctp-service ${virtual} -r ${server} -m -w 1`],
    steps: [
      { from: 'client', packet: init(toVirtual), expect: { to: 'server 1', packet: init(toServer) } },
      { from: 'server 1', packet: initAck(answer), expect: { to: 'client', packet: initAck(toClient) } },
    ],
    counters: [`SCTP ${virtual} 1 1 1 ${bytes} ${bytes}`, `-> ${server} 1 1 1 ${bytes} ${bytes}`],
    connections: [`SCTP 01:01 C-SENT ${client} ${virtual} ${server}`],
  };
}

export const SCTP_CASES: readonly PacketCase[] = [
  association(4),
  association(6),
  {
    description: 'an SCTP packet that opens no association is the kernel’s',
    configuration: [
      '-A --sctp-service 10.0.0.1:2410 -s rr',
      '-a --sctp-service 10.0.0.1:2410 -r 192.168.1.1:2410 -m -w 1',
    ],
    steps: [
      {
        from: 'client',
        packet: sctp({ src: CLIENT[4], dst: VIP[4], sport: 24410, dport: 2410, chunks: [CHUNKS.SACK] }),
        expect: { to: 'kernel' },
      },
    ],
    // What a kernel says to it depends on whether it has SCTP.
    only: 'engine',
    counters: ['SCTP 10.0.0.1:2410 0 0 0 0 0', '-> 192.168.1.1:2410 0 0 0 0 0'],
    connections: [],
  },
];
