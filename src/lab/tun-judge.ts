// SPDX-License-Identifier: Apache-2.0
// Whether what the lab `tun` found is what tunnels promise. Pure.

import type { RemotePlan } from './remote-plan.ts';
import { DATAGRAMS, FILE_BYTES, type NarrowReport, type TunFamilyReport } from './tun-report.ts';

/** Frames that the director may see besides requests: ARP, neighbour discovery, multicast. */
const HOUSEKEEPING_FRAMES = 40;

/** What is wrong, or undefined; `mtu` is what the client has to know. */
export function judgeFamily(report: TunFamilyReport, plan: RemotePlan, mtu: number): string | undefined {
  const { answers, downloaded, uploaded, frames, forwarded } = report;
  const unanswered = answers.filter((server) => server === '').length;
  if (unanswered > 0) return `${unanswered} of ${answers.length} requests were not answered`;
  for (const { name } of plan.servers) {
    const count = answers.filter((server) => server === name).length;
    if (count !== answers.length / plan.servers.length)
      return `${name} answered ${count} of ${answers.length} requests`;
  }
  if (!downloaded) return 'the download did not arrive as it was sent';
  if (!uploaded) return 'the upload did not arrive as it was sent';
  if (report.mtu !== mtu) return `the client takes ${report.mtu} bytes for the path's MTU, it is ${mtu}`;
  const answered = plan.servers.reduce((sum, server) => sum + frames[server.name].sent, 0);
  // 1448 bytes of data in a frame at most.
  if (answered < FILE_BYTES / 1500) return `the servers sent ${answered} frames, fewer than the download has`;
  for (const what of ['received', 'sent'] as const) {
    const count = frames.director[what];
    if (count < forwarded || count > forwarded + HOUSEKEEPING_FRAMES) {
      return `the director ${what} ${count} frames for the ${forwarded} packets that it forwarded`;
    }
  }
  return undefined;
}

export function judgeNarrow(report: NarrowReport, mtu: number): string | undefined {
  const { downloaded, uploaded, datagrams, pinged, hops } = report;
  if (!uploaded) return 'the upload did not arrive as it was sent';
  if (report.mtu !== mtu) return `the client takes ${report.mtu} bytes for the path's MTU, it is ${mtu}`;
  if (!downloaded) return 'the download did not arrive as it was sent';
  if (datagrams !== DATAGRAMS) return `${datagrams} of ${DATAGRAMS} datagrams came back`;
  if (!pinged) return 'the virtual address does not answer ping';
  if (hops.length === 0 || hops.includes('*')) return `traceroute sees ${hops.join(', ') || 'nobody'}`;
  return undefined;
}
