// SPDX-License-Identifier: Apache-2.0
// What the labs `tun` and `fullnat` call a problem.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CrowdReport,
  type FullnatFamilyReport,
  judgeExhaustion,
  judgeFamily as judgeFullnat,
} from './fullnat-report.ts';
import { planRemote } from './remote-plan.ts';
import { judgeNarrow, judgeFamily as judgeTun } from './tun-judge.ts';
import { DATAGRAMS, type NarrowReport, type TunFamilyReport } from './tun-report.ts';

const plan = planRemote({ servers: 2, serverRoutes: 'all' });

const TUN: TunFamilyReport = {
  answers: ['rs1', 'rs2', 'rs2', 'rs1'],
  downloaded: true,
  uploaded: true,
  frames: {
    director: { received: 610, sent: 603 },
    rs1: { received: 600, sent: 1400 },
    rs2: { received: 0, sent: 0 },
  },
  forwarded: 600,
  mtu: 1480,
};

test('a tunnel as it should be is no problem, and each fault is named', () => {
  assert.equal(judgeTun(TUN, plan, 1480), undefined);
  const { rs1, rs2, director } = TUN.frames;
  const faults: readonly (readonly [Partial<TunFamilyReport>, RegExp])[] = [
    [{ answers: ['rs1', '', 'rs2', 'rs1'] }, /1 of 4 requests were not answered/],
    [{ answers: ['rs1', 'rs1', 'rs1', 'rs2'] }, /rs1 answered 3 of 4/],
    [{ downloaded: false }, /download/],
    [{ uploaded: false }, /upload/],
    [{ mtu: 1500 }, /takes 1500 bytes .* it is 1480/],
    [{ frames: { rs1, rs2, director: { received: 610, sent: 2003 } } }, /director sent 2003 frames for the 600/],
    [{ frames: { rs1, rs2, director: { received: 599, sent: 603 } } }, /director received 599/],
    [{ frames: { rs1: rs2, rs2, director } }, /fewer than the download has/],
  ];
  for (const [fault, message] of faults) assert.match(judgeTun({ ...TUN, ...fault }, plan, 1480) ?? '', message);
});

test('behind a smaller MTU everything has to arrive, and to be known', () => {
  const narrow: NarrowReport = {
    downloaded: true,
    uploaded: true,
    mtu: 1380,
    datagrams: DATAGRAMS,
    pinged: true,
    hops: ['10.77.1.1', '10.77.2.100'],
  };
  assert.equal(judgeNarrow(narrow, 1380), undefined);
  const faults: readonly (readonly [Partial<NarrowReport>, RegExp])[] = [
    [{ uploaded: false }, /upload/],
    [{ mtu: 1480 }, /takes 1480/],
    [{ downloaded: false }, /download/],
    [{ datagrams: DATAGRAMS - 1 }, /datagrams came back/],
    [{ pinged: false }, /ping/],
    [{ hops: ['10.77.1.1', '*'] }, /traceroute sees 10\.77\.1\.1, \*/],
  ];
  for (const [fault, message] of faults) assert.match(judgeNarrow({ ...narrow, ...fault }, 1380) ?? '', message);
});

const CROWD: CrowdReport = { made: 10, right: 10, wrong: [], failed: [], servers: ['rs1', 'rs2'] };
const SEEN = [
  { server: 'rs1', client: '10.77.1.2 4000', seen: '10.77.1.2 4000' },
  { server: 'rs2', client: '10.77.1.2 4001', seen: '10.77.1.2 4001' },
];
const FULLNAT: FullnatFamilyReport = {
  proxyV1: SEEN,
  proxyV2: SEEN,
  hairpin: SEEN[0],
  toa: 'fe08',
  toaExpected: 'fe08',
  frames: { director: { received: 2000, sent: 2000 } },
  forwarded: 2000,
  connections: CROWD,
  datagrams: CROWD,
  pinged: true,
  hops: ['10.77.1.1'],
};

test('FULLNAT: who was taken for somebody else is a problem, and so is silence', () => {
  assert.equal(judgeFullnat(FULLNAT, 2), undefined);
  const stranger = { server: 'rs1', client: '10.77.1.2 4000', seen: '10.77.2.5 4000' };
  const faults: readonly (readonly [Partial<FullnatFamilyReport>, RegExp])[] = [
    [{ proxyV1: [stranger] }, /version 1: rs1 saw '10\.77\.2\.5 4000', the client was '10\.77\.1\.2 4000'/],
    [{ proxyV2: [SEEN[0]] }, /version 2: 1 of 2 servers answered/],
    [{ hairpin: stranger }, /a server as client/],
    [{ toa: '' }, /TCP option is '', not 'fe08'/],
    [{ frames: { director: { received: 2000, sent: 1999 } } }, /director sent 1999/],
    [{ connections: { ...CROWD, right: 9, wrong: ['a: b'] } }, /1 of 10 connections .*: a: b/],
    [{ datagrams: { ...CROWD, made: 0, right: 0 } }, /datagrams/],
    [{ pinged: false }, /ping/],
    [{ hops: [] }, /traceroute sees nobody/],
  ];
  for (const [fault, message] of faults) assert.match(judgeFullnat({ ...FULLNAT, ...fault }, 2) ?? '', message);
});

test('a pool that is used up has to serve what it can, and to say the rest', () => {
  const used = { answered: 4, refused: 2, listed: 'pool few: 2', logged: 'level=warn' };
  assert.equal(judgeExhaustion(used), undefined);
  assert.match(judgeExhaustion({ ...used, answered: 6, refused: 0 }) ?? '', /4 ports served 6/);
  assert.match(judgeExhaustion({ ...used, listed: '' }) ?? '', /list/);
  assert.match(judgeExhaustion({ ...used, logged: '' }) ?? '', /log/);
});
