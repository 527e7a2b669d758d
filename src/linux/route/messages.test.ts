// SPDX-License-Identifier: Apache-2.0
// Events of rtnetlink from bytes: shapes that a test machine does not produce at will, and damaged ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NetlinkFormatError, type NetlinkMessage } from '../netlink-message.ts';
import { parseEvent } from './monitor.ts';
import { RTM_DELROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNEIGH, RTM_NEWROUTE } from './route-socket.ts';

function message(type: number, hex: string): NetlinkMessage {
  const payload = Uint8Array.from(Buffer.from(hex.replaceAll(/[\s|]/g, ''), 'hex'));
  return { type, flags: 0, sequence: 0, port: 0, payload: new DataView(payload.buffer) };
}

test('an IPv4 route of two ways, one of them over IPv6, is read with weights and flags', () => {
  const event = parseEvent(
    message(
      RTM_NEWROUTE,
      `02 08 00 00 fe 04 00 01 00000000 | 0800 0f00 fe000000 | 0800 0100 0a000000 | 0800 0600 0a000000
       3400 0900 1000 00 02 03000000 0800 0500 c0000201
                 2000 15 00 04000000 1600 1200 0a00 fd000000000000000000000000000001 0000`,
    ),
  );
  assert.ok(event?.type === 'route');
  assert.equal(event.removed, false);
  const { route } = event;
  assert.deepEqual(
    [route.destination.address, route.prefixLength, route.table, route.metric, route.type, route.protocol],
    ['10.0.0.0', 8, 254, 10, 'unicast', 4],
  );
  assert.deepEqual(
    route.nexthops.map((hop) => [hop.interfaceIndex, hop.gateway?.family, hop.gateway?.address, hop.weight, hop.flags]),
    [
      [3, 4, '192.0.2.1', 3, 0],
      [4, 6, 'fd00::1', 1, 0x15],
    ],
  );
});

test('a route with a path MTU, a source to prefer and a table above 255 is read', () => {
  const event = parseEvent(
    message(
      RTM_DELROUTE,
      `02 00 00 00 fc 03 00 01 00000000 | 0800 0f00 e8030000 | 0800 0700 c0000205 | 0c00 0880 0800 0200 78050000
       0800 0400 07000000`,
    ),
  );
  assert.ok(event?.type === 'route' && event.removed);
  const { route } = event;
  assert.deepEqual(
    [route.table, route.preferredSource?.address, route.mtu, route.destination.address, route.prefixLength],
    [1000, '192.0.2.5', 1400, '0.0.0.0', 0],
  );
  assert.deepEqual(route.nexthops, [{ interfaceIndex: 7, weight: 1, flags: 0 }]);
});

test('the near end of a point-to-point address is the own one, and 32 bits of flags count', () => {
  const event = parseEvent(
    message(RTM_NEWADDR, '02 20 80 00 09000000 | 0800 0100 0a000002 | 0800 0200 0a000001 | 0800 0800 80020000'),
  );
  assert.ok(event?.type === 'address');
  const { address } = event;
  assert.deepEqual(
    [address.address, address.prefixLength, address.interfaceIndex, address.flags, address.tentative],
    ['10.0.0.1', 32, 9, 0x280, false],
  );
});

test('a tentative and a duplicate IPv6 address are told as such', () => {
  const parse = (flags: string) =>
    parseEvent(message(RTM_NEWADDR, `0a 40 ${flags} 00 09000000 | 1400 0100 fd000000000000000000000000000001`));
  const tentative = parse('40');
  const duplicate = parse('48');
  assert.ok(tentative?.type === 'address' && duplicate?.type === 'address');
  assert.deepEqual([tentative.address.tentative, tentative.address.duplicate], [true, false]);
  assert.deepEqual([duplicate.address.tentative, duplicate.address.duplicate], [true, true]);
});

test('a neighbour on a device with addresses that are no MAC has none', () => {
  const event = parseEvent(
    message(RTM_NEWNEIGH, '02 000000 03000000 4000 00 01 | 0800 0100 0a000001 | 0800 0200 7f000001'),
  );
  assert.ok(event?.type === 'neighbour');
  assert.deepEqual([event.neighbour.mac, event.neighbour.macBytes.length, event.neighbour.valid], ['', 0, true]);
});

test('other families, cached exceptions and other messages are no events', () => {
  assert.equal(parseEvent(message(RTM_NEWROUTE, '1c 00 00 00 fe 04 00 01 00000000')), undefined, 'MPLS');
  assert.equal(parseEvent(message(RTM_NEWROUTE, '02 20 00 00 fe 04 00 01 00020000')), undefined, 'cached');
  assert.equal(parseEvent(message(RTM_NEWNEIGH, '07 000000 03000000 8000 00 01')), undefined, 'bridge');
  assert.equal(parseEvent(message(RTM_NEWNEIGH, '02 000000 03000000 8000 00 01')), undefined, 'no address');
  assert.equal(parseEvent(message(9999, '')), undefined);
});

test('damaged messages are refused, and nothing else happens', () => {
  const cases: Record<string, NetlinkMessage> = {
    'a header that is cut off': message(RTM_NEWROUTE, '02 00 00'),
    'an address of three bytes': message(RTM_NEWROUTE, '02 08 00 00 fe 04 00 01 00000000 | 0700 0100 0a000000'),
    'a way shorter than its header': message(
      RTM_NEWROUTE,
      '02 08 00 00 fe 04 00 01 00000000 | 0c00 0900 0700 00 00 03000000',
    ),
    'a way past the end': message(RTM_NEWROUTE, '02 08 00 00 fe 04 00 01 00000000 | 0c00 0900 0900 00 00 03000000'),
    'a gateway without a family': message(RTM_NEWROUTE, '02 08 00 00 fe 04 00 01 00000000 | 0500 1200 0a000000'),
    'an IPv6 address of four bytes': message(RTM_NEWADDR, '0a 40 00 00 09000000 | 0800 0100 0a000002'),
    'a device header that is cut off': message(RTM_NEWLINK, '00 00 0100 03000000 01000000'),
  };
  for (const [what, bad] of Object.entries(cases)) assert.throws(() => parseEvent(bad), NetlinkFormatError, what);
  const types = fc.constantFrom(RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH);
  const families = fc.constantFrom(0, 2, 10);
  fc.assert(
    fc.property(types, families, fc.uint8Array({ minLength: 1, maxLength: 120 }), (type, family, bytes) => {
      bytes[0] = family;
      try {
        parseEvent({ type, flags: 0, sequence: 0, port: 0, payload: new DataView(bytes.buffer, 0, bytes.length) });
      } catch (error) {
        assert.ok(error instanceof NetlinkFormatError, String(error));
      }
    }),
  );
});
