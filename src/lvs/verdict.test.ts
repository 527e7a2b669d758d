// SPDX-License-Identifier: Apache-2.0
// What becomes of packets that are not simply forwarded, and what an operator sees of it: malformed ones by kind, what is
// left to the kernel, errors within their limit, a full table, clocks that wrap.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame, ip, tcp, udp } from '../../test/support/frames.ts';
import { extension, mendHeader, withExtensions } from '../../test/support/headers.ts';
import { TestDirector } from '../../test/support/test-director.ts';
import { MALFORMED_NAMES } from '../packet/parse.ts';
import { VERDICT_NAMES } from './verdict.ts';

const REQUEST4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const REPLY4 = { src: '192.168.1.1', dst: '10.7.0.1', sport: 80, dport: 4000 };
const REQUEST6 = { src: '2001:db8::c', dst: '2001:db8::1', sport: 4000, dport: 80 };

function director(maxConnections?: number): TestDirector {
  const lab = new TestDirector(maxConnections === undefined ? {} : { maxConnections });
  for (const protocol of ['tcp', 'udp']) {
    lab.addServer(lab.addService(`${protocol}:10.0.0.1:80`, 'wrr'), '192.168.1.1:80', 2);
    lab.addServer(lab.addService(`${protocol}:[2001:db8::1]:80`), '[2001:db8:1::1]:80');
    lab.addService(`${protocol}:10.0.0.1:81`);
    lab.addService(`${protocol}:[2001:db8::1]:81`);
  }
  return lab;
}

/** A frame for each way of being malformed. */
function malformedFrames(): Record<string, Uint8Array> {
  const good = frame(tcp({ ...REQUEST4, flags: 'S' }));
  const edit = (at: number, values: readonly number[]): Uint8Array => {
    const bytes = good.slice();
    bytes.set(values, at);
    return bytes;
  };
  const lying = (at: number, values: readonly number[]): Uint8Array => {
    const bytes = edit(at, values);
    mendHeader(bytes);
    return bytes;
  };
  return {
    truncated: good.slice(0, 30),
    'bad-version': lying(14, [0x55]),
    'bad-header-length': edit(14, [0x44]),
    'bad-total-length': lying(16, [0xff, 0xff]),
    'bad-checksum': edit(22, [1]),
    'truncated-transport': lying(16, [0, 39]),
    'bad-extension-header': frame(
      withExtensions(
        tcp({ ...REQUEST6, flags: 'S' }),
        Array.from({ length: 9 }, () => extension(60)),
      ),
    ),
  };
}

test('each kind of malformed frame has its own counter in the snapshot', () => {
  const lab = director();
  const kinds = malformedFrames();
  assert.deepEqual(Object.keys(kinds).sort(), [...MALFORMED_NAMES].sort());
  for (const [i, [name, bytes]] of Object.entries(kinds).entries()) {
    for (let n = 0; n <= i; n++) assert.equal(lab.frame(bytes).verdict, `malformed-${name}`);
  }
  const { verdicts } = lab.dataplane.snapshotNow();
  assert.deepEqual(Object.keys(verdicts), VERDICT_NAMES);
  for (const [i, name] of Object.keys(kinds).entries()) assert.equal(verdicts[`malformed-${name}`], i + 1);
});

test('what is no TCP, UDP or SCTP, whole or in fragments, goes back to the kernel untouched', () => {
  const lab = director();
  const fragment = ip(REQUEST4, 1, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0), 2);
  fragment[6] = 0x20;
  const whole = frame(fragment);
  mendHeader(whole);
  for (const bytes of [
    whole,
    frame(ip(REQUEST4, 1, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0), 2)),
    frame(ip(REQUEST4, 132, new Uint8Array(12), -1)),
    frame(ip(REQUEST6, 58, Uint8Array.of(128, 0, 0, 0, 0, 0, 0, 0), 2)),
    frame(ip(REQUEST6, 59, new Uint8Array(0), -1)),
  ]) {
    assert.equal(lab.frame(bytes).verdict, 'pass');
  }
  assert.equal(lab.connections().length, 0);
});

test('what cannot come from a host opens nothing and gets no error: the kernel drops it', () => {
  const lab = director();
  for (const src of ['0.0.0.0', '127.0.0.1', '224.0.0.1', '239.255.255.255', '255.255.255.255']) {
    for (const dport of [80, 81]) {
      assert.equal(lab.packet(tcp({ ...REQUEST4, src, dport, flags: 'S' })).verdict, 'pass', src);
      assert.equal(lab.packet(udp({ ...REQUEST4, src, dport })).verdict, 'pass', src);
    }
  }
  for (const src of ['::1', 'ff02::1']) {
    for (const dport of [80, 81]) assert.equal(lab.packet(udp({ ...REQUEST6, src, dport })).verdict, 'pass', src);
  }
  assert.equal(lab.connections().length, 0);
  for (const src of ['0.1.2.3', '1.0.0.1', '126.0.0.1', '128.0.0.1', '223.255.255.255', '240.0.0.1']) {
    assert.equal(lab.packet(udp({ ...REQUEST4, src })).verdict, 'forward', src);
  }
  for (const src of ['::', '::2', '1::', 'fe80::1', 'fec0::1']) {
    assert.equal(lab.packet(udp({ ...REQUEST6, src })).verdict, 'forward', src);
  }
});

test('when more is due than one tick may end, it says so, and goes on with the next', () => {
  const lab = director();
  for (let sport = 0; sport < 2500; sport++) lab.packet(udp({ ...REQUEST4, sport: 10_000 + sport }));
  const { director: pure } = lab;
  const later = 400 * 100;
  assert.deepEqual([pure.tick(later), pure.tick(later), pure.tick(later)], [true, true, false]);
  assert.equal(pure.connections.table.count, 0);
});

test('errors are limited, and the packets that get none are counted by their reason', () => {
  const lab = director();
  const syn = tcp({ ...REQUEST4, dport: 81, flags: 'S' });
  const expired = tcp({ ...REQUEST4, flags: 'S', ttl: 1 });
  const verdicts = Array.from({ length: 60 }, () => lab.packet(syn).verdict);
  assert.deepEqual(verdicts, [...new Array(50).fill('answer-icmp'), ...new Array(10).fill('drop-no-server')]);
  assert.equal(lab.packet(expired).verdict, 'drop-ttl-exceeded');
  lab.advance(1);
  assert.equal(lab.packet(syn).verdict, 'answer-icmp');
  assert.equal(lab.packet(expired).verdict, 'answer-icmp');
});

test('a full table drops and counts the first packets of more connections, and serves those that it has', () => {
  const lab = director(3);
  const send = (sport: number, flags: string): string => lab.packet(tcp({ ...REQUEST4, sport, flags })).verdict;
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((sport) => send(sport, 'S')),
    ['forward', 'forward', 'forward', 'drop-table-full', 'drop-table-full'],
  );
  assert.equal(send(2, 'A'), 'forward');
  assert.equal(lab.dataplane.snapshotNow().verdicts['drop-table-full'], 2);
  assert.deepEqual(lab.dataplane.snapshotNow().connections, { current: 3, maximum: 3 });
  lab.advance(61);
  assert.equal(send(4, 'S'), 'forward');
});

test('a reply whose TTL runs out is dropped, NAT to a loopback address too', () => {
  const lab = director();
  lab.packet(tcp({ ...REQUEST4, flags: 'S' }));
  assert.equal(lab.packet(tcp({ ...REPLY4, flags: 'SA', ttl: 1 })).verdict, 'drop-ttl-exceeded');
  lab.addServer(lab.addService('tcp:10.0.0.9:80'), '127.0.0.1:80');
  assert.equal(lab.packet(tcp({ ...REQUEST4, dst: '10.0.0.9', flags: 'S' })).verdict, 'drop-loopback');
});

for (const startTick of [2 ** 31 - 500, 2 ** 32 - 500]) {
  test(`connections live and expire across the wrap of the clock at tick ${startTick + 500}`, () => {
    const lab = new TestDirector({ startTick });
    lab.addServer(lab.addService('tcp:10.0.0.1:80'), '192.168.1.1:80');
    for (let i = 0; i < 10; i++) {
      lab.packet(tcp({ ...REQUEST4, sport: 4000 + i, flags: 'S' }));
      lab.advance(1);
    }
    const left = lab.connections().map(({ expiresSeconds }) => expiresSeconds);
    assert.deepEqual(left, [50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
    lab.advance(49.5);
    assert.equal(lab.connections().length, 10);
    lab.advance(5);
    assert.equal(lab.connections().length, 5);
    lab.advance(5);
    assert.equal(lab.connections().length, 0);
    assert.ok(lab.director.services.snapshot()[0].rates.inPackets === 0);
  });
}
