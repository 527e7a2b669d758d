// SPDX-License-Identifier: Apache-2.0
// ICMP errors that a real kernel's IPVS (6.1) sent about packets it could not forward, as far as they were captured: outer
// header, error and the beginning of the packet it is about. Identifications, and the checksum over them, are the kernel's own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumFault, fromHex, hex, internetChecksum } from '../../support/frames.ts';
import { TestMachine } from '../../support/machine.ts';
import { TestDirector } from '../../support/test-director.ts';

interface Golden {
  readonly name: string;
  readonly method: 'dr' | 'tun';
  readonly mtu: number;
  /** Bytes of the packet. */
  readonly sent: number;
  /** Bytes of the error. */
  readonly length: number;
  /** Its beginning, of a header and 48 bytes or 76. */
  readonly error: string;
}

const X = '78'.repeat(8);
const ERRORS: readonly Golden[] = [
  {
    name: 'IPv4 direct routing, too long for the device',
    method: 'dr',
    mtu: 1000,
    sent: 0x4d8,
    length: 576,
    error: `45c0024023530000400140a20a0000010a0700010304e4b9000003e8450004d8000140003f0623170a0700010a0000010fa00836000003e8000000005010ffff21040000${X}`,
  },
  {
    name: 'IPv4 tunnel, too long for the device less the header',
    method: 'tun',
    mtu: 1000,
    sent: 0x3f2,
    length: 576,
    error: `45c00240235b00004001409a0a0000010a0700010304c5c9000003d4450003f2000140003f0623fd0a0700010a0000010fa00837000003e8000000005010ffff40070000${X}`,
  },
  {
    name: 'IPv6 direct routing, too long for the device',
    method: 'dr',
    mtu: 1400,
    sent: 1460,
    length: 1280,
    error: `6000000004d83a4020010db800000000000000000000000120010db800000000000000000000000c0200d7620000057860000000058c063f20010db800000000000000000000000c20010db80000000000000000000000010fa00bba000003e8000000005010ffffc6320000${X}`,
  },
  {
    name: 'IPv6 tunnel, too long for the device less the header',
    method: 'tun',
    mtu: 1400,
    sent: 1380,
    length: 1280,
    error: `6000000004d83a4020010db800000000000000000000000120010db800000000000000000000000c020004b80000055060000000053c063f20010db800000000000000000000000c20010db80000000000000000000000010fa00bbb000003e8000000005010ffff99540000${X}`,
  },
];

for (const golden of ERRORS) {
  test(golden.name, () => {
    const expected = fromHex(golden.error);
    const isIpv4 = expected[0] >>> 4 === 4;
    const header = isIpv4 ? 20 : 40;
    const host = new TestMachine(['192.168.1.254', '2001:db8:1::254', '10.0.0.1', '2001:db8::1']);
    host.mtu = golden.mtu;
    const lab = new TestDirector({ host });
    const packet = sentPacket(expected.subarray(header + 8), golden.sent, isIpv4);
    const port = (packet[header + 2] << 8) | packet[header + 3];
    const service = lab.addService(isIpv4 ? `tcp:10.0.0.1:${port}` : `tcp:[2001:db8::1]:${port}`);
    const server = isIpv4 ? `192.168.1.1:${port}` : `[2001:db8:1::10]:${port}`;
    lab.addServer(service, server, 1, { method: golden.method });
    lab.sysctl('sloppy_tcp', 1);
    const answer = lab.packet(packet).packet!;
    assert.equal(answer.length, golden.length);
    assert.equal(checksumFault(answer), undefined);
    const begin = answer.slice(0, expected.length);
    if (isIpv4) {
      for (const at of [4, 5, 10, 11]) begin[at] = expected[at];
    }
    assert.equal(hex(begin), hex(expected));
  });
}

/** What the client sent: what the error shows of it, with its rest, and the hop that was counted. */
function sentPacket(shown: Uint8Array, length: number, isIpv4: boolean): Uint8Array {
  const packet = new Uint8Array(length).fill(0x78);
  packet.set(shown);
  packet[isIpv4 ? 8 : 7]++;
  if (isIpv4) {
    packet.set([0, 0], 10);
    const sum = internetChecksum(packet.subarray(0, 20));
    packet.set([sum >>> 8, sum & 255], 10);
  }
  return packet;
}
