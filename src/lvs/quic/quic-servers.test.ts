// SPDX-License-Identifier: Apache-2.0
// The table of server ids against a plain map, and the ids that servers get in each encoding.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, hex } from '../../../test/support/frames.ts';
import { type Address, addressWords } from '../../packet/address.ts';
import { ConnectionIdReader, QUIC_FOUND, ServerId } from './connection-id.ts';
import { dpvsServerIds, katranServerId, QuicServers, quicLbServerId } from './quic-servers.ts';

function find(servers: QuicServers, id: Uint8Array): number {
  const $id = new ServerId();
  $id.bytes.fill(0xee);
  $id.bytes.set(id);
  $id.length = id.length;
  return servers.find($id);
}

test('an id means the server that it was given first, others none', () => {
  const id = fc.uint8Array({ minLength: 1, maxLength: 16 });
  // Ids that are alike, too: short ones, and ones that begin alike.
  const near = fc.oneof(id, fc.uint8Array({ minLength: 1, maxLength: 2, max: 3 }));
  fc.assert(
    fc.property(fc.array(near, { maxLength: 100 }), fc.array(near, { maxLength: 30 }), (ids, others) => {
      const servers = new QuicServers();
      const model = new Map<string, number>();
      ids.forEach((each, i) => {
        assert.equal(servers.add(each, i), !model.has(hex(each)));
        if (!model.has(hex(each))) model.set(hex(each), i);
      });
      assert.equal(servers.size, model.size);
      for (const each of [...ids, ...others]) assert.equal(find(servers, each), model.get(hex(each)) ?? -1);
    }),
    { numRuns: 300 },
  );
});

test('an id that is not there is not found, however full the table is', () => {
  const servers = new QuicServers();
  for (let i = 0; i < 300; i++) {
    assert.equal(find(servers, katranServerId(i)), -1);
    servers.add(katranServerId(i), i);
    assert.equal(find(servers, katranServerId(i)), i);
  }
});

test('ids of no byte or more than 16 are refused, and no id is found in an empty table', () => {
  const servers = new QuicServers();
  assert.throws(() => servers.add(new Uint8Array(0), 1), RangeError);
  assert.throws(() => servers.add(new Uint8Array(17), 1), RangeError);
  assert.equal(find(servers, Uint8Array.of(1)), -1);
  assert.equal(find(servers, new Uint8Array(0)), -1);
});

test('ids of the draft are 1 to 15 bytes in hexadecimal', () => {
  assert.deepEqual(quicLbServerId('c4605E'), Uint8Array.of(0xc4, 0x60, 0x5e));
  assert.equal(quicLbServerId('00'.repeat(15))?.length, 15);
  for (const wrong of ['', 'c', 'c46', '0xc4', 'c4 60', 'cg', '00'.repeat(16)]) {
    assert.equal(quicLbServerId(wrong), undefined, wrong);
  }
});

function lookUp(kind: 'katran' | 'dpvs', servers: QuicServers, id: string): number {
  const packet = Uint8Array.from([0x41, ...fromHex(id), ...new Array<number>(12).fill(0x33)]);
  const $id = new ServerId();
  const result = new ConnectionIdReader({ kind }).read(new DataView(packet.buffer), 0, packet.length, $id);
  return result === QUIC_FOUND ? servers.find($id) : -2;
}

test("one number of Katran's is found in all versions that can say it", () => {
  const servers = new QuicServers();
  servers.add(katranServerId(0x1234), 5);
  servers.add(katranServerId(0xfedcba98), 6);
  assert.equal(lookUp('katran', servers, '448d000000000000'), 5);
  assert.equal(lookUp('katran', servers, '8000123400000000'), 5);
  assert.equal(lookUp('katran', servers, 'c000001234000000'), 5);
  assert.equal(lookUp('katran', servers, 'c0fedcba98000000'), 6);
  assert.equal(lookUp('katran', servers, '8000123500000000'), -1);
});

test("a server of DPVS's is found by any number of its address's low bytes, with its port or without", () => {
  const servers = new QuicServers();
  const list: [string, number][] = [
    ['192.168.1.10', 443],
    ['192.168.2.10', 443],
    ['2001:db8::5:10a', 443],
  ];
  list.forEach(([address, port], server) => {
    const family = address.includes(':') ? 6 : 4;
    for (const id of dpvsServerIds(family, addressWords(address as Address), port)) servers.add(id, server);
  });
  const nonce = '111111111';
  assert.equal(lookUp('dpvs', servers, `ee00a${nonce}`), 0, 'the first of two');
  assert.equal(lookUp('dpvs', servers, `ee2020a${nonce}`), 1);
  assert.equal(lookUp('dpvs', servers, `ee3020a01bb${nonce}`), 1);
  assert.equal(lookUp('dpvs', servers, `ee3020a01bc${nonce}`), -1, 'another port');
  assert.equal(lookUp('dpvs', servers, `ee6c0a8010a${nonce}`), 0);
  assert.equal(lookUp('dpvs', servers, `ee6c0a8030a${nonce}`), -1);
  assert.equal(lookUp('dpvs', servers, `ee40501${nonce}`), -1);
  assert.equal(lookUp('dpvs', servers, `ee405010a${nonce}`), 2);
  assert.equal(lookUp('dpvs', servers, `ee60005010a${nonce}`), 2);
  assert.equal(lookUp('dpvs', servers, `eef000000000005010a01bb${nonce}`), 2);
});

test('an IPv4 server has 8 ids, an IPv6 server 16', () => {
  assert.equal(dpvsServerIds(4, addressWords('10.0.0.1' as Address), 443).length, 8);
  assert.equal(dpvsServerIds(6, addressWords('2001:db8::1' as Address), 443).length, 16);
});
