// SPDX-License-Identifier: Apache-2.0
// A long random life of services, servers and their traffic: counters are what was forwarded, and add up whatever is
// changed, deleted and put back meanwhile.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { tcp, udp } from '../../../test/support/frames.ts';
import { Random } from '../../../test/support/random.ts';
import { TestDirector } from '../../../test/support/test-director.ts';
import { LvsError, type ServerKey, type ServerOptions, type ServiceKey, type ServiceOptions } from '../model.ts';
import { formatServiceKey, parseServerKey, parseServiceKey } from '../service-key.ts';

/** A change as the test director's data plane takes it. */
type Change = Parameters<TestDirector['dataplane']['applyNow']>[0];

const RR: ServiceOptions = { scheduler: 'rr', schedulerFlags: [], onePacket: false };
const NAT: ServerOptions = { method: 'nat', weight: 1, upperThreshold: 0, lowerThreshold: 0 };

const SERVICES = ['tcp:10.0.0.1:80', 'udp:10.0.0.1:80', 'tcp:10.0.0.2:80', 'udp:[2001:db8::1]:53'].map(
  (text) => parseServiceKey(text) as ServiceKey,
);
const SERVERS: Readonly<Record<number, readonly ServerKey[]>> = {
  4: ['192.168.1.1:80', '192.168.1.2:80', '192.168.1.3:80'].map((text) => parseServerKey(text) as ServerKey),
  6: ['[2001:db8:1::1]:53', '[2001:db8:1::2]:53'].map((text) => parseServerKey(text) as ServerKey),
};

function randomChange(random: Random): Change {
  const key = random.pick(SERVICES);
  const family = formatServiceKey(key).includes('[') ? 6 : 4;
  const target = { service: key, server: random.pick(SERVERS[family]) };
  const options = { ...NAT, weight: random.below(4) };
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      return { type: 'add-service', service: key, options: { ...RR, scheduler: random.pick(['rr', 'wrr']) } };
    case 3:
      return { type: 'edit-service', service: key, options: { ...RR, scheduler: random.pick(['rr', 'wrr']) } };
    case 4:
      return { type: 'delete-service', service: key };
    case 5:
      return random.chance(0.1) ? { type: 'flush' } : { type: 'delete-server', ...target };
    case 6:
      return { type: 'edit-server', ...target, options };
    case 7:
      return { type: 'delete-server', ...target };
    default:
      return { type: 'add-server', ...target, options };
  }
}

/** A request to one of the services, or the reply to one. */
function randomPacket(random: Random): { packet: Uint8Array; service: string } {
  const key = random.pick(SERVICES);
  assert.ok(key.kind === 'address');
  const isIpv6 = key.address.includes(':');
  const src = isIpv6 ? '2001:db8::c' : '10.7.0.1';
  const fields = { src, dst: key.address as string, sport: 1024 + random.below(60), dport: key.port };
  const payload = new Uint8Array(random.below(50));
  const flags = random.pick(['S', 'S', 'A', 'A', 'FA', 'R']);
  const packet = key.protocol === 'tcp' ? tcp({ ...fields, flags, payload }) : udp({ ...fields, payload });
  return { packet, service: formatServiceKey(key) };
}

test('counters are what was forwarded, services are the sums of their servers, through every change', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const lab = new TestDirector();
      const { services } = lab.director;
      let total = { packets: 0, bytes: 0 };
      const counted = new Map<string, { packets: number; bytes: number }>();
      const send = (): void => {
        const { packet, service: name } = randomPacket(random);
        if (lab.packet(packet).verdict !== 'forward') return;
        const bytes = packet.length;
        total = { packets: total.packets + 1, bytes: total.bytes + bytes };
        const before = counted.get(name) ?? { packets: 0, bytes: 0 };
        counted.set(name, { packets: before.packets + 1, bytes: before.bytes + bytes });
      };
      const change = (): void => {
        const wanted = randomChange(random);
        try {
          lab.dataplane.applyNow(wanted);
        } catch (error) {
          assert.ok(error instanceof LvsError);
          return;
        }
        if (wanted.type === 'add-service') counted.delete(formatServiceKey(wanted.service));
      };
      const check = (): void => {
        const { counters } = services.totals();
        assert.deepEqual([counters.inPackets, counters.inBytes], [total.packets, total.bytes]);
        for (const snapshot of services.snapshot()) {
          const { packets, bytes } = counted.get(formatServiceKey(snapshot.key)) ?? { packets: 0, bytes: 0 };
          assert.deepEqual([snapshot.counters.inPackets, snapshot.counters.inBytes], [packets, bytes]);
          for (const one of [snapshot, ...snapshot.servers]) {
            for (const [name, value] of Object.entries({ ...one.counters, ...one.rates })) {
              assert.ok(value >= 0, `${name} ${value}`);
            }
          }
        }
        const references = services.serversByIndex.reduce((sum, known) => sum + (known?.references ?? 0), 0);
        assert.equal(references, lab.connections().length);
      };
      for (let step = 0; step < 400; step++) {
        const dice = random.below(10);
        if (dice < 4) change();
        else if (dice < 9) for (let i = 0; i < 5; i++) send();
        else lab.advance(random.pick([0.1, 1, 2, 30, 400]));
        if (step % 20 === 0) check();
      }
      lab.dataplane.applyNow({ type: 'flush' });
      check();
      lab.advance(1300);
      assert.equal(services.serversByIndex.filter((known) => known !== undefined).length, 0);
    }),
    { numRuns: 15 },
  );
});
