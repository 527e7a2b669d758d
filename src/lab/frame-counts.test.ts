// SPDX-License-Identifier: Apache-2.0
// Counts of frames off the kernel's text, their picture, and what the lab of direct routing takes for right.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DrFamilyReport, drawPath, judgeFamily } from './dr.ts';
import { framesBetween, parseFrames } from './frame-counts.ts';
import { planSegment } from './segment-plan.ts';

const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 4294967296 1409 0 0 0 0 0 0 9 581 0 0 0 0 0 0
`;

test('frames of a device are the packets of its line', () => {
  assert.deepEqual(parseFrames(NET_DEV, 'eth0'), { received: 1409, sent: 581 });
  assert.deepEqual(parseFrames(NET_DEV, 'lo'), { received: 1, sent: 1 });
  assert.throws(() => parseFrames(NET_DEV, 'eth'), RangeError);
});

test('between two readings only what came counts', () => {
  const before = { rs1: { received: 5, sent: 7 } };
  assert.deepEqual(framesBetween(before, { rs1: { received: 8, sent: 7 } }), { rs1: { received: 3, sent: 0 } });
});

const plan = planSegment(2, 'routed');
const frames = {
  client: { received: 1409, sent: 581 },
  router: { received: 1409, sent: 582 },
  director: { received: 583, sent: 581 },
  rs1: { received: 0, sent: 2 },
  rs2: { received: 581, sent: 1407 },
};

test('the picture has the way there and the way back, each stop with its frames', () => {
  assert.deepEqual(drawPath(plan, frames).split('\n'), [
    '   requests  client   ──→ router ──→ director ──→ rs1, rs2',
    '   frames    581          582        581          0, 581',
    '   answers   rs1, rs2 ──→ router ──→ client',
    '   frames    2, 1407      1409       1409',
    '   The director received 583 frames: the requests, and ARP or neighbour discovery.',
  ]);
});

test('without a router the client is on the segment', () => {
  assert.match(drawPath(planSegment(2, 'segment'), frames), /^ {3}requests {2}client {3}──→ director ──→ rs1, rs2$/m);
});

const good: DrFamilyReport = {
  tally: { requests: 20, ok: 20, failed: 0, perServer: { rs1: 8, rs2: 12 }, errors: {} },
  weights: { rs1: 2, rs2: 3 },
  sticky: ['rs1', 'rs1'],
  frames,
  forwarded: 580,
};

test('shares, one client on one server, and a director that no answer crosses are right', () => {
  assert.equal(judgeFamily('IPv4', good, plan), undefined);
});

test('what is wrong is named', () => {
  const even = { ...good.tally, perServer: { rs1: 12, rs2: 8 } };
  assert.match(judgeFamily('IPv4', { ...good, tally: even }, plan) ?? '', /^IPv4: rs1 answered 12 of 20/);
  const stray = { ...good, sticky: ['rs1', 'rs2'] };
  assert.equal(judgeFamily('IPv6', stray, plan), "IPv6: with sh one client was on 'rs1' and 'rs2'");
  const crossing = { ...good, frames: { ...frames, director: { received: 1990, sent: 1990 } } };
  assert.match(judgeFamily('IPv4', crossing, plan) ?? '', /the director received 1990 frames for the 580 packets/);
  const idle = { ...good, frames: { ...frames, rs2: { received: 581, sent: 3 } } };
  assert.match(judgeFamily('IPv4', idle, plan) ?? '', /the servers sent 5 frames/);
});
