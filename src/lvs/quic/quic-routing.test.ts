// SPDX-License-Identifier: Apache-2.0
// QUIC through the director: whoever comes with a connection ID gets the server that gave it, from whatever address; everybody
// else is scheduled.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { udp } from '../../../test/support/frames.ts';
import { Site } from '../../../test/support/site.ts';
import { LvsError, type QuicTuning } from '../model.ts';

const SERVICES = ['udp:10.0.0.1:443', 'udp:[2001:db8::1]:443'];
const NONCE = [0xde, 0xad, 0xbe, 0xef];

/** A packet with a short header, as clients send after the handshake. */
function short(id: readonly number[]): Uint8Array {
  return Uint8Array.from([0x40, ...id, ...NONCE, 1, 2, 3]);
}

/** A packet with a long header of version 1: type 0 is Initial, 2 Handshake. */
function long(type: number, id: readonly number[]): Uint8Array {
  return Uint8Array.from([0xc0 | (type << 4), 0, 0, 0, 1, id.length, ...id, 0, 0, 0]);
}

function place(service: string, tuning: QuicTuning, weights: readonly number[] = [1, 1, 1]): Site {
  const site = new Site({ service, weights });
  site.lab.tune(site.service, { quic: tuning });
  return site;
}

function ids(site: Site, count = 3): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [site.nameOf(i + 1), `a${i + 1}`]));
}

function send(site: Site, from: number, payload: Uint8Array): string {
  const virtual = site.isIpv6 ? '2001:db8::1' : '10.0.0.1';
  return site.lab.target(udp({ src: site.clientAddress(from), dst: virtual, sport: 4000, dport: 443, payload }));
}

for (const service of SERVICES) {
  test(`${service}: a client that changes its address keeps the server that its ID names`, () => {
    const site = place(service, { encoding: 'quic-lb', serverIdLength: 1 });
    site.lab.tune(site.service, { quic: { encoding: 'quic-lb', ids: ids(site) } });
    for (let from = 1; from <= 30; from++) {
      const server = 1 + (from % 3);
      assert.equal(send(site, from, short([0, 0xa0 + server, ...NONCE])), String(server));
      assert.equal(send(site, 100 + from, long(2, [0, 0xa0 + server, ...NONCE])), String(server));
    }
  });

  test(`${service}: first packets are scheduled, and so is what names nobody`, () => {
    const site = place(service, { encoding: 'quic-lb', serverIdLength: 1 });
    site.lab.tune(site.service, { quic: { encoding: 'quic-lb', ids: ids(site) } });
    const payloads = [
      long(0, [0, 0xa1, ...NONCE]),
      long(0, [0, 0xa1, ...NONCE]),
      short([0, 0xa9, ...NONCE]),
      short([0xe0, 0xa1, ...NONCE]),
      Uint8Array.of(1),
      new Uint8Array(0),
    ];
    const servers = payloads.map((payload, i) => send(site, 10 + i, payload));
    assert.deepEqual(servers, ['3', '2', '1', '3', '2', '1']);
  });
}

test('a quiesced server keeps its clients, one that is gone has none', () => {
  const site = place(SERVICES[0], { encoding: 'katran', ids: {} });
  site.lab.tune(site.service, { quic: { encoding: 'katran', ids: { [site.nameOf(1)]: '7', [site.nameOf(2)]: '8' } } });
  const id = [0x40, 1, 0xc0, 0, 0, 0, 0, 0];
  assert.equal(send(site, 1, short(id)), '1');
  site.edit(1, 0);
  assert.equal(send(site, 2, short(id)), '1');
  site.delete(1);
  assert.notEqual(send(site, 3, short(id)), '1');
  site.add(1);
  assert.equal(send(site, 4, short(id)), '1');
});

test('ids of DPVS follow from the servers’ addresses', () => {
  const site = place(SERVICES[0], { encoding: 'dpvs' });
  const shifted = (bytes: readonly number[]): number[] => {
    const nibbles = [0, ...bytes.flatMap((byte) => [byte >>> 4, byte & 15]), 0];
    return Array.from({ length: nibbles.length / 2 }, (_, i) => (nibbles[2 * i] << 4) | nibbles[2 * i + 1]);
  };
  for (const server of [1, 2, 3]) {
    const [head, ...rest] = shifted([192, 168, 1, server]);
    assert.equal(
      send(site, 10 + server, short([0x55, 0x60 | head, ...rest.slice(0, -1), rest.at(-1)!, ...NONCE])),
      String(server),
    );
  }
});

test('persistent clients follow their ID, not their template', () => {
  const site = new Site({ service: SERVICES[0], persistence: 300, weights: [1, 1, 1] });
  site.lab.tune(site.service, { quic: { encoding: 'quic-lb', ids: ids(site) } });
  const first = send(site, 1, long(0, [1, 2, 3, 4, 5, 6, 7, 8]));
  const other = first === '1' ? 2 : 1;
  const payload = short([0, 0xa0 + other, ...NONCE]);
  const packet = udp({ src: site.clientAddress(1), dst: '10.0.0.1', sport: 4001, dport: 443, payload });
  assert.equal(site.lab.target(packet), String(other));
});

for (const [what, tuning] of [
  ['an id that is no hexadecimal', { encoding: 'quic-lb', ids: { '192.168.1.1:443': 'xyz' } }],
  ['ids of several lengths', { encoding: 'quic-lb', ids: { '192.168.1.1:443': 'a1', '192.168.1.2:443': 'a1a2' } }],
  ['one id for two', { encoding: 'quic-lb', ids: { '192.168.1.1:443': 'a1', '192.168.1.2:443': 'a1' } }],
  ['no length', { encoding: 'quic-lb' }],
  ['an id that is too long', { encoding: 'quic-lb', serverIdLength: 16 }],
  ['a number that is none', { encoding: 'katran', ids: { '192.168.1.1:443': '-1' } }],
  ['ids for DPVS', { encoding: 'dpvs', ids: { '192.168.1.1:443': '1' } }],
  ['what is no server', { encoding: 'katran', ids: { somebody: '1' } }],
] as const satisfies readonly (readonly [string, QuicTuning])[]) {
  test(`${what} is refused, and what was tuned stays`, () => {
    const site = place(SERVICES[0], { encoding: 'dpvs' });
    assert.throws(
      () => site.lab.tune(site.service, { quic: tuning }),
      (error: unknown) => error instanceof LvsError && error.code === 'EINVAL',
    );
    assert.deepEqual(site.lab.dataplane.snapshotNow().services[0].tuning, { quic: { encoding: 'dpvs' } });
  });
}

test('QUIC is for UDP', () => {
  const site = new Site();
  assert.throws(() => site.lab.tune(site.service, { quic: { encoding: 'dpvs' } }), /no QUIC/);
});

test('whatever a datagram holds, it goes to some server', () => {
  const site = place(SERVICES[0], { encoding: 'quic-lb', serverIdLength: 2, ids: { '192.168.1.1:443': 'a1b2' } });
  let from = 1;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (payload) => {
      from = (from % 60000) + 1;
      assert.match(send(site, from, payload), /^[123]$/);
    }),
    { numRuns: 2000 },
  );
});
