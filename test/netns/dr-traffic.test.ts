// SPDX-License-Identifier: Apache-2.0
// Direct routing under programs that nobody here wrote, with the client behind a router and on the servers' segment.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { devicesOf } from '../../src/lab/dr.ts';
import { framesBetween, readFrames } from '../../src/lab/frame-counts.ts';
import { socketAddress } from '../../src/lab/plan.ts';
import { SegmentLab } from '../../src/lab/segment.ts';
import type { ClientPlace } from '../../src/lab/segment-plan.ts';
import { inNamespace } from '../../src/linux/netns.ts';
import { bringUp } from '../../src/realserver/realserver.ts';
import { runIn } from '../support/in-lab.ts';
import { requirements } from '../support/requirements.ts';
import {
  assertDownload,
  assertSteadyLoad,
  assertTransfers,
  hopsTo,
  IPERF_PORT,
  LOAD_SECONDS,
} from '../support/traffic.ts';

const DOWNLOAD_BYTES = 100_000_000;
const FAMILIES = [4, 6] as const;

const skip = requirements(
  ...(['root', 'xdp', 'program:curl', 'program:wrk', 'program:iperf3', 'program:ip', 'program:traceroute'] as const),
);

/** A lab whose servers are set up, with services for HTTP (rr) and iperf3 (sh) in both families. */
async function openLab(client: ClientPlace, prefix: string): Promise<SegmentLab> {
  const lab = await SegmentLab.open({ servers: 2, prefix, client });
  try {
    const { servers, virtual } = lab.plan;
    for (const server of servers) {
      const setup = { virtual: [virtual.v4, virtual.v6], device: undefined, tunnel: undefined };
      inNamespace(server.namespace, () => bringUp(lab.stateFile(server), setup));
    }
    for (const family of FAMILIES) {
      const own = <T>(both: { readonly v4: T; readonly v6: T }): T => (family === 4 ? both.v4 : both.v6);
      for (const [port, scheduler] of [
        [virtual.port, 'rr'],
        [IPERF_PORT, 'sh'],
      ] as const) {
        const service = ['-t', socketAddress(own(virtual), port)];
        await lab.director.mustIpvsadm('-A', ...service, '-s', scheduler);
        for (const server of servers) {
          await lab.director.mustIpvsadm('-a', ...service, '-r', socketAddress(own(server).address, port), '-g');
        }
      }
    }
    return lab;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

describe('direct routing with the client behind a router', { skip }, () => {
  let lab: SegmentLab;
  const address = (family: 4 | 6): string => (family === 4 ? lab.plan.virtual.v4 : lab.plan.virtual.v6);
  const url = (family: 4 | 6): string => `http://${socketAddress(lab.plan.virtual[`v${family}`], 80)}`;

  before(async () => {
    lab = await openLab('routed', 'blstd');
  });
  after(() => lab?.close());

  for (const family of FAMILIES) {
    test(`a download of 100 MB arrives as it was sent, and none of it crosses the director, over IPv${family}`, async () => {
      const devices = devicesOf(lab.plan);
      const before = readFrames(devices);
      const packets = async (): Promise<number> => (await lab.director.status()).totals.counters.inPackets;
      const packetsBefore = await packets();
      await assertDownload(lab.plan.client.namespace, url(family), DOWNLOAD_BYTES);
      const frames = framesBetween(before, readFrames(devices));
      const forwarded = (await packets()) - packetsBefore;
      const answered = frames.rs1.sent + frames.rs2.sent;
      assert.ok(answered > DOWNLOAD_BYTES / 1500, `${answered} frames of the servers`);
      assert.ok(frames.client.received >= answered - 100, `${frames.client.received} of ${answered} at the client`);
      for (const count of [frames.director.received, frames.director.sent]) {
        // Besides requests only ARP and neighbour discovery.
        assert.ok(count >= forwarded && count <= forwarded + 100, `${count} frames for ${forwarded} requests`);
      }
    });

    test(`wrk: no socket error, no reset, over IPv${family}`, async () => {
      const { client, director, servers } = lab.plan;
      const namespaces = [client, director, ...servers].map((host) => host.namespace);
      await assertSteadyLoad({ namespaces, url: `${url(family)}/`, seconds: LOAD_SECONDS });
    });

    test(`iperf3 in both directions, over IPv${family}`, async (t) => {
      const { client, servers } = lab.plan;
      const namespaces = servers.map((server) => server.namespace);
      const { up, down } = await assertTransfers(client.namespace, namespaces, address(family), LOAD_SECONDS);
      t.diagnostic(`${Math.round(up / 1e6)} Mbit/s up, ${Math.round(down / 1e6)} Mbit/s down`);
    });

    test(`traceroute sees the router, the director as the virtual address, and the server as it, over IPv${family}`, async () => {
      const { client, router } = lab.plan;
      const hops = await hopsTo(client.namespace, address(family), 80);
      const gateway = family === 4 ? router?.clientSide.v4.address : router?.clientSide.v6.address;
      assert.equal(hops[0], gateway);
      assert.equal(hops.at(-1), address(family));
      assert.deepEqual(new Set(hops.slice(1)), new Set([address(family)]));
    });
  }
});

describe('direct routing with the client on the segment of the servers', { skip }, () => {
  let lab: SegmentLab;

  before(async () => {
    lab = await openLab('segment', 'blsts');
  });
  after(() => lab?.close());

  for (const family of FAMILIES) {
    test(`curl alternates, and only the director is asked for the virtual address, over IPv${family}`, async () => {
      const { client, director, virtual } = lab.plan;
      const address = family === 4 ? virtual.v4 : virtual.v6;
      const bodies: string[] = [];
      for (let i = 0; i < 4; i++) {
        bodies.push((await runIn(client.namespace, 'curl', '-sS', `http://${socketAddress(address, 80)}/`)).stdout);
      }
      assert.deepEqual(new Set(bodies), new Set(['hello from rs1\n', 'hello from rs2\n']));
      const macOf = async (namespace: string): Promise<string> =>
        (await runIn(namespace, 'ip', '-o', 'link', 'show', 'eth0')).stdout.replace(
          /^.*link\/ether (\S+) .*\n$/s,
          '$1',
        );
      const { stdout } = await runIn(client.namespace, 'ip', 'neigh', 'show', address);
      assert.ok(stdout.includes(`lladdr ${await macOf(director.namespace)}`), stdout);
    });
  }
});
