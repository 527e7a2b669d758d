// SPDX-License-Identifier: Apache-2.0
// All packet cases, for whoever runs them.

import type { PacketCase } from './case.ts';
import { FRAGMENT_CASES } from './fragments.ts';
import { MALFORMED_CASES } from './malformed.ts';
import { NAT_CASES } from './nat.ts';
import { NOT_OURS_CASES } from './not-ours.ts';
import { REFUSED_CASES } from './refused.ts';
import { SCHEDULING_CASES } from './scheduling.ts';
import { SCTP_CASES } from './sctp.ts';

export const PACKET_CASES: readonly PacketCase[] = [
  ...NAT_CASES,
  ...SCHEDULING_CASES,
  ...SCTP_CASES,
  ...REFUSED_CASES,
  ...NOT_OURS_CASES,
  ...FRAGMENT_CASES,
  ...MALFORMED_CASES,
];
