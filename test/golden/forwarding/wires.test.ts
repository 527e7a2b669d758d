// SPDX-License-Identifier: Apache-2.0
// The director forwards as the kernel did, byte for byte, by every method. What the kernel draws at random (identifications,
// GUE's source port) and what it left to the network card (tunnels' checksums) is checked to be sound instead.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, internetChecksum } from '../../support/frames.ts';
import { machine } from '../../support/machine.ts';
import { TestDirector } from '../../support/test-director.ts';
import { WIRES, type Wire } from './wires.ts';

const HOST = machine('192.168.1.254', '2001:db8:1::254', '10.0.0.1', '2001:db8::1');

for (const wire of WIRES) {
  test(`${wire.name}: as the kernel sends it`, () => {
    const lab = new TestDirector({ host: HOST });
    const service = lab.addService(wire.service);
    lab.addServer(service, wire.server, 1, {
      method: wire.method,
      ...(wire.tunnel && { tunnel: wire.tunnel }),
    });
    const { verdict, packet } = lab.packet(fromHex(wire.request));
    assert.equal(verdict, 'forward');
    const expected = fromHex(wire.forwarded);
    const masked = packet!.slice();
    for (const [at, length] of unsteady(wire, packet!)) masked.set(expected.subarray(at, at + length), at);
    assert.deepEqual(masked, expected);
    if (wire.reply === undefined) return;
    assert.deepEqual(lab.packet(fromHex(wire.reply)).packet, fromHex(wire.returned!));
  });
}

/** Places of the packet that need not be the kernel's, each found to be good. */
function unsteady({ tunnel }: Wire, packet: Uint8Array): [at: number, length: number][] {
  const isIpv4 = packet[0] >>> 4 === 4;
  const header = isIpv4 ? 20 : 40;
  const places: [number, number][] = [];
  if (isIpv4) {
    assert.equal(internetChecksum(packet.subarray(0, 20)), 0, 'checksum of the outer header');
    // Without DF there is an identification, which the header's checksum covers.
    if ((packet[6] & 0x40) === 0) places.push([4, 2], [10, 2]);
  }
  if (tunnel?.type === 'gue') {
    const port = (packet[header] << 8) | packet[header + 1];
    assert.ok(port >= 32768 && port < 61000, `source port ${port}`);
    places.push([header, 2]);
    if (tunnel.checksum !== 'none') {
      const length = packet.length - header;
      const pseudo = [...packet.subarray(isIpv4 ? 12 : 8, header), 0, 17, length >>> 8, length & 255];
      assert.equal(internetChecksum(Uint8Array.from([...pseudo, ...packet.subarray(header)])), 0, 'UDP checksum');
      places.push([header + 6, 2]);
    }
  }
  if (tunnel?.type === 'gre' && tunnel.checksum !== 'none') {
    assert.equal(internetChecksum(packet.subarray(header)), 0, 'GRE checksum');
    places.push([header + 4, 2]);
  }
  return places;
}
