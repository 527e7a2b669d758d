// SPDX-License-Identifier: Apache-2.0
// The director under broken and hostile frames: nothing throws, nothing outside of the frame is written, every frame is
// counted once, and what the director holds stays consistent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumFault, frame, tcp, udp } from '../../test/support/frames.ts';
import { extension, mendHeader, withExtensions, withOptions } from '../../test/support/headers.ts';
import { Random } from '../../test/support/random.ts';
import { TestDirector } from '../../test/support/test-director.ts';
import { FORWARD, VERDICT_NAMES } from './verdict.ts';

const REQUEST4 = { src: '10.7.0.1', dst: '10.0.0.1', sport: 4000, dport: 80 };
const REPLY4 = { src: '192.168.1.1', dst: '10.7.0.1', sport: 80, dport: 4000 };
const REQUEST6 = { src: '2001:db8::c', dst: '2001:db8::1', sport: 4000, dport: 80 };
const REPLY6 = { src: '2001:db8:1::1', dst: '2001:db8::c', sport: 80, dport: 4000 };
const PAYLOAD = Uint8Array.of(1, 2, 3, 4, 5, 6, 7);

/** Requests and replies that the director forwards when they come whole and in this order. */
const PACKETS: readonly Uint8Array[] = [
  tcp({ ...REQUEST4, flags: 'S' }),
  tcp({ ...REPLY4, flags: 'SA' }),
  tcp({ ...REQUEST4, flags: 'PA', payload: PAYLOAD }),
  withOptions(tcp({ ...REQUEST4, flags: 'A' }), Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0)),
  udp({ ...REQUEST4, payload: PAYLOAD }),
  udp({ ...REPLY4, payload: PAYLOAD }),
  udp({ ...REQUEST4, payload: PAYLOAD, checksum: false }),
  tcp({ ...REQUEST6, flags: 'S' }),
  tcp({ ...REPLY6, flags: 'SA', payload: PAYLOAD }),
  withExtensions(tcp({ ...REQUEST6, flags: 'A' }), [extension(0), extension(60, 1)]),
  udp({ ...REQUEST6, payload: PAYLOAD }),
  withExtensions(udp({ ...REPLY6, payload: PAYLOAD }), [extension(44)]),
];

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

function checkConsistent(lab: TestDirector, frames: number): void {
  const { services, connections, verdicts } = lab.director;
  assert.equal(
    verdicts.reduce((sum, count) => sum + count, 0),
    frames,
  );
  const references = services.serversByIndex.reduce((sum, server) => sum + (server?.references ?? 0), 0);
  assert.equal(references, connections.table.count);
  assert.equal(lab.connections().length, connections.table.count);
  const { counters } = services.totals();
  assert.ok(counters.inPackets + counters.outPackets >= verdicts[FORWARD]);
}

test('the packets of the corpus are forwarded when they come whole', () => {
  const lab = director();
  for (const [i, packet] of PACKETS.entries()) assert.equal(lab.packet(packet).verdict, 'forward', `packet ${i}`);
});

test('a frame that is cut anywhere is malformed or not IP, for every packet and length', () => {
  const lab = director();
  let frames = 0;
  for (const packet of PACKETS) {
    const whole = frame(packet);
    for (let length = 0; length < whole.length; length++) {
      assert.match(lab.frame(whole.slice(0, length)).verdict, /^malformed-/, `${length}`);
      frames++;
    }
  }
  checkConsistent(lab, frames);
  assert.equal(lab.connections().length, 0);
});

/** One frame after some damage. */
function mutate(random: Random, whole: Uint8Array): Uint8Array {
  let bytes = whole.slice();
  for (let i = random.below(4); i > 0; i--) {
    switch (random.below(6)) {
      case 0:
        bytes = bytes.slice(0, random.below(bytes.length + 1));
        break;
      case 1:
        bytes = Uint8Array.from([...bytes, ...new Uint8Array(random.below(60)).fill(random.below(256))]);
        break;
      case 2:
        if (bytes.length > 13)
          bytes.set(
            random.pick([
              [0x08, 0x00],
              [0x86, 0xdd],
              [0x08, 0x06],
              [0x81, 0x00],
            ]),
            12,
          );
        break;
      default:
        if (bytes.length > 0)
          bytes[random.chance(0.7) ? random.below(Math.min(60, bytes.length)) : random.below(bytes.length)] =
            random.below(256);
    }
  }
  // Half of the lies come with a right header checksum, to get further.
  if (random.chance(0.5) && bytes.length >= 34 && bytes[12] === 8) mendHeader(bytes);
  return bytes;
}

test('damaged frames never throw, never write outside, and are all counted', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const lab = director(random.pick([4, 4096]));
      const frames = 400;
      for (let i = 0; i < frames; i++) {
        const whole = frame(random.pick(PACKETS));
        const bytes = mutate(random, whole);
        const { verdict, packet } = lab.frame(bytes);
        assert.ok(VERDICT_NAMES.includes(verdict), verdict);
        if (verdict === 'answer-icmp') assert.equal(checksumFault(packet!), undefined);
        if (random.chance(0.05)) lab.advance(random.pick([0.1, 20, 100, 1000]));
      }
      checkConsistent(lab, frames);
    }),
    { numRuns: 60 },
  );
});

test('random bytes never throw, never write outside, and are all counted', () => {
  const lab = director();
  let frames = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom([8, 0, 0x45], [0x86, 0xdd, 0x60]), (bytes, type) => {
      for (const [i, value] of type.entries()) if (12 + i < bytes.length) bytes[12 + i] = value;
      lab.frame(bytes);
      frames++;
    }),
    { numRuns: 3000 },
  );
  checkConsistent(lab, frames);
});

/** Verdicts of batches that go through one after the other in the same frames, and what they leave behind. */
function runBatches(batches: readonly (readonly Uint8Array[])[], isForeseen: boolean): unknown[] {
  const SLOT = 2048;
  const lab = director();
  const bytes = new Uint8Array(64 * SLOT);
  const frames = { view: new DataView(bytes.buffer), bytes };
  const seen: unknown[] = [];
  for (const inputs of batches) {
    const offsets = Int32Array.from(inputs, (_, i) => i * SLOT + 256);
    const lengths = Int32Array.from(inputs, (input) => input.length);
    for (const [i, input] of inputs.entries()) bytes.set(input, offsets[i]);
    if (isForeseen) lab.director.foresee(frames, offsets, lengths, inputs.length);
    for (let i = 0; i < inputs.length; i++) {
      seen.push(
        isForeseen
          ? lab.director.processForeseen(frames, offsets[i], lengths[i], 0, i)
          : lab.director.process(frames, offsets[i], lengths[i], 0),
      );
    }
    seen.push(bytes.slice(), lab.connections(), lab.director.services.snapshot());
  }
  return seen;
}

test('batches that were foreseen are decided as packet by packet', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      const batches = Array.from({ length: 3 }, () =>
        Array.from({ length: 1 + random.below(64) }, () => mutate(random, frame(random.pick(PACKETS)))),
      );
      assert.deepEqual(runBatches(batches, true), runBatches(batches, false));
    }),
    { numRuns: 60 },
  );
});
