// SPDX-License-Identifier: Apache-2.0
// AH and ESP follow the key exchange of the same two ends over UDP 500, and nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressBytes, internetChecksum, udp } from '../../test/support/frames.ts';
import { Site } from '../../test/support/site.ts';
import type { ForwardingMethod } from './model.ts';

const ESP = 50;
const AH = 51;

/** An IP packet of a protocol without ports. */
function packet(src: string, dst: string, protocol: number): Uint8Array {
  const ends = [...addressBytes(src), ...addressBytes(dst)];
  const body = Array.from({ length: 24 }, (_, i) => i);
  if (ends.length === 32) return Uint8Array.from([0x60, 0, 0, 0, 0, body.length, protocol, 64, ...ends, ...body]);
  const header = Uint8Array.from([0x45, 0, 0, 20 + body.length, 0, 1, 0, 0, 64, protocol, 0, 0, ...ends]);
  const sum = internetChecksum(header);
  header.set([sum >>> 8, sum & 255], 10);
  return Uint8Array.from([...header, ...body]);
}

for (const [service, protocols] of [
  ['udp:10.0.0.1:500', [ESP, AH]],
  ['udp:[2001:db8::1]:500', [ESP]],
] as const) {
  const virtual = service.includes('[') ? '2001:db8::1' : '10.0.0.1';
  for (const method of ['nat', 'dr'] as const satisfies readonly ForwardingMethod[]) {
    test(`${service} with ${method}: packets follow the key exchange, and keep it alive`, () => {
      const site = new Site({ service, method });
      const esp = (from: number, protocol: number): string =>
        site.lab.target(packet(site.clientAddress(from), virtual, protocol));
      for (const protocol of protocols) assert.equal(esp(1, protocol), 'pass');
      const exchange = (from: number): string =>
        site.lab.target(udp({ src: site.clientAddress(from), dst: virtual, sport: 500, dport: 500 }));
      const servers = [1, 2].map(exchange);
      assert.notEqual(servers[0], servers[1]);
      for (const protocol of protocols)
        assert.deepEqual([esp(1, protocol), esp(2, protocol), esp(3, protocol)], [...servers, 'pass']);
      site.lab.advance(200);
      esp(1, ESP);
      site.lab.advance(200);
      assert.deepEqual([esp(1, ESP), esp(2, ESP)], [servers[0], 'pass']);
    });
  }

  test(`${service} with nat: only the addresses change, there and back`, () => {
    const site = new Site({ service, weights: [1] });
    const client = site.clientAddress(1);
    site.lab.packet(udp({ src: client, dst: virtual, sport: 500, dport: 500 }));
    const there = site.lab.packet(packet(client, virtual, ESP)).packet!;
    const older = (bytes: Uint8Array): Uint8Array => {
      const at = bytes[0] >>> 4 === 4 ? 8 : 7;
      const copy = bytes.slice();
      copy[at]--;
      if (at === 8) {
        copy.set([0, 0], 10);
        const sum = internetChecksum(copy.subarray(0, 20));
        copy.set([sum >>> 8, sum & 255], 10);
      }
      return copy;
    };
    assert.deepEqual(there, older(packet(client, site.serverAddress(1), ESP)));
    const back = site.lab.packet(packet(site.serverAddress(1), client, ESP)).packet!;
    assert.deepEqual(back, older(packet(virtual, client, ESP)));
    const { inPackets, outPackets } = site.server(1).counters;
    assert.deepEqual([inPackets, outPackets], [2, 1]);
  });
}
