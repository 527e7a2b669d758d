// SPDX-License-Identifier: Apache-2.0
// Random services with servers and counters, for listings. Addresses come from few networks, so that sorting matters.

import fc from 'fast-check';
import type {
  ConnectionSnapshot,
  Counters,
  ServerSnapshot,
  ServiceKey,
  ServiceSnapshot,
  TunnelOptions,
} from '../../src/lvs/model.ts';
import { formatServerKey, formatServiceKey } from '../../src/lvs/service-key.ts';
import { type Address, formatAddress } from '../../src/packet/address.ts';

const port = fc.oneof(fc.constantFrom(0, 21, 22, 53, 80, 443, 5060, 8080), fc.integer({ min: 0, max: 65535 }));
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const ipv4 = fc
  .oneof(fc.constantFrom(0x0a000001, 0x0a000002, 0xc0a80101 | 0, 0xc0a80102 | 0, 0x20010db8, 0x4b000001), word)
  .map((one) => formatAddress(4, [one]));
const ipv6 = fc
  .tuple(fc.constantFrom(0x20010db8, 0xfd000000 | 0), word, fc.constantFrom(0, 1), word)
  .map((words) => formatAddress(6, words));

const key: fc.Arbitrary<ServiceKey> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('address' as const),
      protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
      address: fc.oneof(ipv4, ipv6),
      port,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fwmark' as const),
      // deviates: larger marks are saved as they are, the original writes them as negative numbers
      mark: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      family: fc.constantFrom(4 as const, 6 as const),
    }),
  },
);

const count = fc.oneof(
  fc.integer({ min: 0, max: 1000 }),
  fc.constantFrom(99999999, 100000000, 999999999, 1000000000, 99999999999, 1e11, 99999999999999, 1e14),
  fc.maxSafeNat(),
);
const counters: fc.Arbitrary<Counters> = fc.record({
  connections: count,
  inPackets: count,
  outPackets: count,
  inBytes: count,
  outBytes: count,
});
/** deviates: of a server the original cuts all but bytes to 32 bits. */
const cutCount = count.map((one) => one % 2 ** 32);
const serverRates: fc.Arbitrary<Counters> = fc.record({
  connections: cutCount,
  inPackets: cutCount,
  outPackets: cutCount,
  inBytes: cutCount,
  outBytes: cutCount,
});
const serverCounters: fc.Arbitrary<Counters> = fc.record({
  connections: cutCount,
  inPackets: cutCount,
  outPackets: cutCount,
  inBytes: count,
  outBytes: count,
});
const uint = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 2 ** 31 - 1 }));

const tunnel: fc.Arbitrary<TunnelOptions> = fc.oneof(
  fc.record({ type: fc.constant('ipip' as const) }),
  fc.record({
    type: fc.constant('gue' as const),
    port: fc.integer({ min: 1, max: 65535 }),
    checksum: fc.constantFrom('none' as const, 'csum' as const, 'remcsum' as const),
  }),
  fc.record({ type: fc.constant('gre' as const), checksum: fc.constantFrom('none' as const, 'csum' as const) }),
);

const server: fc.Arbitrary<ServerSnapshot> = fc
  .record({
    address: fc.oneof(ipv4, ipv6),
    port,
    method: fc.constantFrom('nat' as const, 'dr' as const, 'tun' as const, 'local' as const),
    weight: uint,
    upperThreshold: uint,
    lowerThreshold: uint,
    activeConnections: uint,
    inactiveConnections: uint,
    persistentConnections: uint,
    counters: serverCounters,
    rates: serverRates,
    tunnel,
  })
  .map(({ tunnel, ...rest }) => (rest.method === 'tun' ? { ...rest, tunnel } : rest));

const persistence = fc.record(
  {
    timeoutSeconds: fc.integer({ min: 1, max: 2678400 }),
    prefixLength: fc.constantFrom(1, 8, 24, 31, 32),
    engine: fc.constant('sip'),
  },
  { requiredKeys: ['timeoutSeconds', 'prefixLength'] },
);

/** deviates: flag-3, which sh and mh do not know, is listed as `()` and saved as an empty -b by the original. */
const knownFlags = (service: ServiceSnapshot): ServiceSnapshot =>
  service.scheduler === 'sh' || service.scheduler === 'mh'
    ? { ...service, schedulerFlags: service.schedulerFlags.filter((flag) => flag !== 'flag-3') }
    : service;

/** Up to eight services with up to eight servers each. */
export const services: fc.Arbitrary<ServiceSnapshot[]> = fc.uniqueArray(
  fc
    .record(
      {
        key,
        scheduler: fc.constantFrom('rr', 'wrr', 'sh', 'mh', 'none'),
        schedulerFlags: fc.subarray(['flag-1' as const, 'flag-2' as const, 'flag-3' as const]),
        persistence,
        onePacket: fc.boolean(),
        counters,
        rates: counters,
        servers: fc.uniqueArray(server, { selector: formatServerKey, maxLength: 8 }),
      },
      { requiredKeys: ['key', 'scheduler', 'schedulerFlags', 'onePacket', 'counters', 'rates', 'servers'] },
    )
    .map(knownFlags),
  { selector: (service) => formatServiceKey(service.key), maxLength: 8 },
);

/** A connection without a persistence engine. */
export function connection(
  protocol: ConnectionSnapshot['protocol'],
  expiresSeconds: number,
  state: string,
  ...ends: readonly (readonly [address: string, port: number])[]
): ConnectionSnapshot {
  const [client, virtual, destination] = ends.map(([address, port]) => ({ address: address as Address, port }));
  return { protocol, expiresSeconds, state, client, virtual, destination };
}
