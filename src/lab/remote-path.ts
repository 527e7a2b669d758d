// SPDX-License-Identifier: Apache-2.0
// Who saw which packets in the network of remote-plan.ts: the devices that are counted, and the picture of the path.

import { type CountedDevice, drawWays, type FrameCounts, type Stop } from './frame-counts.ts';
import { HOST_DEVICE } from './plan.ts';
import type { RemotePlan } from './remote-plan.ts';

/** The devices whose frames tell the path; those of routers by where they lead. */
export function devicesOf({ client, director, servers, router, gateway }: RemotePlan): CountedDevice[] {
  const hosts = [client, director, ...servers].map(({ name, namespace }) => ({ name, namespace, device: HOST_DEVICE }));
  const side = (name: string, { namespace }: { readonly namespace: string }, device: string): CountedDevice => ({
    name,
    namespace,
    device,
  });
  return [
    ...hosts,
    side('router to client', router, router.clientSide.device),
    side('router to director', router, router.directorSide.device),
    side('router to gateway', router, router.gatewaySide.device),
    side('gateway to router', gateway, gateway.routerSide.device),
    side('gateway to servers', gateway, gateway.serverSide.device),
  ];
}

const sent = (label: string, ...names: string[]): Stop => ({ label, counts: 'sent', names });
const received = (label: string, ...names: string[]): Stop => ({ label, counts: 'received', names });

/** Requests by way of the director, answers past it. */
export function drawAnswersPast({ servers }: RemotePlan, frames: FrameCounts): string {
  const names = servers.map(({ name }) => name);
  const ways = drawWays(
    [
      ['requests', requestStops(names)],
      [
        'answers',
        [
          sent(names.join(', '), ...names),
          sent('gateway', 'gateway to router'),
          sent('router', 'router to client'),
          received('client', 'client'),
        ],
      ],
    ],
    frames,
  );
  return `${ways}\n   The director received ${frames.director.received} frames: the requests, and ARP or neighbour discovery.`;
}

/** Both directions by way of the director. */
export function drawAnswersThrough({ servers }: RemotePlan, frames: FrameCounts): string {
  const names = servers.map(({ name }) => name);
  return drawWays(
    [
      ['requests', requestStops(names)],
      [
        'answers',
        [
          sent(names.join(', '), ...names),
          sent('gateway', 'gateway to router'),
          sent('router', 'router to director'),
          sent('director', 'director'),
          sent('router', 'router to client'),
          received('client', 'client'),
        ],
      ],
    ],
    frames,
  );
}

function requestStops(names: readonly string[]): Stop[] {
  return [
    sent('client', 'client'),
    sent('router', 'router to director'),
    sent('director', 'director'),
    sent('router', 'router to gateway'),
    sent('gateway', 'gateway to servers'),
    received(names.join(', '), ...names),
  ];
}
